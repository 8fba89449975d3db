"""Recurrent state: trees of tensors (tuples, named tuples, ``None`` for an absent leaf) and what is done to them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

State = Any
"""A tree of tensors: a tensor, ``None``, or a (named) tuple of states. Every leaf is [B, \\*]."""


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Apply ``function`` to the corresponding leaves of states of one structure.

    A leaf that is ``None`` in any of the states stays as it is in the first one: so a change that
    names only some fields leaves the others alone.

    Args:
        function: takes one leaf of each state, returns the new leaf.
        state: the state whose structure the result has.
        others: further states of the same structure; ``None`` may stand for any of their parts.

    Example:
        >>> map_state(lambda a, b: a + b, (torch.ones(2), None), (torch.ones(2), torch.ones(2)))
        (tensor([2., 2.]), None)
    """
    if state is None or any(other is None for other in others):
        return state
    if isinstance(state, tuple):
        children = [map_state(function, *leaves) for leaves in zip(state, *others, strict=True)]
        return type(state)(*children) if hasattr(state, "_fields") else tuple(children)
    return function(state, *others)


def leaves(state: State) -> list[Tensor]:
    """The tensors of a state, in order.

    Example:
        >>> [leaf.item() for leaf in leaves((torch.tensor(1), (None, torch.tensor(2))))]
        [1, 2]
    """
    if isinstance(state, tuple):
        return [leaf for child in state for leaf in leaves(child)]
    return [] if state is None else [state]


def first_leaf(state: State) -> Tensor:
    """The first tensor of a state; an input that is a tuple is described by its first member."""
    return leaves(state)[0]


def detach_state(state: State) -> State:
    """The state cut from its history, for truncated back-propagation through time.

    Example:
        >>> detach_state((torch.ones(1, requires_grad=True),))
        (tensor([1.]),)
    """
    return map_state(torch.Tensor.detach, state)


def state_dtype(x: Tensor) -> torch.dtype:
    """The dtype of the state that goes with an input: its own, but never narrower than float32."""
    return torch.promote_types(x.dtype, torch.float32)


def zeros_state(x_t: State) -> Tensor:
    """A leaf of zeros with the shape, device and memory format of the frame ``x_t``, float32 or wider."""
    frame = first_leaf(x_t)
    return torch.zeros_like(frame, dtype=state_dtype(frame))


def full_state(x_t: State, value: float | Tensor) -> Tensor:
    """A leaf filled with ``value``, which broadcasts to the frame ``x_t`` and keeps its gradient."""
    return zeros_state(x_t) + value


def widen(x_t: State) -> State:
    """A frame in the dtype of the state, so that a bfloat16 input is computed with in float32."""
    return map_state(lambda leaf: leaf.to(state_dtype(leaf)), x_t)


def first_frame(x: State) -> State:
    """The first frame [B, \\*] of a sequence [T, B, \\*] or of a tuple of sequences."""
    return map_state(lambda leaf: leaf[0], x)


def frames(x: State) -> list[State]:
    """The frames [B, \\*] of a sequence [T, B, \\*] (or of a tuple of sequences), one by one.

    Unbinding once costs one node in the autograd graph; indexing ``x[t]`` in the loop would make
    the backward pass quadratic in T.
    """
    if not isinstance(x, tuple):
        return list(x.unbind(0))
    together = zip(*(frames(child) for child in x if child is not None), strict=True)
    absent = [child is None for child in x]
    return [_insert_absent(x, iter(present), absent) for present in together]


def _insert_absent(like: tuple, present: Iterator[State], absent: list[bool]) -> State:
    children = [None if missing else next(present) for missing in absent]
    return type(like)(*children) if hasattr(like, "_fields") else tuple(children)


def stack_frames(outputs: list[State]) -> State:
    """The sequence [T, B, \\*] of a list of frames: the inverse of :func:`frames`."""
    return map_state(lambda *ys: torch.stack(ys), outputs[0], *outputs[1:])
