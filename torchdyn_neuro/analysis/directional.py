"""Derivatives along directions, of any order."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp

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
        y, pull = vjp(function, x)
        _, back = vjp(lambda cotangent: pull(cotangent)[0], torch.zeros_like(y))
        return back(way)[0]

    return derivative
