"""What the recording of a step depends on, besides the module."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..core.state import State, leaves, lines_of, shared_leaves
from .record.step import structure
from .record.synapses import SHARED


class Signature(NamedTuple):
    """What the recording of a step depends on, besides the module."""

    x: State
    state: State
    tensors: tuple[tuple[torch.dtype, tuple[bool, ...], bool], ...]
    output_dtype: torch.dtype | None
    widths: tuple[int | tuple[int, ...], ...] | None = None


def signature(x: State, state: State, output_dtype: torch.dtype | None) -> Signature:
    """The signature of a call."""
    training = torch.is_grad_enabled()
    tensors = [(leaf.dtype, (False,) * (leaf.ndim - 1), training and leaf.requires_grad) for leaf in leaves(x)]
    # Of a line of frames one frame; compilers of torch do not ask, for they do not get to it.
    lines = [False] * len(leaves(state)) if torch.compiler.is_compiling() else lines_of(state)
    held = [(leaf, leaf.ndim - line) for leaf, line in zip(leaves(state), lines, strict=True)]
    tensors += [(leaf.dtype, (False,) * ndim, training and leaf.requires_grad) for leaf, ndim in held]
    widths = None
    if not torch.compiler.is_compiling():
        # Of a state with a value for each synapse both of its axes, and of one value for each row none.
        frame, flags = leaves(x)[0].ndim - 1, shared_leaves(state)
        widths = tuple(_width(leaf.shape[1:], leaf.ndim - 1, frame, 0) for leaf in leaves(x))
        widths += tuple(
            (*leaf.shape, SHARED) if shared else _width(leaf.shape, ndim, frame, 1)
            for (leaf, ndim), shared in zip(held, flags, strict=True)
        )
    return Signature(structure(x), structure(state), tuple(tensors), output_dtype, widths)


def _width(shape: Sequence[int], ndim: int, frame: int, most: int) -> int | tuple[int, ...]:
    """The last axis of a frame, or all axes that one of another kind, of so many axes, has in its place."""
    more = ndim - frame
    return shape[-1] if more == 0 or not -1 <= more <= most or frame < 2 else tuple(shape[len(shape) - 1 - more :])


def classes_of(tree: State) -> Any:
    """Named tuples of one content are equal; their classes tell them apart."""
    return (tree.__class__, *map(classes_of, tree)) if isinstance(tree, tuple) else tree


def of_classes(classes: Any) -> State:
    """The structure that :func:`classes_of` describes."""
    if not isinstance(classes, tuple):
        return classes
    kind, *children = classes
    children = map(of_classes, children)
    return kind(*children) if hasattr(kind, "_fields") else tuple(children)
