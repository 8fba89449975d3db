"""Recurrent state: trees of tensors, and every operation on trees.

A state is a tensor or a (named) tuple of states; what is absent is ``()``. So ``torch.func``, ``torch.export``,
``torch.save`` and plain tuples all understand one. Every leaf is [B, \\*], one row for each row of the batch, unless
its field is annotated as :data:`Shared`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from torch.serialization import add_safe_globals

from .torch_private import COMPILER_RETURNS_REPLACED, assume_constant_result, register_namedtuple

State = Any
"""A tree of tensors: a tensor or a (named) tuple of states; ``()`` is nothing."""

Shared = Annotated[State, "shared"]
"""Annotates a field of a state that has no axis for the batch, such as the weights of a plastic connection."""

Line = Annotated[State, "line"]
"""Annotates a field of a state that is a line of the last frames, oldest first, [B, steps, \\*]."""

Kind = TypeVar("Kind", bound=type)


def register_state(kind: Kind) -> Kind:
    """Class decorator of a ``NamedTuple`` that is a state: makes it known to saving, loading and exporting.

    With it ``torch.load(weights_only=True)`` reads such a state, and ``torch.export.save`` a step that takes one.

    Example:
        >>> from typing import NamedTuple
        >>> @register_state
        ... class Pair(NamedTuple):
        ...     v: Tensor
        ...     weight: Shared
        >>> shared_fields(Pair)
        ('weight',)
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    register_namedtuple(kind, serialized_type_name=name)
    add_safe_globals([kind])
    if not COMPILER_RETURNS_REPLACED:
        kind._replace = replaced
    return kind


def replaced(state: State, /, **changes: State) -> State:
    """``state._replace(**changes)`` in words that every compiler of torch understands."""
    values = [changes.pop(name, value) for name, value in zip(state._fields, state, strict=True)]
    if changes:
        raise ValueError(f"Got unexpected field names: {list(changes)!r}")
    return type(state)(*values)


def shared_fields(kind: type) -> tuple[str, ...]:
    """The fields of a state without an axis for the batch."""
    return _marked(kind, "shared")


@lru_cache(maxsize=1024)
@assume_constant_result
def _marked(kind: type, mark: str) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name for name in kind._fields if get_origin(hints[name]) is Annotated and mark in get_args(hints[name])
    )


def lines_of(state: State) -> list[bool]:
    """Of each leaf of a state, in order, whether it is a :data:`Line`."""
    return _leaves_marked(state, "line")


def shared_leaves(state: State) -> list[bool]:
    """Of each leaf of a state, in order, whether it is :data:`Shared`."""
    return _leaves_marked(state, "shared")


def _leaves_marked(state: State, mark: str) -> list[bool]:
    if not isinstance(state, tuple):
        return [False]
    marked = _marked(type(state), mark) if hasattr(state, "_fields") else ()
    names = getattr(state, "_fields", ("",) * len(state))
    flags = [(name in marked, _leaves_marked(child, mark)) for name, child in zip(names, state, strict=True)]
    return [flag or each for flag, found in flags for each in found]


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Apply ``function`` to the corresponding leaves of states of one structure.

    What is absent, ``()``, in any of the states stays as it is in the first one: so a change that names only some
    fields leaves the others alone.

    Args:
        function: takes one leaf of each state, returns the new leaf.
        state: the state whose structure the result has.
        others: further states of the same structure; ``()`` may stand for any of their parts.

    Example:
        >>> map_state(lambda a, b: a + b, (torch.ones(2), ()), (torch.ones(2), torch.ones(2)))
        (tensor([2., 2.]), ())
    """
    if not isinstance(state, tuple):
        for other in others:
            if isinstance(other, tuple) and not other:
                return state
        return function(state, *others)
    if not state:
        return state
    for other in others:
        if isinstance(other, tuple) and not other:
            return state
    children = [map_state(function, *parts) for parts in zip(state, *others, strict=True)]
    return type(state)(*children) if hasattr(state, "_fields") else tuple(children)


def leaves(state: State) -> list[Tensor]:
    """The tensors of a state, in order.

    Example:
        >>> [leaf.item() for leaf in leaves((torch.tensor(1), ((), torch.tensor(2))))]
        [1, 2]
    """
    if isinstance(state, tuple):
        return [leaf for child in state for leaf in leaves(child)]
    return [state]


def first_leaf(state: State) -> Tensor:
    """The first tensor of a state; an input that is a tuple is described by its first member."""
    while isinstance(state, tuple):
        state = next(child for child in state if not isinstance(child, tuple) or leaves(child))
    return state


def like_state(pattern: State, given: State) -> State:
    """``given``, of (named) tuples or lists, in the classes of ``pattern``.

    Raises:
        ValueError: if structures, shapes or types differ.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> like_state(tdn.LIFState(torch.zeros(1)), (torch.ones(1), (), (), ()))
        LIFState(v=tensor([1.]), refractory=(), adaptation=(), noise=())
    """
    if not isinstance(pattern, tuple):
        if describe(given) != describe(pattern):
            raise ValueError("another tensor, or none")
        return given
    if not isinstance(given, (tuple, list)) or len(given) != len(pattern):
        raise ValueError("a tree of another structure")
    children = [like_state(part, child) for part, child in zip(pattern, given, strict=True)]
    return type(pattern)(*children) if hasattr(pattern, "_fields") else tuple(children)


def describe(state: State) -> str:
    """Structure, types and shapes of a state, for messages."""
    if isinstance(state, (tuple, list)):
        kind = "" if type(state) is tuple else type(state).__name__
        return f"{kind}({', '.join(describe(child) for child in state)})"
    return f"{state.dtype} {tuple(state.shape)}" if isinstance(state, Tensor) else type(state).__name__


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
    rows: Iterator[tuple[Tensor, ...]] = zip(*(leaf.unbind(0) for leaf in leaves(x)), strict=True)
    return [fill(x, row) for row in rows]


def fill(pattern: State, tensors: Any) -> State:
    """A tree of the structure of ``pattern`` with ``tensors`` as its leaves, in order."""
    remaining = iter(tensors)
    if not isinstance(pattern, tuple):
        return next(remaining)
    return map_state(lambda _: next(remaining), pattern)


def stack_frames(outputs: list[State]) -> State:
    """The sequence [T, B, \\*] of a list of frames: the inverse of :func:`frames`."""
    return map_state(_stacked, outputs[0], *outputs[1:])


@assume_constant_result
def _knows_autocast(device: str) -> bool:
    # The compilers before torch 2.14 cannot ask.
    return torch.amp.is_autocast_available(device)


def _stacked(*ys: Tensor) -> Tensor:
    device = ys[0].device.type
    if not _knows_autocast(device) or not torch.is_autocast_enabled(device):
        return torch.stack(ys)
    # Autocast refuses to stack some types, though frames of one type need no cast.
    with torch.autocast(device, enabled=False):
        return torch.stack(ys)
