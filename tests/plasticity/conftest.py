"""What the tests of plasticity share."""

import pytest

import torchdyn_neuro as tdn


@pytest.fixture(autouse=True)
def eager():
    """The definition; that the fused loop of every rule agrees with it is for ``tests/fused`` to show.

    Of a plastic layer there are a dozen kernels, and each example here would compile its own.
    """
    with tdn.backend("eager"):
        yield
