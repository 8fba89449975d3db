"""Weights that the whole batch shares and that a step changes: frames without an axis for the batch.

A frame of neurons goes through them by a matrix product, and two of them meet in a product over the batch; the
derivative of each product is one of the two. What is turned, [pre, post], is only there to be multiplied.
"""

from typing import Any

import torch
from torch import Tensor

from .builder import Refusal
from .graph import Node
from .synapses import Synapses, width_of

TURNS = ("t", "transpose", "detach", "alias")


def is_turned(tensor: Tensor) -> bool:
    """Whether a tensor of the recorder is one with its two axes exchanged."""
    return tensor.ndim == 2 and tensor.shape[0] > 1 and tensor.stride() == (1, tensor.shape[0])


def multiplied(synapses: Synapses, func: Any, one: Tensor, other: Tensor, nodes: tuple[Node, Node]) -> Node:
    """The node of a matrix product.

    Args:
        synapses: who knows where nodes belong.
        func: the operation, for messages.
        one, other: its factors.
        nodes: what was recorded for them.
    """
    a, b = nodes
    rows, turned = synapses.rows, is_turned(other)
    if a.dtype not in (torch.float32, torch.float64) or a.dtype != b.dtype:
        raise Refusal(f"a matrix product of {a.dtype} and {b.dtype}")
    if is_turned(one) and one.shape[1] == rows == other.shape[0] and not turned:
        number = synapses.shared_number(one.shape[0], other.shape[1])
        return synapses.made(
            "outer", (synapses.framed(one.shape[0], a), synapses.framed(other.shape[1], b), number), number
        )
    if not is_turned(one) and one.shape[0] == rows and synapses.homes.get(b) in synapses.pairs.shared:
        home = width_of(other.shape[1])
        return synapses.made("matmul", (synapses.framed(one.shape[1], a), b, not turned), home)
    raise Refusal(f"the operation {func}, which is not a frame of neurons times weights that the batch shares")
