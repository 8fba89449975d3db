"""What no kernel computes goes through the eager loop: second derivatives, and many gradients at once."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn

from .test_shipped import drive


def test_second_derivatives():
    cell = tdn.LIF(tau_mem=tdn.Learned(5.0)).double()
    results = []
    for name in ("cpp", "eager"):
        x = drive().requires_grad_()
        state = tdn.LIFState(v=torch.full((2, 13), 0.1, dtype=torch.float64, requires_grad=True))
        with tdn.backend(name):
            y, last = cell.scan(x, state)
            loss = (y * y.detach().cumsum(0)).sum() + (last.v**2).sum()
            operands = [x, state.v, cell.tau_mem.raw]
            first = torch.autograd.grad(loss, operands, create_graph=True)
            results.append(torch.autograd.grad(sum((g**2).sum() for g in first), operands))
    for fused, eager in zip(*results, strict=True):
        assert eager.abs().max() > 0
        torch.testing.assert_close(fused, eager)


def test_second_derivatives_of_a_fused_recurrent_layer_are_the_eager_ones():
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0)), nn.Linear(4, 4)).double()
    x = (3 * torch.rand(9, 2, 4, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(9, 2, 4, dtype=torch.float64)
    operands = [x, *layer.parameters()]

    def second() -> tuple[torch.Tensor, ...]:
        y = layer(x)
        assert 0 < y.sum() < y.numel()
        first = torch.autograd.grad((y * weights).sum(), operands, create_graph=True)
        return torch.autograd.grad(sum(gradient.square().sum() for gradient in first), operands)

    with tdn.backend("eager"):
        expected = second()
    with tdn.backend("cpp"):
        found = second()
    for got, wanted in zip(found, expected, strict=True):
        assert wanted.abs().max() > 0
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tdn.LIF(tau_mem=tdn.Learned(5.0)),
        lambda: tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0)), nn.Linear(13, 13)),
        lambda: nn.Sequential(tdn.EventLinear(13, 192, most_active=1.0), tdn.LIF(tau_mem=tdn.Learned(5.0))),
    ],
    ids=["cell", "recurrent", "event-driven"],
)
def test_many_gradients_at_once_are_those_one_by_one(build):
    torch.manual_seed(0)
    model = build().double()
    x = drive(40, 4).requires_grad_()
    with tdn.backend("cpp"):
        y = model(x)
        assert 0 < y.sum() < y.numel()
        arriving = torch.randn(3, *y.shape, dtype=y.dtype)
        operands = [x, *model.parameters()]
        together = torch.autograd.grad(y, operands, arriving, is_grads_batched=True, retain_graph=True)
        single = [torch.autograd.grad(y, operands, one, retain_graph=True) for one in arriving]
        mapped = torch.func.vmap(lambda one: torch.autograd.grad(y, operands, one, retain_graph=True))(arriving)
    for k, got in enumerate(together):
        wanted = torch.stack([gradients[k] for gradients in single])
        assert wanted.abs().max() > 0
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(mapped[k], wanted, rtol=1e-12, atol=1e-12)
