"""A loop as an operation of autograd without the way through torch's dispatcher, which takes longer than some loops."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Operation(NamedTuple):
    """The parts of an operator with a derivative, as ``torch.library.register_autograd`` takes them.

    Args:
        run: from its arguments to its results.
        set_up: keeps on a context what the derivative needs, from arguments and results.
        differentiate: from a context and the gradients of the results to those of the arguments, lists or ``None``.
    """

    run: Callable[..., list[Tensor]]
    set_up: Callable[[Any, tuple, Sequence[Tensor]], None]
    differentiate: Callable[[Any, list[Tensor | None]], Sequence[list[Tensor | None] | None]]


def direct(
    operation: Operation,
    arguments: Callable[..., tuple],
    operands: Sequence[Sequence[Tensor]],
    marks: Sequence[int],
) -> Sequence[Tensor]:
    """The results of an operation, with their derivative.

    Args:
        operation: what is run.
        arguments: puts lists of operands among its arguments.
        operands: these lists.
        marks: the numbers of the results that have no gradient.
    """
    counts = [len(group) for group in operands[:-1]]
    return _Direct.apply(operation, arguments, counts, marks, *itertools.chain(*operands))


def grouped(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """So many tensors in each list, and the rest in one more."""
    remaining = iter(tensors)
    return [*(list(itertools.islice(remaining, count)) for count in counts), list(remaining)]


class _Direct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        operation: Operation,
        arguments: Callable[..., tuple],
        counts: Sequence[int],
        marks: Sequence[int],
        *operands: Tensor,
    ) -> tuple[Tensor, ...]:
        given = arguments(*grouped(operands, counts))
        results = operation.run(*given)
        operation.set_up(ctx, given, results)
        ctx.differentiate = operation.differentiate
        ctx.mark_non_differentiable(*(results[k] for k in marks))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        groups = ctx.differentiate(ctx, list(gradients))
        return (None, None, None, None, *itertools.chain(*(group for group in groups if group is not None)))
