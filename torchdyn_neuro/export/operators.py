"""The operators of this package in those of torch, so that an exported model runs without it.

Each computes what the operator does: random numbers bit for bit, products by events as dense ones or, of sparse
weights, synapse by synapse.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# They define the operators.
from ..core.random import MULTIPLIERS, ROUNDS, WEYL, WORD, normal_of
from ..sparse import event_convolution, event_product, row_product  # noqa: F401

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def in_torch() -> dict[Any, Callable[..., Any]]:
    """For each operator of ours that a step may hold, what computes it."""
    ours = torch.ops.torchdyn_neuro
    return {
        ours.random_bits.default: _random_bits,
        ours.normal.default: _normal,
        ours.event_linear.default: lambda x, weight, bias, _: functional.linear(x, weight, bias),
        ours.event_conv2d.default: lambda *arguments: functional.conv2d(*arguments[:-1]),
        ours.row_product.default: _row_product,
    }


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """``core.random.philox`` without writing in place, which a graph for other machines may not."""
    a, b, c, d = counter
    for number in range(ROUNDS):
        even, odd = ((start + number * step) & WORD for start, step in zip(key, WEYL, strict=True))
        p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = ((q >> 32) & WORD) ^ b ^ even, q & WORD, ((p >> 32) & WORD) ^ d ^ odd, p & WORD
    return a, b, c, d


def _random_bits(key: Tensor, stream: int) -> Words:
    zero = torch.zeros_like(key)
    return philox((key & WORD, (key >> 32) & WORD, zero, zero), (stream, 0))


def _normal(key: Tensor, stream: int, dtype: torch.dtype) -> Tensor:
    counter = key >> 2
    one = torch.ones_like(key)
    return normal_of(philox((counter & WORD, (counter >> 32) & WORD, one, one - 1), (stream, 0)), key, dtype)


def _row_product(x: Tensor, start: Tensor, place: Tensor, weight: Tensor, outputs: int) -> Tensor:
    # The input of a synapse is the number of inputs that begin before it; how often to repeat each would be a size
    # that depends on data.
    begins = torch.zeros(weight.shape[0] + 1, dtype=torch.int64, device=x.device)
    sources = begins.scatter_add(0, start[1:-1], torch.ones_like(start[1:-1])).cumsum(0)[:-1]
    sent = x.index_select(-1, sources) * weight
    return sent.new_zeros((*sent.shape[:-1], outputs)).scatter_add(-1, place.to(torch.int64).expand_as(sent), sent)
