"""Second derivatives of a recurrent layer go through the eager loop."""

import torch
from torch import nn

import torchdyn_neuro as tdn


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
