"""What the tests of rate models share."""

import pytest
import torch

import torchdyn_neuro as tdn


@pytest.fixture(autouse=True)
def eager():
    """The definition; where the fused loop is compared with it a test says so."""
    with tdn.backend("eager"):
        torch.manual_seed(0)
        yield
