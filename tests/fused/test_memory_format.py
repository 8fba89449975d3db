"""Frames whose axes lie in memory in another order: no copy, the same numbers, and results that lie as the input."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.layout import memory_order
from torchdyn_neuro.fused.operators import runtime


def channels_last(x):
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])


def cells():
    per_channel = torch.linspace(5, 20, 6).reshape(6, 1, 1)
    return {
        "per channel and per row": tdn.LIF(tau_mem=tdn.Learned(per_channel), v_th=torch.rand(5, 1) + 0.5),
        "one value for all": tdn.LIF(tau_mem=tdn.Learned(10.0), t_ref=2.0),
        "several states": tdn.Chain(tdn.ExponentialSynapse(tdn.Learned(5.0)), tdn.AdaptiveLIF(5.0)),
    }


@pytest.mark.parametrize("name", cells())
def test_channels_last_gives_the_same_and_stays(name, monkeypatch):
    torch.manual_seed(0)
    cell = cells()[name].double()
    x = 3 * torch.rand(20, 3, 6, 5, 4, dtype=torch.float64)
    arriving, copies = torch.randn_like(x), []
    rows_contiguous = runtime.rows_contiguous

    def counted(leaf):
        copies.append(not leaf[0].is_contiguous())
        return rows_contiguous(leaf)

    monkeypatch.setattr(runtime, "rows_contiguous", counted)
    results = []
    for lay_out in (torch.Tensor.contiguous, channels_last):
        leaf = lay_out(x).requires_grad_()
        y, state = cell.scan(leaf)
        gradients = torch.autograd.grad(y, [leaf, *cell.parameters()], lay_out(arriving))
        results.append((y, gradients[0], *state, *gradients[1:]))
    assert y.mean() > 0.01
    assert y.stride() == leaf.stride() == gradients[0].stride()
    assert copies
    assert not any(copies)
    for plain, last in zip(*results, strict=True):
        torch.testing.assert_close(last, plain, rtol=1e-12, atol=1e-12)


def test_the_state_goes_on_in_either_order():
    torch.manual_seed(0)
    cell, x = tdn.LIF(5.0), 3 * torch.rand(20, 2, 3, 4, 5)
    whole, _ = cell.scan(x)
    first, state = cell.scan(channels_last(x)[:11])
    assert state.v.stride() == channels_last(x)[0].stride()
    second, _ = cell.scan(x[11:], state)
    assert torch.equal(torch.cat([first, second]), whole)


def test_second_derivatives():
    torch.manual_seed(0)
    cell = tdn.LeakyIntegrator(tau_mem=tdn.Learned(torch.rand(2, 1, 1) + 5)).double()
    x = channels_last(torch.randn(3, 1, 2, 2, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: cell(x) ** 2, x)


def test_a_convolution_hands_its_layout_on():
    layer = tdn.Stepwise(nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last))
    y = tdn.LIF()(layer(channels_last(torch.rand(4, 2, 3, 8, 8))))
    assert y[0].is_contiguous(memory_format=torch.channels_last)


def test_what_counts_as_an_order():
    x = torch.zeros(2, 3, 4)
    assert memory_order(x) is None
    assert memory_order(x.permute(2, 0, 1)) == [1, 2, 0]
    assert memory_order(x[:, ::2].transpose(0, 1)) is None  # with gaps
    assert memory_order(torch.zeros(1, 3, 4).expand(2, 3, 4)) is None
