"""Plain numbers of a step, such as dt, as arguments of its kernel: another number is no new kernel.

A step is recorded with the numbers that its module has, and once more with others in the places of all of them. Where
the two recordings do the same with the same tensors, they differ in what follows from these numbers alone. So each of
those has its place in the second recording, and its value from the first one, found at the same moment of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .builder import FLOATS, rounded
from .graph import Node, StepGraph
from .rewriting import Rewriting, constants_of

_COMPARISONS = frozenset(("ge", "gt", "le", "lt", "eq", "ne"))
_GOLDEN = 0.6180339887498949


class Log:
    """What a recording does, one operation after the other, with the plain numbers apart.

    Attributes:
        operations: operations with the numbers of the tensors that they take, and what else decides on the graph.
        numbers: the plain numbers among their arguments, in order.
    """

    def __init__(self) -> None:
        self.operations: list[Any] = []
        self.numbers: list[float] = []

    def note(self, *what: Any) -> None:
        """Something else on which the graph depends."""
        self.operations.append(what)

    def add(self, name: str, args: Sequence[Any], numbers: list[float], result: Any) -> None:
        """An operation; ``args`` and ``numbers`` are what :meth:`described` gave."""
        if name == "lift_fresh" and result.numel() == 1:
            numbers = [result.item()]
        whole = isinstance(result, Tensor) and result.dtype not in FLOATS and name not in _COMPARISONS
        if whole or name == "pow":
            # What the number is decides on the operation.
            self.operations.append((name, args, tuple(map(repr, numbers))))
        else:
            self.operations.append((name, args))
            self.numbers += numbers

    @staticmethod
    def described(value: Any, place: Callable[[Tensor], int | None], numbers: list[float]) -> Any:
        """Arguments without their plain numbers, which go to ``numbers``; ``place`` numbers the tensors."""
        if isinstance(value, Tensor):
            return place(value)
        if isinstance(value, (list, tuple)):
            return tuple(Log.described(item, place, numbers) for item in value)
        if isinstance(value, dict):
            return tuple((key, Log.described(item, place, numbers)) for key, item in value.items())
        if type(value) is float:
            numbers.append(value)
            return float
        return repr(value)


class Numbers(NamedTuple):
    """The plain numbers that a kernel takes as an argument.

    Args:
        leaf: what stands for all of them in a graph.
        values: what they are.
    """

    leaf: Node
    values: tuple[float, ...]

    def added_to(self, graph: StepGraph) -> StepGraph:
        """A graph with its numbers as the last of its parameters."""
        return with_uniform(graph, self.leaf)


def with_uniform(graph: StepGraph, leaf: Node) -> StepGraph:
    """A graph with one more parameter, which is the same for all elements and has no gradient."""
    return replace(
        graph,
        parameters=(*graph.parameters, leaf),
        grad_parameters=(*graph.grad_parameters, None),
        uniform=graph.uniform | {len(graph.parameters)},
    )


@contextmanager
def other_numbers(places: Iterable[tuple[dict[str, Any], str]], only: str | None = None) -> Iterator[None]:
    """Within a ``with`` block, let other plain numbers be in places; those called dt stay equal where they are equal.

    Args:
        places: dictionaries and names in them.
        only: the name of those that change, all if omitted.
    """
    before = [(entries, name, entries[name]) for entries, name in places if only in (None, name)]
    try:
        for k, (entries, name, value) in enumerate(before, start=1):
            # Nothing that is written in a step is likely to be one of these.
            entries[name] = value * (1.07 + 0.2 * ((0 if name == "dt" else k) * _GOLDEN % 1.0))
        yield
    finally:
        for entries, name, value in before:
            entries[name] = value


def lifted(graph: StepGraph, log: Log, other: StepGraph, other_log: Log) -> tuple[StepGraph, Numbers | None] | None:
    """The graph of a step with its plain numbers as arguments, and these; ``None`` if that cannot be told.

    Args:
        graph, log: what was recorded with the numbers of the module.
        other, other_log: with others.
    """
    if log.operations != other_log.operations:
        return None
    pairs = {(repr(new), repr(value)): (new, value) for new, value in zip(other_log.numbers, log.numbers, strict=True)}
    known = {(node.dtype, repr(node.args[0])) for node in constants_of(graph)}
    found: dict[Node, float] = {}
    tables = {}
    for node in constants_of(other):
        if node.dtype not in tables:
            tables[node.dtype] = _table(pairs.values(), node.dtype) if node.dtype in FLOATS else {}
            if tables[node.dtype] is None:
                return None
        key = repr(node.args[0])
        value = tables[node.dtype].get(key, node.args[0])
        changed = repr(value) != key
        # What was neither changed nor there before, and what looks like something else, has come about unseen.
        if ((node.dtype, key) in known) is changed:
            return None
        if changed:
            found[node] = value
    if not found:
        return graph, None
    free = {node: value for node, value in found.items() if isfinite(value) and value != 0}
    rewriting = Rewriting(found, free)
    graph = rewriting.graph(other)
    return graph, Numbers(rewriting.leaf, tuple(rewriting.values)) if rewriting.values else None


def _table(pairs: Iterable[tuple[float, float]], dtype: torch.dtype) -> dict[str, float] | None:
    """What was a number of a type before it was changed; ``None`` if two became one."""
    table: dict[str, float] = {}
    for new, value in pairs:
        key, value = repr(rounded(new, dtype)), rounded(value, dtype)
        if repr(table.setdefault(key, value)) != repr(value):
            return None
    return table
