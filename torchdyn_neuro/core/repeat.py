"""Repetition within a step, said so that a loop can be compiled as one and not as copies of its body."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor

from .state import State

Body = Callable[[State, State], State]
"""``(x, state) -> state``: depends on its arguments and on quantities, and on no other tensor."""


class Record(Protocol):
    """What is told of repetitions and of the batch while a step is recorded."""

    def __call__(self, body: Body, x: State, state: State, count: int) -> list[State] | None:
        """The states after each call; ``None`` to have them run."""

    def count_rows(self) -> Tensor:
        """What stands for the number of rows."""


_record: ContextVar[Record | None] = ContextVar("record", default=None)


def repeat(body: Body, x: State, state: State, count: int) -> list[State]:
    """The states after each of ``count`` calls of ``body``.

    Args:
        body: what is repeated.
        x: what is the same in every call.
        state: before the first call.
        count: how often.
    """
    record = _record.get()
    if record is not None and count > 1:
        recorded = record(body, x, state, count)
        if recorded is not None:
            return recorded
    states = []
    for _ in range(count):
        state = body(x, state)
        states.append(state)
    return states


def is_recorded() -> bool:
    """Whether a step is written down and not run, so that a shape says nothing and is not looked at."""
    return not torch.compiler.is_compiling() and _record.get() is not None


def count_rows(frame: Tensor) -> int | Tensor:
    """The number of rows of a batch: while a step is recorded what will stand for it."""
    record = _record.get()
    return frame.shape[0] if record is None else record.count_rows()


@contextmanager
def repeats_go_to(record: Record) -> Iterator[None]:
    """Within a ``with`` block, give repetitions to ``record``, which may return ``None`` to have them run."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)
