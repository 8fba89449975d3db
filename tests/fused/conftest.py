import os

import pytest

# Run by test_triton.py, each in a process of its own with Triton's settings.
collect_ignore = ["interpreted_triton.py", "compiled_triton.py", "offline_compile.py"]


@pytest.fixture(scope="session", autouse=True)
def _compiled_loops(tmp_path_factory):
    """One folder of compiled loops for the whole session, unless the environment names one."""
    if "TORCHDYN_NEURO_CACHE" in os.environ:
        yield
        return
    os.environ["TORCHDYN_NEURO_CACHE"] = str(tmp_path_factory.mktemp("loops"))
    yield
    del os.environ["TORCHDYN_NEURO_CACHE"]
