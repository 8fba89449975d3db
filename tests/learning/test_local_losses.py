"""Every layer lowers a loss of its own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import LocalLosses

from .models import LABELS, LOSSES, found, lively, sequence


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


@pytest.mark.parametrize("loss", LOSSES)
def test_each_layer_learns_the_gradient_of_its_own_loss(loss):
    torch.manual_seed(0)
    layers = [nn.Linear(5, 6), tdn.ALIF(tdn.Learned(3.0), beta=3.0), nn.Linear(6, 4), tdn.LIF(3.0, detach_reset=False)]
    model, x = lively(nn.Sequential(*layers, nn.Linear(4, 2), tdn.LeakyIntegrator(2.0))), sequence()
    with torch.no_grad():
        model[2].bias.fill_(1.5)
    method = LocalLosses(error="end", block=6)
    method.prepare(model)
    assert not any(weight.requires_grad for weight in method.weights.values())
    z1 = model[:2](x)
    z2 = model[2:4](z1.detach())
    total = sum(
        LOSSES[loss](model[5](z @ method.weights[name].T), LABELS) for z, name in ((z1, "stage0"), (z2, "stage1"))
    )
    total = total + LOSSES[loss](model[4:](z2.detach()), LABELS)
    names, parameters = zip(*model.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(total, parameters), strict=True))
    _, got = found(method, model, x, loss=LOSSES[loss])
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-9, name
        assert_close(got[name], gradient, rtol=1e-10, atol=1e-14)


def test_it_asks_for_its_readouts():
    model = lively(nn.Sequential(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 2)))
    with pytest.raises(ValueError, match=r"^LocalLosses: expected weights of its own .*; call prepare\(model\)"):
        found(LocalLosses(), model, sequence())
    spiking = nn.Sequential(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 2), tdn.LIF()).double()
    method = LocalLosses(error="end")
    method.prepare(spiking)
    with pytest.raises(ValueError, match=r'^LocalLosses: expected a readout that is a linear filter.*error="running"'):
        found(method, spiking, sequence())
