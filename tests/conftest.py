"""What all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# The workers of a parallel run divide the cores among themselves.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers, and the next run, share the compiled loops: a third of the time of a first run goes there.

    Each is found by its text, the compiler and its options; ``--cache-clear`` removes them. Without pytest's cache
    (``-p no:cacheprovider``) they go to where the library keeps its own.
    """
    cache = getattr(config, "cache", None)
    if cache is not None and "TORCHDYN_NEURO_CACHE" not in os.environ:
        folder = Path(cache.mkdir("loops"))
        folder.chmod(0o700)
        os.environ["TORCHDYN_NEURO_CACHE"] = str(folder)


@pytest.fixture
def eager() -> Iterator[None]:
    """The definition, for tests whose subject is no loop: each new module would compile its own kernels."""
    from torchdyn_neuro import backend

    with backend("eager"):
        yield


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Pyplot keeps every figure, and from twenty on it warns."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
