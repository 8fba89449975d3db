"""Where gradients arrive in a step with products: what does not arrive is absent and not zero.

Zero times an infinite slope is NaN, where torch has no gradient at all. Which of the gradients of the outputs and of
the last states arrive is known when the backward loop begins, and from it for each step. A flag for each set of them
that matters is a parameter of the backward program, with a value for each step. Where values that are made of different
sets meet, and where a result leaves, one that is made of none that arrives is put to zero; in between it may be
anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..record.graph import PRODUCTS, LineRead, Node, StepGraph, is_pattern, ordered
from ..record.repeat import arrivals_of, keeps_zero


class Arrivals:
    """The derivative of a step with products, zero where no gradient arrives.

    Args:
        graph: the step.

    Attributes:
        graph: the same, with flags as parameters behind its own.
        factors: for each of its outer products the column of whether the gradient in it arrives.
    """

    def __init__(self, graph: StepGraph):
        self.of = graph
        pairs = [node for _, *pair in graph.outers for node in pair]
        groups = graph.grad_states, graph.grad_inputs, graph.grad_parameters, graph.grad_lines
        results = [node for group in groups for node in group if node is not None]
        nodes = ordered([*results, *pairs])
        self._lines = [Node("input", ("line", k), line.dtype) for k, line in enumerate(graph.lines)]
        self._made_of = arrivals_of(nodes, (*graph.state_gradients, *graph.output_gradients), self._lines)
        self._flags: dict[frozenset[Node], Node] = {}
        self._columns: dict[frozenset[Node], int] = {}
        self._made: dict[Node, Node] = {}
        self._given: dict[Node, Node] = {}
        self._loose: set[Node] = set()
        for node in nodes:
            self._made[node] = self._rebuilt(node)
        grads = [tuple(None if node is None else self._at_rest(node) for node in group) for group in groups]
        outers = tuple((k, self._made[g], self._made[x]) for k, g, x in graph.outers)
        count, flags = len(graph.parameters), tuple(self._flags.values())
        self._columns = {leaves: column for column, leaves in enumerate(self._flags)}
        made_of = [self._made_of[g] for _, g, _ in graph.outers]
        self.factors = [self._columns.setdefault(leaves, len(self._columns)) for leaves in made_of]
        self.graph = replace(
            graph,
            parameters=(*graph.parameters, *flags),
            grad_states=grads[0],
            grad_inputs=grads[1],
            grad_parameters=grads[2],
            grad_lines=grads[3],
            outers=outers,
            uniform=graph.uniform | {*range(count, count + len(flags))},
        )
        self.count = len(flags)

    def _rebuilt(self, node: Node) -> Node:
        """A node whose sources are at rest where it is made of more than they are."""
        leaves = self._made_of[node]
        if node.op == "repeat_backward":
            # Its rounds look at each gradient by itself.
            derivative, *args = node.args
            args = [self._at_rest(arg) for arg in args]
            flags = [self._flag(self._made_of[arg]) for arg in node.args[-len(derivative.present) :]]
            return Node(node.op, (derivative, *args, *flags), node.dtype)
        # What is left in a line stays there for other steps.
        loose = not _is_line(node)
        alike = [arg for arg in node.sources if loose and leaves and self._made_of[arg] == leaves]
        known = {arg: self._made[arg] if arg in alike else self._at_rest(arg) for arg in node.sources}
        args = [known[arg] if isinstance(arg, Node) else arg for arg in node.args]
        if (leaves and not _keeps_zero(node)) or not self._loose.isdisjoint(alike):
            self._loose.add(node)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        return node if same else Node(node.op, tuple(args), node.dtype)

    def _at_rest(self, node: Node) -> Node:
        """A node that is zero where nothing arrives that it is made of."""
        if node not in self._loose:
            return self._made[node]
        if node not in self._given:
            if node.op == "cast":
                self._given[node] = Node("cast", (self._at_rest(*node.args),), node.dtype)
            else:
                zero = Node("constant", (0.0,), node.dtype)
                args = self._flag(self._made_of[node]), self._made[node], zero
                self._given[node] = Node("where", args, node.dtype)
        return self._given[node]

    def _flag(self, leaves: frozenset[Node]) -> Node:
        return self._flags.setdefault(leaves, Node("input", ("arrives", len(self._flags)), torch.bool))

    def table(
        self,
        like: Tensor,
        steps: int,
        outputs: Sequence[Tensor | None],
        states: Sequence[Tensor | None],
        lines: Sequence[Tensor | None],
    ) -> "Table":
        """Which flags are set in each step.

        Args:
            like: for the device.
            steps: how many.
            outputs, states, lines: the gradients of outputs, last states and last lines; ``None`` for those absent.
        """
        graph = self.of
        coming = _present(graph.output_gradients, outputs)
        leaves_of_states, gradients = (*graph.state_gradients, *self._lines), (*graph.grad_states, *graph.grad_lines)
        states = _present(leaves_of_states, (*states, *lines))
        rows: list[tuple[bool, ...]] = []
        while len(rows) < steps:
            present = coming | states
            rows.append(tuple(not leaves.isdisjoint(present) for leaves in self._columns))
            before = _present(
                leaves_of_states,
                [None if node is None or present.isdisjoint(self._made_of[node]) else node for node in gradients],
            )
            if before == states:
                rows += [rows[-1]] * (steps - len(rows))
            states = before
        return Table(like, rows[::-1], self.count)


def _present(leaves: Iterable[Node], found: Iterable[object]) -> frozenset[Node]:
    return frozenset(leaf for leaf, each in zip(leaves, found, strict=True) if each is not None)


def _is_line(node: Node) -> bool:
    return node.op == "product" and isinstance(node.args[1], LineRead)


def _keeps_zero(node: Node) -> bool:
    """Whether zeros come out wherever zeros go in: of a product only if it goes along a line or an axis of synapses."""
    return (_is_line(node) or is_pattern(node)) if node.op in PRODUCTS else keeps_zero(node)


class Table:
    """Flags for each step.

    Args:
        like: for the device.
        rows: the flags of each step.
        count: how many of a step's are parameters of a program; others are only looked at here.

    Attributes:
        values: [steps, count], for the program.
    """

    def __init__(self, like: Tensor, rows: Sequence[Sequence[bool]], count: int):
        self.columns = list(zip(*rows, strict=True))
        self.values = like.new_ones((len(rows), count), dtype=torch.bool)
        for k, column in enumerate(self.columns[:count]):
            # Written on the device, for a recording of its work takes no copy from elsewhere.
            for begin, end in runs(column, wanted=False):
                self.values[begin:end, k] = False

    def present(self, column: int, part: slice) -> Iterable[tuple[int, int]]:
        """Of these steps, those in which the flags of a column are set: the first and the end of each run."""
        for begin, end in runs(self.columns[column][part]):
            yield part.start + begin, part.start + end


def runs(flags: Sequence[bool], *, wanted: bool = True) -> Iterator[tuple[int, int]]:
    """The first and the end of each run of one value.

    Example:
        >>> list(runs([True, True, False, True])), list(runs([True, False], wanted=False))
        ([(0, 2), (3, 4)], [(1, 2)])
    """
    begin = 0
    for k in range(len(flags) + 1):
        if k == len(flags) or flags[k] != wanted:
            if begin < k:
                yield begin, k
            begin = k + 1
