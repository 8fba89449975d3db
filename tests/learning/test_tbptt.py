"""Truncated back-propagation: pieces with a state that is handed on without its history."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import losses
from torchdyn_neuro.decoding import SoftmaxMembrane
from torchdyn_neuro.learning import BPTT, TBPTT

from .models import LABELS, LOSSES, found, furthest, recurrent, sequence


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


@pytest.mark.parametrize("loss", LOSSES)
def test_one_piece_is_back_propagation(loss):
    model, x = recurrent(tdn.ALIF(tdn.Learned(4.0), beta=3.0)), sequence(12)
    reference, expected = found(BPTT(), model, x, loss=LOSSES[loss])
    outcome, got = found(TBPTT(steps=50), model, x, loss=LOSSES[loss])
    assert furthest(got, expected) < 1e-12
    assert_close(outcome.loss, reference.loss)
    assert_close(outcome.decoded, reference.decoded)


def test_pieces_by_hand():
    """The state is cut at each border; what has been decoded so far is judged there."""
    model, x = recurrent(tdn.ALIF(4.0, beta=3.0)), sequence(10)
    chain, state, before, seen, total = tdn.Chain(*model), None, 0.0, 0, 0.0
    for piece in x.split(4):
        y, state = chain.scan(piece, state)
        state, seen = tdn.detach_state(state), seen + len(piece)
        so_far = before + y.sum(0)
        total = total + nn.functional.cross_entropy(so_far / seen, LABELS) * len(piece) / len(x)
        before = so_far.detach()
    names, parameters = zip(*model.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(total, parameters), strict=True))
    _, got = found(TBPTT(steps=4), model, x)
    assert furthest(got, expected) < 1e-12
    _, whole = found(BPTT(), model, x)
    assert furthest(got, whole) > 0.01


def test_a_target_for_each_step():
    model, x, target = recurrent(tdn.LIF(4.0)), sequence(10), torch.rand(10, 3, 2, dtype=torch.float64)
    loss = losses.EveryStep(nn.MSELoss(), steady=False)
    assert_close(loss(model(x), target), ((model(x) - target) ** 2).mean())
    outcome, _ = found(TBPTT(steps=3), model, x, target, loss)
    assert_close(outcome.loss, loss(model(x), target))
    with pytest.raises(ValueError, match=r"^EveryStep: expected targets \[T, B, \*\] for 10 steps, got shape \(3,\); "):
        found(TBPTT(steps=3), model, x, LABELS, loss)


def test_models_of_any_order():
    """Everything that holds dynamics, as here with time folded into the batch."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(5, 6), tdn.Unfolded(tdn.LIF(4.0)), nn.Linear(6, 2))
    model, x = tdn.Stepwise(inner).double(), 3 * sequence(10)
    with torch.no_grad():
        inner[0].weight.mul_(5)
    _, expected = found(BPTT(), model, x)
    _, got = found(TBPTT(steps=10), model, x)
    assert furthest(got, expected) < 1e-12


def test_what_it_refuses():
    shared = tdn.LIF()
    with pytest.raises(ValueError, match=r"^TBPTT: expected each dynamics to be called once .*LIF; "):
        found(TBPTT(), nn.Sequential(nn.Linear(5, 2), shared, nn.Linear(2, 2), shared).double(), sequence())
    with pytest.raises(TypeError, match=r"^TBPTT: expected a loss of decoded outputs .*, got CrossEntropyLoss.*; "):
        found(TBPTT(), recurrent(tdn.LIF()), sequence(), loss=nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"^TBPTT: expected steps to be at least 1, got 0; "):
        TBPTT(steps=0)


def test_a_decoder_that_weighs_outputs_against_each_other():
    model, x, loss = recurrent(tdn.LIF(4.0)), sequence(8), losses.MembraneCrossEntropy(SoftmaxMembrane())
    _, expected = found(BPTT(), model, x, loss=loss)
    _, got = found(TBPTT(steps=50), model, x, loss=loss)
    assert furthest(got, expected) < 1e-12
