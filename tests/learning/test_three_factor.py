"""Three factors, against a loop over steps and synapses written here."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import losses
from torchdyn_neuro.learning import BPTT, ThreeFactor

from .models import LABELS, found, furthest, one_layer, recurrent, sequence


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def traced(activity, tau, before):
    """The trace of each step, before or behind the activity of the step."""
    value, seen = torch.zeros_like(activity[0]), []
    for now in activity:
        value = value * math.exp(-1 / tau)
        seen.append(value if before else value + now)
        value = value + now
    return torch.stack(seen)


def by_synapse(coincidences, signal, tau_e):
    """Sum over steps and rows of signal [T, B, post] times eligibility, from coincidences [T, B, post, pre]."""
    value, total = 0.0, 0.0
    for coincidence, told in zip(coincidences, signal, strict=True):
        value = value * math.exp(-1 / tau_e) + coincidence
        total = total + (told[..., None] * value).sum(0)
    return total


def ready(model, method):
    method.prepare(model)
    loss, x = losses.EveryStep(), (sequence() < 0.4).double()
    y = model(x).detach().requires_grad_()
    error = torch.autograd.grad(loss(y, LABELS), y)[0]
    return x, loss, error @ method.weights["stage0"].T


def test_stdp():
    torch.manual_seed(0)
    model = one_layer(tdn.LIF(3.0), nn.Identity())
    method = ThreeFactor("stdp", tau_pre=4.0, tau_post=6.0, tau_e=9.0, A_plus=1.2, A_minus=0.7, block=7)
    x, loss, signal = ready(model, method)
    z = model[:2](x).detach()
    assert z.sum() > 20
    potentiation = 1.2 * z[..., None] * traced(x, 4.0, before=True)[:, :, None]
    depression = 0.7 * traced(z, 6.0, before=True)[..., None] * x[:, :, None]
    _, got = found(method, model, x, loss=loss)
    assert_close(got["0.weight"], by_synapse(potentiation - depression, signal, 9.0))
    assert not got["0.bias"].any()


def test_hebbian_coincidences():
    torch.manual_seed(0)
    cell = tdn.LIF(3.0)
    model = one_layer(cell, nn.Identity())
    method = ThreeFactor(tau_pre=4.0, tau_e=9.0, block=7)
    x, loss, signal = ready(model, method)
    state, slopes = cell.initial_state(x[0, :, :1].expand(3, 6)), []
    for current in model[0](x).detach():
        current.requires_grad_()
        z, after = cell.step(current, state)
        slopes.append(torch.autograd.grad(z.sum(), current)[0])
        state = tdn.detach_state(after)
    coincidences = torch.stack(slopes)[..., None] * traced(x, 4.0, before=False)[:, :, None]
    _, got = found(method, model, x, loss=loss)
    assert_close(got["0.weight"], by_synapse(coincidences, signal, 9.0))


def test_recurrent_weights_learn_and_the_readout_learns_its_gradient():
    model, x = recurrent(tdn.LIF(tdn.Learned(3.0))), sequence()
    method, loss = ThreeFactor(), losses.EveryStep()
    method.prepare(model)
    _, got = found(method, model, x, loss=loss)
    _, full = found(BPTT(), model, x, loss=loss)
    assert got["1.connection.weight"].abs().max() > 1e-6
    assert "1.neuron.tau_mem.raw" not in got
    assert furthest({n: got[n] for n in got if n[0] == "2"}, {n: full[n] for n in full if n[0] == "2"}) < 1e-12


def test_times_are_checked():
    with pytest.raises(ValueError, match=r"^ThreeFactor: expected tau_e above 0 ms, got 0"):
        ThreeFactor(tau_e=0.0)
    with pytest.raises(ValueError, match=r"^ThreeFactor: expected coincidence to be one of .*, got 'oja'; "):
        ThreeFactor("oja")
