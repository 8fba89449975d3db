"""Derivatives along directions, of any order."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp

from ..core.transforms import active_transform

Function = Callable[[Tensor], Tensor]


def directional(function: Function, *ways: Tensor) -> Function:
    r"""The derivative of a function along directions, :math:`x \mapsto D^k f(x)[w_1, \dots, w_k]`.

    Twice in reverse mode: a pull-back is linear, and its own pull-back pushes forward.
    """
    for way in ways:
        function = _pushed(function, way)
    return function


def _pushed(function: Function, way: Tensor) -> Function:
    def derivative(x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and active_transform() is None:
            return _pushed_without_graph(function, x, way)
        y, pull = vjp(function, x)
        _, back = vjp(lambda cotangent: pull(cotangent)[0], torch.zeros_like(y))
        return back(way)[0]

    return derivative


def _pushed_without_graph(function: Function, x: Tensor, way: Tensor) -> Tensor:
    """The same in less time, where nobody asks for more derivatives."""
    unused = {"allow_unused": True, "materialize_grads": True}
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = function(leaf)
        if not y.requires_grad:
            return torch.zeros_like(y)
        cotangent = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, leaf, cotangent, create_graph=True, **unused)
        if not pulled.requires_grad:
            return torch.zeros_like(y)
        return torch.autograd.grad(pulled, cotangent, way, **unused)[0].detach()
