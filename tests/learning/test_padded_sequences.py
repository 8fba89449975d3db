"""Every method finds for padded sequences the mean of what it finds for each alone."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import decoding, losses
from torchdyn_neuro.learning import BPTT, RTRL, TBPTT, EProp, LocalLosses, ThreeFactor

from .models import LABELS, found, furthest, recurrent, sequence

LENGTHS = torch.tensor([5, 14, 9])


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def padded():
    x = sequence(16)
    for row, length in enumerate(LENGTHS):
        x[length:, row] = 7.0
    return x


METHODS = {
    "bptt": BPTT,
    "tbptt": lambda: TBPTT(steps=4),
    "eprop": EProp,
    "eprop at the end": lambda: EProp("random", error="end", block=4),
    "local losses": LocalLosses,
    "three factor": ThreeFactor,
    "three factor, stdp": lambda: ThreeFactor("stdp"),
}
LOSSES = {
    "mean": losses.MembraneCrossEntropy(),
    "last": losses.MembraneCrossEntropy(decoding.LastMembrane()),
    "max": losses.MembraneCrossEntropy(decoding.MaxMembrane()),
    "votes": losses.MembraneCrossEntropy(decoding.SoftmaxMembrane()),
    "every step": losses.EveryStep(),
    "followed": losses.EveryStep(nn.MSELoss(), steady=False),
}
CASES = [(name, "mean") for name in METHODS]
CASES += [(name, "every step") for name in METHODS if name != "eprop at the end"]
CASES += [("tbptt", "votes"), ("tbptt", "max"), ("eprop", "last"), ("tbptt", "followed")]


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_the_mean_of_what_each_row_gives_alone(name, loss):
    cell = tdn.ALIF(tdn.Learned(4.0), beta=3.0)
    model, x = recurrent(cell), padded()
    target = torch.rand(16, 3, 2, dtype=torch.float64) if loss == "followed" else LABELS
    method = METHODS[name]()
    torch.manual_seed(3)
    method.prepare(model)
    model.zero_grad()
    outcome = method(model, x, target, LOSSES[loss], LENGTHS)
    outcome.loss.backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    alone, values = {}, []
    for row, length in enumerate(LENGTHS.tolist()):
        own = target[:length, row : row + 1] if loss == "followed" else target[row : row + 1]
        one, gradients = found(method, model, x[:length, row : row + 1], own, LOSSES[loss])
        assert_close(outcome.decoded[row : row + 1], one.decoded, rtol=0, atol=1e-14)
        values.append(one.loss.detach())
        alone = {name: alone.get(name, 0) + gradient / 3 for name, gradient in gradients.items()}
    # Hidden biases stay under "stdp".
    alone = {name: gradient for name, gradient in alone.items() if gradient.any()}
    assert "0.weight" in alone
    assert furthest({name: got[name] for name in alone}, alone) < 1e-10
    assert not any(gradient.any() for name, gradient in got.items() if name not in alone)
    assert_close(outcome.loss.detach(), torch.stack(values).mean())


@pytest.mark.parametrize("loss", ["votes", "followed"])
def test_forward_derivatives(loss):
    """Those of back-propagation, of a net that is small, for they take long."""
    torch.manual_seed(0)
    model, x, lengths = nn.Sequential(nn.Linear(5, 2), tdn.LeakyIntegrator(3.0)).double(), padded()[:6], LENGTHS // 3
    target = torch.rand(6, 3, 2, dtype=torch.float64) if loss == "followed" else LABELS
    results = []
    for method in (BPTT(), RTRL()):
        model.zero_grad()
        outcome = method(model, x, target, LOSSES[loss], lengths)
        outcome.loss.backward()
        results.append((model[0].weight.grad.clone(), outcome.loss.detach(), outcome.decoded))
    assert results[0][0].abs().max() > 1e-3
    assert_close(*results)


@pytest.mark.parametrize("method", [EProp(), BPTT()], ids=["eprop", "bptt"])
def test_norms_count_real_frames(method):
    torch.manual_seed(0)
    norm, alone = tdn.Stepwise(nn.BatchNorm1d(4)), nn.BatchNorm1d(4).double()
    model = nn.Sequential(nn.Linear(5, 4), norm, tdn.LIF(4.0), nn.Linear(4, 2), tdn.LeakyIntegrator()).double()
    x = padded()
    method(model, x, LABELS, losses.MembraneCrossEntropy(), LENGTHS)
    alone(model[0](x)[torch.arange(16)[:, None] < LENGTHS])
    assert_close(norm.module.running_mean, alone.running_mean)
    assert_close(norm.module.running_var, alone.running_var)


def test_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match=r"^EProp: expected lengths from 1 to 16, .*got 5 to 17; "):
        EProp()(recurrent(tdn.LIF()), padded(), LABELS, LOSSES["mean"], LENGTHS + torch.tensor([0, 3, 0]))
