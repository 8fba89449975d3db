"""The one call of weights that the batch shares: lists of spikes, tables of their sums, and all values."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.recurrent import shared_native

from .agreement import assert_agrees

PRE, POST, STEPS = 37, 21, 5


def spikes(rows, share, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    return scale * (torch.rand(STEPS, rows, PRE, generator=generator, dtype=dtype) < share).to(dtype)


def module(threshold=0.2):
    torch.manual_seed(0)
    plastic = tdn.Plastic(nn.Linear(PRE, POST, bias=False), tdn.PairSTDP(0.1, 0.1, w_max=0.3), weights="sum")
    return tdn.Chain(plastic, tdn.LIF(5.0, v_th=threshold))


@pytest.fixture
def calls(monkeypatch):
    """How often the call was made."""
    seen, run = [], shared_native.run_forward
    monkeypatch.setattr(shared_native, "run_forward", lambda *given: (seen.append(1), run(*given)))
    return seen


@pytest.mark.parametrize(("rows", "share"), [(1, 0.5), (3, 0.6), (6, 0.1), (16, 0.9), (18, 0.6)])
def test_few_and_many_spikes_agree(calls, rows, share):
    """Few inputs are listed; of many the spikes behind are looked up, by groups of rows, the last of them not full."""
    (y, *_), _ = assert_agrees(module().double(), spikes(rows, share), relative=1e-12)
    assert len(calls) == 2
    assert 0 < y.mean() < 1


def test_values_that_are_no_spikes_agree():
    """Behind a linear readout no row has one value."""
    chain = tdn.Chain(module()[0], tdn.LeakyIntegrator()).double()
    assert_agrees(chain, spikes(6, 0.7) * torch.rand(STEPS, 6, PRE, dtype=torch.float64), relative=1e-12)
    assert_agrees(module().double(), spikes(6, 0.7, scale=-0.5), relative=1e-12)


def test_single_precision_and_more_columns_than_a_thread_takes_at_once(calls):
    torch.manual_seed(0)
    plastic = tdn.Plastic(nn.Linear(50, 130, bias=False), tdn.PairSTDP(0.1, 0.1, w_max=0.3), weights="mean")
    chain = tdn.Chain(plastic, tdn.LIF(5.0, v_th=0.2))
    x = (torch.rand(STEPS, 17, 50, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    assert_agrees(chain, x, relative=1e-5)
    assert len(calls) == 2


def test_what_is_not_finite_is_not_left_out():
    """Zero times infinity is no zero, wherever the zero is."""
    x = spikes(6, 0.1)
    x[2, 1, 3] = torch.inf
    found = []
    for name in ("eager", "cpp"):
        with tdn.backend(name), torch.no_grad():
            found.append(module().double().scan(x)[1][0].weight)
    assert found[0].isnan().any()
    torch.testing.assert_close(found[1], found[0], equal_nan=True, rtol=1e-12, atol=1e-12)


def test_many_rows_are_left_to_products_of_torch(calls):
    assert_agrees(module().double(), spikes(129, 0.1), relative=1e-11)
    assert not calls


def test_weights_that_become_no_numbers_leave_nothing_out(calls):
    """One row makes all weights NaN; what gets few inputs, or none, is NaN all the same."""
    plastic = tdn.Plastic(nn.Linear(PRE, POST, bias=False), tdn.Oja(0.1), weights="sum")
    chain = tdn.Chain(plastic, tdn.LIF(5.0, v_th=0.2)).double()
    x = spikes(6, 0.02)
    x[0, 0] = torch.inf
    x[1, 3] = 0
    with torch.no_grad():
        with tdn.backend("eager"):
            y, _ = chain.scan(x, chain.initial_state(x[0]))
        found, _ = chain.scan(x, chain.initial_state(x[0]))
    assert calls
    assert y[1, 3].isnan().all()
    torch.testing.assert_close(found, y, equal_nan=True, rtol=1e-12, atol=1e-12)
