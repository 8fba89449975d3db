"""A rate network as a classifier of rows."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.encoding import Rows
from torchdyn_neuro.models import RateClassifier


@pytest.mark.parametrize("network", [lambda: tdn.CTRNN(16), lambda: tdn.EINetwork(12, 4), lambda: tdn.RateNetwork(16)])
def test_from_rows_to_classes(network):
    model = RateClassifier(Rows(16).frame_shape((2, 8, 6)), 10, network=network())
    y = model(Rows(16)(torch.rand(3, 2, 8, 6)))
    assert y.shape == (16, 3, 10)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    tdn.check(model)
    assert len(model.calibrate(torch.rand(16, 3, 2, 6))) == 0


def test_the_readout_has_the_step_of_the_network():
    assert RateClassifier((8,), 10, network=tdn.CTRNN(4, dt=0.5)).readout.dt == 0.5


def test_wrong_use():
    with pytest.raises(
        TypeError, match=r"RateClassifier: expected a Network with a number of units, got LIF; pass e\.g\."
    ):
        RateClassifier((1, 8), 10, network=tdn.LIF())
    with pytest.raises(TypeError, match="RateClassifier: expected a Network with a number of units, got Network"):
        RateClassifier((1, 8), 10, network=tdn.Network(tdn.RateUnit(), torch.nn.Linear(4, 4)))
    with pytest.raises(
        ValueError, match=r"RateClassifier: expected an input \[T, B, 1, 8\], got shape \(8, 2, 1, 8, 8\)"
    ):
        RateClassifier((1, 8), 10, network=tdn.CTRNN(4))(torch.rand(8, 2, 1, 8, 8))
