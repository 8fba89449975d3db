"""Repetitions in a graph: nodes that stand for a loop over a small graph of its own, and the graph without them.

The format, beside that of :mod:`~torchdyn_neuro.fused.record.graph`:

- ``"repeat"`` (a :class:`Body`, then nodes: what is carried, at the start; the operands; the fixed nodes of the body)
  is the loop; ``"repeated"`` (that node, k, i) is number i of what is carried, after k + 1 rounds.
- ``"repeat_backward"`` (a :class:`Derivative`, the ``"repeat"`` node, then nodes: the fixed ones of the derivative; the
  gradients that arrive; in a step with products a flag for each of whether it does) is the loop of the derivative, from
  the last round to the first; ``"repeat_gradient"`` (that node, j) is the gradient of number j of what is carried at
  the start, of the operands and of the parameters.

Fixed nodes depend on parameters alone. The nodes of a body and of a derivative have the leaves of the body, and the
fixed nodes themselves, as their ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from .graph import LineRead, Node, StepGraph, ordered
from .ops import OPS


@dataclass(frozen=True, eq=False, repr=False)
class Body:
    """One round.

    Args:
        count: how many rounds.
        carried: leaves, what goes from round to round.
        operands: leaves, what is the same in all.
        fixed: nodes that depend on parameters alone.
        after: what is carried to the next round.
    """

    count: int
    carried: tuple[Node, ...]
    operands: tuple[Node, ...]
    fixed: tuple[Node, ...]
    after: tuple[Node, ...]

    def __repr__(self) -> str:
        return f"{self.count} times ({_text((*self.carried, *self.operands, *self.fixed), self.after)})"


@dataclass(frozen=True, eq=False, repr=False)
class Derivative:
    """The vector-Jacobian product of one round.

    Args:
        body: the round.
        fixed: nodes that depend on parameters alone.
        arriving: leaves, the gradients of what is carried after the round.
        gradients: of what is carried, of the operands, of parameters; ``None`` where zero.
        present: round and number of each gradient that arrives from outside.
    """

    body: Body
    fixed: tuple[Node, ...]
    arriving: tuple[Node, ...]
    gradients: tuple[Node | None, ...]
    present: tuple[tuple[int, int], ...]

    def __repr__(self) -> str:
        leaves = (*self.body.carried, *self.body.operands, *self.fixed, *self.arriving)
        return f"back {self.present} ({_text(leaves, self.gradients)})"


def _text(leaves: Iterable[Node], results: Iterable[Node | None]) -> str:
    numbers = {leaf: k for k, leaf in enumerate(leaves)}
    lines = [f"{leaf.dtype}" for leaf in numbers]
    results = list(results)
    for node in ordered((node for node in results if node is not None), frozenset(numbers)):
        args = [f"%{numbers[arg]}" if isinstance(arg, Node) else repr(arg) for arg in node.args]
        numbers[node] = len(numbers)
        lines.append(f"{node.op}({', '.join(args)}) {node.dtype}")
    return "; ".join([*lines, " ".join("-" if node is None else f"%{numbers[node]}" for node in results)])


def keeps_zero(node: Node) -> bool:
    """Whether zeros come out wherever a derivative's node gets zeros; the rounds of a repetition see to that within."""
    if node.op in ("mul", "div"):
        plain = [source for source in node.sources if source.op in ("constant", "number")]
        return len(plain) == 1 and (plain[0].op == "number" or (isfinite(plain[0].args[0]) and plain[0].args[0] != 0))
    kept = ("add", "sub", "neg", "where", "cast", "constant", "number", "input", "repeat_backward", "repeat_gradient")
    return node.op in kept or OPS[node.op].mask


def arrivals(derivative: Derivative) -> dict[Node, frozenset[int]]:
    """The numbers of the arriving gradients of which a node of a derivative is made."""
    found = {leaf: frozenset([i]) for i, leaf in enumerate(derivative.arriving)}
    for node in ordered(g for g in derivative.gradients if g is not None):
        if node not in found:
            found[node] = frozenset().union(*(found.get(source, ()) for source in node.sources))
    return found


def arriving_at(gradient: Node) -> list[Node]:
    """The gradients from outside of which a ``"repeat_gradient"`` is made."""
    call, j = gradient.args
    derivative, _, *rest = call.args
    outside = dict(zip(derivative.present, rest[len(derivative.fixed) :], strict=True))
    within = arrivals(derivative)
    made = [within.get(g, frozenset()) for g in derivative.gradients]
    count = len(derivative.body.carried)
    after: list[set[Node]] = [set() for _ in range(count)]
    found: set[Node] = set()
    for k in reversed(range(derivative.body.count)):
        after = [now | {outside[k, i]} if (k, i) in outside else now for i, now in enumerate(after)]
        found |= set().union(*(after[i] for i in made[j]))
        after = [set().union(*(after[i] for i in made[m])) for m in range(count)]
    return list(after[j] if j < count else found)


def arrivals_of(
    nodes: Iterable[Node], leaves: Iterable[Node], lines: Sequence[Node] = ()
) -> dict[Node, frozenset[Node]]:
    """Of which of the gradients that arrive each node of a derivative is made.

    Args:
        nodes: each after its sources.
        leaves: gradients that arrive.
        lines: for each line of frames, what stands for the gradients that later steps have left in it.
    """
    found = {leaf: frozenset([leaf]) for leaf in (*leaves, *lines)}
    for node in nodes:
        if node not in found:
            sources = arriving_at(node) if node.op == "repeat_gradient" else node.sources
            if node.op == "product" and isinstance(node.args[1], LineRead) and node.args[2]:
                sources = [*sources, lines[node.args[1].line]]
            found[node] = frozenset().union(*(found.get(source, ()) for source in sources))
    return found


def has_repeats(graph: StepGraph) -> bool:
    """Whether a step holds a repetition."""
    return any(node.op == "repeat" for node in ordered(graph.next_states + graph.outputs))


def expanded(graph: StepGraph) -> StepGraph:
    """The same step with every round written out, for a language without such loops."""
    copy = _Copy()
    groups = ("next_states", "outputs", "grad_states", "grad_inputs", "grad_parameters")
    outers = tuple((k, *map(copy.node, pair)) for k, *pair in graph.outers)
    return replace(graph, **{name: tuple(map(copy.node, getattr(graph, name))) for name in groups}, outers=outers)


class _Copy:
    """Copies of nodes, equal ones only once."""

    def __init__(self) -> None:
        self.known: dict[Node, Node] = {}
        self.interned: dict[tuple, Node] = {}
        self.paths: dict[Node, list[list[Node]]] = {}
        self.gradients: dict[Node, list[Node]] = {}

    def node(self, node: Node | None) -> Node | None:
        """The copy of a node of the step."""
        if node is None:
            return None
        for each in ordered([node], frozenset(self.known)):
            if each.op == "repeat":
                self.paths[each] = self._path(each)
            elif each.op == "repeat_backward":
                self.gradients[each] = self._backward(each)
            elif each.op == "repeated":
                call, k, i = each.args
                self.known[each] = self.paths[call][k + 1][i]
            elif each.op == "repeat_gradient":
                self.known[each] = self.gradients[each.args[0]][each.args[1]]
            else:
                self.known[each] = self._made(each, self.known)
        return self.known[node]

    def _made(self, node: Node, known: dict[Node, Node]) -> Node:
        if node.op == "input":
            return node
        args = tuple(known[arg] if isinstance(arg, Node) else arg for arg in node.args)
        return self._new(node.op, args, node.dtype)

    def _new(self, op: str, args: tuple, dtype: object) -> Node:
        key = (op, tuple(id(arg) if isinstance(arg, Node) else repr(arg) for arg in args), dtype)
        return self.interned.setdefault(key, Node(op, args, dtype))

    def _path(self, call: Node) -> list[list[Node]]:
        body, start, operands, fixed = parts_of_call(call)
        given = self._given(body, operands, body.fixed, fixed)
        states = [[self.known[node] for node in start]]
        for _ in range(body.count):
            states.append(self._round(body.after, given | dict(zip(body.carried, states[-1], strict=True))))
        return states

    def _backward(self, node: Node) -> list[Node]:
        derivative, call, *rest = node.args
        body, _, operands, _ = parts_of_call(call)
        fixed, outside = rest[: len(derivative.fixed)], rest[len(derivative.fixed) :]
        given = self._given(body, operands, derivative.fixed, fixed)
        arriving = dict(zip(derivative.present, outside, strict=True))
        count = len(body.carried)
        carried: list[Node | None] = [None] * count
        sums: list[Node | None] = [None] * (len(derivative.gradients) - count)
        for k in reversed(range(body.count)):
            carried = [self._sum(g, self.known.get(arriving.get((k, i)))) for i, g in enumerate(carried)]
            known = given | dict(zip(body.carried, self.paths[call][k], strict=True))
            results = self._vector_jacobian(derivative, carried, known)
            carried = results[:count]
            sums = list(map(self._sum, sums, results[count:]))
        likes = (*body.carried, *(g or body.carried[0] for g in derivative.gradients[count:]))
        return [
            self._new("constant", (0.0,), like.dtype) if found is None else found
            for like, found in zip(likes, (*carried, *sums), strict=True)
        ]

    def _sum(self, one: Node | None, two: Node | None) -> Node | None:
        if one is None or two is None:
            return two if one is None else one
        return self._new("add", (one, two), one.dtype)

    def _vector_jacobian(
        self, derivative: Derivative, arriving: list[Node | None], known: dict[Node, Node]
    ) -> list[Node | None]:
        """One round: a gradient made of none that arrives is absent, and zero on the way to others."""
        absent = {leaf for leaf, node in zip(derivative.arriving, arriving, strict=True) if node is None}
        for leaf, node in zip(derivative.arriving, arriving, strict=True):
            known[leaf] = self._new("constant", (0.0,), leaf.dtype) if node is None else node
        made_of = arrivals(derivative)
        results = [g for g in derivative.gradients if g is not None]
        for node in ordered(results, frozenset(known)):
            leaves = {derivative.arriving[i] for i in made_of[node]}
            if leaves and leaves <= absent:
                absent.add(node)
            none = node in absent and not keeps_zero(node)
            known[node] = self._new("constant", (0.0,), node.dtype) if none else self._made(node, known)
        return [None if g is None or g in absent else known[g] for g in derivative.gradients]

    def _given(self, body: Body, operands: list[Node], fixed: Iterable[Node], outside: list[Node]) -> dict[Node, Node]:
        given = dict(zip(body.operands, (self.known[node] for node in operands), strict=True))
        return given | dict(zip(fixed, (self.known[node] for node in outside), strict=True))

    def _round(self, results: Iterable[Node], known: dict[Node, Node]) -> list[Node]:
        results = list(results)
        for node in ordered(results, frozenset(known)):
            known[node] = self._made(node, known)
        return [known[node] for node in results]


def parts_of_call(call: Node) -> tuple[Body, list[Node], list[Node], list[Node]]:
    """The body of a ``"repeat"``, what is carried at the start, the operands and the fixed nodes."""
    body, *rest = call.args
    first = len(body.carried)
    second = first + len(body.operands)
    return body, rest[:first], rest[first:second], rest[second:]
