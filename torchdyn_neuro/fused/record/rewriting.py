"""A graph with other constants, and with some of them as arguments."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import frexp

import torch

from .graph import NUMBERS, Node, StepGraph, ordered
from .repeat import Body, Derivative, parts_of_call

RESULTS = ("next_states", "outputs", "lines", "grad_states", "grad_inputs", "grad_parameters", "grad_lines")


def constants_of(graph: StepGraph) -> dict[Node, None]:
    """The constants of a graph, those of its repetitions too."""
    pairs = [node for _, *pair in graph.outers for node in pair]
    roots = [*(node for name in RESULTS for node in getattr(graph, name) if node is not None), *pairs]
    found: dict[Node, None] = {}
    seen: set[Body | Derivative] = set()
    while roots:
        nodes = ordered(roots)
        found |= dict.fromkeys(node for node in nodes if node.op == "constant")
        inner = {node.args[0] for node in nodes if node.op in ("repeat", "repeat_backward")} - seen
        seen |= inner
        roots = [node for each in inner for node in results_of(each)]
    return found


def results_of(rounds: Body | Derivative) -> list[Node]:
    """What a round or its derivative computes."""
    results = rounds.after if isinstance(rounds, Body) else rounds.gradients
    return [node for node in results if node is not None]


class Rewriting:
    """Puts other values in the places of constants.

    Args:
        values: the constants that change, with their values.
        free: those of them that become arguments; finite, and not zero.

    Attributes:
        leaf: what stands for all arguments.
        values: the arguments, in the order in which they are met.
    """

    def __init__(self, values: Mapping[Node, float], free: Iterable[Node]):
        free = set(free)
        wide = any(node.dtype == torch.float64 for node in free)
        self.leaf = Node("input", (NUMBERS,), torch.float64 if wide else torch.float32)
        self.values: list[float] = []
        self._known = {node: Node("constant", (value,), node.dtype) for node, value in values.items()}
        self._free = {node: value for node, value in values.items() if node in free}
        self._numbers: dict[tuple[Node, bool], Node] = {}
        self._bodies: dict[Body, tuple[Body, dict[Node, Node]]] = {}
        self._outside: dict[Node, Node] = {}

    def graph(self, graph: StepGraph) -> StepGraph:
        """The graph with other constants."""
        groups = {name: tuple(self._all(getattr(graph, name), self._outside)) for name in RESULTS}
        outers = tuple((k, *self._all(pair, self._outside)) for k, *pair in graph.outers)
        return replace(graph, **groups, outers=outers)

    def _all(self, results: Iterable[Node | None], known: dict[Node, Node]) -> list[Node | None]:
        """Rebuild nodes, with those that are known as ends."""
        results = list(results)
        for node in ordered((node for node in results if node is not None), frozenset(known)):
            known[node] = self._made(node, known)
        return [None if node is None else known[node] for node in results]

    def _made(self, node: Node, known: Mapping[Node, Node]) -> Node:
        if node.op == "input":
            return node
        if node in self._free:
            return self._number(node)
        if node.op == "constant":
            return self._known.get(node, node)
        if node.op in ("repeat", "repeat_backward"):
            return self._rounds(node, known)
        args = tuple(known[arg] if isinstance(arg, Node) else arg for arg in node.args)
        if node.op == "div" and node.args[1] in self._free and _has_exact_inverse(self._free[node.args[1]]):
            # As a compiler would do it, were the number known: a division takes ten times as long.
            return Node("mul", (args[0], self._number(node.args[1], inverse=True)), node.dtype)
        return Node(node.op, args, node.dtype)

    def _number(self, node: Node, *, inverse: bool = False) -> Node:
        """An argument in the place of a constant."""
        made = self._numbers.get((node, inverse))
        if made is None:
            value = self._free[node]
            made = self._numbers[node, inverse] = Node("number", (self.leaf, len(self.values)), node.dtype)
            self.values.append(1.0 / value if inverse else value)
        return made

    def _rounds(self, node: Node, known: Mapping[Node, Node]) -> Node:
        """A repetition or its derivative; arguments that are read inside come from outside, like all that is fixed."""
        rounds, *rest = node.args
        if node.op == "repeat":
            body, start, operands, fixed = parts_of_call(node)
            new, _ = self._body(body, known)
            given = [*start, *operands, *fixed]
            return Node(node.op, (new, *(known[arg] for arg in given), *_added(new, len(fixed))), node.dtype)
        call, count = rest[0], len(rounds.fixed)
        body, inner = self._body(rounds.body, known)
        ends = {leaf: leaf for leaf in rounds.arriving} | {each: known[each] for each in rounds.fixed}
        gradients = tuple(self._all(rounds.gradients, inner | ends))
        new = Derivative(body, tuple(known[each] for each in rounds.fixed), rounds.arriving, gradients, rounds.present)
        new = replace(new, fixed=(*new.fixed, *_numbers_within(new, (*body.carried, *body.operands, *rounds.arriving))))
        fixed, arriving = rest[1 : 1 + count], rest[1 + count :]
        args = [known[call], *(known[each] for each in fixed), *_added(new, count), *(known[each] for each in arriving)]
        return Node(node.op, (new, *args), node.dtype)

    def _body(self, body: Body, known: Mapping[Node, Node]) -> tuple[Body, dict[Node, Node]]:
        if body not in self._bodies:
            inner = {leaf: leaf for leaf in (*body.carried, *body.operands)}
            inner |= {each: known[each] for each in body.fixed}
            after = tuple(self._all(body.after, inner))
            new = replace(body, fixed=tuple(known[each] for each in body.fixed), after=after)
            new = replace(new, fixed=(*new.fixed, *_numbers_within(new, (*body.carried, *body.operands))))
            self._bodies[body] = new, inner
        return self._bodies[body]


def _added(rounds: Body | Derivative, count: int) -> tuple[Node, ...]:
    return rounds.fixed[count:]


def _numbers_within(rounds: Body | Derivative, leaves: Iterable[Node]) -> Iterator[Node]:
    """The arguments that a round reads."""
    return (node for node in ordered(results_of(rounds), frozenset((*leaves, *rounds.fixed))) if node.op == "number")


def _has_exact_inverse(value: float) -> bool:
    """Whether to divide by a number is to multiply by another, bit for bit."""
    return abs(frexp(value)[0]) == 0.5 and 2.0**-120 < abs(value) < 2.0**120
