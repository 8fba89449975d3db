"""What is exchanged is compared in the loop over time that defines it: no kernel is compiled for a few steps."""

from collections.abc import Iterator

import pytest

import torchdyn_neuro as tdn


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    with tdn.backend("eager"):
        yield
