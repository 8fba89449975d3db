"""A step with matrix products as a program: segments that act on each element by itself, and the products between.

A frame [B, \\*] is a number: one of the leaves, the result of a product, or what a segment hands on. A segment computes
what it needs from the frames before it; what two segments need is handed on, or computed twice where that is less work.
Frames may have different widths, that of their last axis: these are numbered, and a segment is of one width. One with a
value for each synapse has the width post times pre.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..operators.registry import loop_key
from ..record.graph import PRODUCTS, LineRead, Node, StepGraph, is_pattern, ordered, pattern, pattern_of
from .steps import Dot, Meeting, Product, Program, Segment, sources_of

ROW, CARRIED, READ = range(3)
"""What becomes of a result: it is a row of a sequence, a state of the next step, or only looked at."""
_WORTH_A_FRAME = 4
"""Work of a node from which it is handed on to a later segment; that of an addition is 1, of a product none."""
_COSTS = {"input": 0, "constant": 0, **dict.fromkeys(PRODUCTS, 0), "neg": 0} | dict.fromkeys(
    ("tanh", "exp", "expm1", "log", "log1p", "sigmoid", "sin", "cos", "sinh", "cosh", "erf", "pow", "normal"), 20
)


def program_of(
    graph: StepGraph,
    leaves: Sequence[Node],
    results: Sequence[tuple[Node, int]],
    language: str,
    lines: Sequence[int] = (),
) -> Program:
    """The program that computes ``results``.

    Args:
        graph: whose parameters and step it is.
        leaves: the frames that are there; products among them are not computed again.
        results: what is wanted, and what becomes of it (:data:`ROW`, :data:`CARRIED`, :data:`READ`). Rows and what is
            carried have frames of their own; what is only read may be in any frame.
        language: of the segments.
        lines: the numbers of the leaves that are given to lines of frames; if omitted, the first results are.
    """
    return _Builder(graph, leaves, language).program([node for node, _ in results], [use for _, use in results], lines)


class _Builder:
    def __init__(self, graph: StepGraph, leaves: Sequence[Node], language: str):
        self.graph, self.language = graph, language
        self.nodes: list[Node] = list(leaves)
        self.frames: dict[Node, int] = {node: k for k, node in enumerate(leaves)}
        self.width = _widths_of(graph)
        self.steps: list[_Work | Product | Meeting | Dot] = []

    def program(self, results: Sequence[Node], uses: Sequence[int], lines: Sequence[int]) -> Program:
        count, given = len(self.nodes), frozenset(self.frames)
        # The first that needs a frame for itself gets the one in which the node is computed.
        own: dict[Node, int] = {}
        for use in (ROW, CARRIED):
            for k, node in enumerate(results):
                if uses[k] == use and node not in given and node not in own:
                    own[node] = k
        copies = [k for k, node in enumerate(results) if uses[k] != READ and own.get(node) != k]
        places: dict[int, int] = {}
        waiting = [node for node in ordered(results, given) if node.op in PRODUCTS]
        while True:
            factors = {node: self._factors(node) for node in waiting}
            ready = [node for node in waiting if not any(self._missing(source) for source in factors[node])]
            sources = [source for node in ready for source in factors[node]]
            wanted = [node for node in dict.fromkeys((*sources, *results)) if node not in self.frames]
            wanted = [node for node in wanted if node.op not in PRODUCTS and not self._missing(node)]
            copied = [k for k in copies if k not in places and not self._missing(results[k])]
            self._work(wanted, copied, results, places)
            for node in ready:
                frames = [self.frames[source] for source in factors[node]]
                if node.op != "product":
                    self.steps.append(Meeting(node.op == "matmul" and node.args[2], *frames, self._add(node)))
                    continue
                matrix, transposed = node.args[1:]
                if len(frames) == 2:
                    self.steps.append(Dot(matrix, *frames, self._add(node)))
                    continue
                if isinstance(matrix, LineRead) and not transposed:
                    frames = [lines[matrix.line] if lines else places.get(matrix.line, frames[0])]
                self.steps.append(Product(matrix, transposed, *frames, self._add(node)))
            if not waiting:
                break
            waiting = [node for node in waiting if node not in self.frames]
        self._hand_on()
        found = tuple(places[k] if k in places else self.frames[node] for k, node in enumerate(results))
        widths = tuple(self.width(node) for node in self.nodes)
        steps = [self._segment(step) if isinstance(step, _Work) else step for step in self.steps]
        steps = self._without_copies(steps, found)
        return Program(tuple(self.nodes), widths, tuple(range(count)), found, tuple(steps))

    def _factors(self, node: Node) -> list[Node]:
        """What a product is of: of a sum of products that need not be written down these."""
        source = node.sources[0]
        if is_pattern(node) and not node.args[2] and source.op == "mul":
            number, axis = pattern_of(node.args[1])
            across = pattern(number, -3 - axis)
            for one, other in (source.args, source.args[::-1]):
                if one in self.frames and not repeats(one) and repeats(other) and other.args[1] == across and axis > -3:
                    return [one, other.args[0]]
        return node.sources

    def _without_copies(self, steps: list[Any], results: Sequence[int]) -> list[Any]:
        """The steps without frames that only repeat others and that nobody reads as they are."""
        read = {*results}
        for step in steps:
            read.update(step.reads if isinstance(step, Segment) else sources_of(step))
        return [step for step in steps if not (isinstance(step, Product) and step.copies and step.target not in read)]

    def _missing(self, node: Node) -> bool:
        """Whether a product is still missing for a node."""
        return any(each.op in PRODUCTS for each in ordered([node], frozenset(self.frames)))

    def _add(self, node: Node) -> int:
        place = len(self.nodes)
        self.frames.setdefault(node, place)
        self.nodes.append(node)
        return place

    def _work(
        self, wanted: Sequence[Node], copied: Sequence[int], results: Sequence[Node], places: dict[int, int]
    ) -> None:
        """Compute nodes, each in a frame of its own, and copies of results, one segment for each width."""
        before = dict(self.frames)
        every = [(node, self._add(node)) for node in (*wanted, *(results[k] for k in copied))]
        places.update(zip(copied, (place for _, place in every[len(wanted) :]), strict=True))
        for width in dict.fromkeys(self.width(node) for node, _ in every):
            self.steps.append(_Work(width, dict(before), [pair for pair in every if self.width(pair[0]) == width]))

    def _hand_on(self) -> None:
        """Frames for what a segment would compute a second time, where that is more work than to read it."""
        fixed = _fixed(self.graph)
        first: dict[Node, int] = {}
        works = [step for step in self.steps if isinstance(step, _Work)]
        for number, work in enumerate(works):
            made = ordered([node for node, _ in work.results], frozenset(work.frames))
            known = {node for node in made if node in first}
            # Those at the border to what is new here, the last ones first: they may spare what is before them.
            new = [node for node in made if node not in known]
            border = {source for node in new for source in node.sources} | {node for node, _ in work.results}
            for node in reversed([node for node in made if node in known and node in border]):
                if node in work.frames or node in fixed or node.dtype == torch.int64 or node.op.startswith("repeat"):
                    continue
                again = ordered([node], frozenset(work.frames) | fixed)
                if sum(_COSTS.get(each.op, 1) for each in again) < _WORTH_A_FRAME:
                    continue
                place = self._add(node)
                works[first[node]].results.append((node, place))
                for later in works[first[node] + 1 :]:
                    later.frames.setdefault(node, place)
            for node in ordered([node for node, _ in work.results], frozenset(work.frames)):
                first.setdefault(node, number)

    def _segment(self, work: "_Work") -> Segment:
        graph, frames = self.graph, work.frames
        results = [node for node, _ in work.results]
        made: dict[Node, Node] = {}
        read: dict[int, Node] = {}
        spread: dict[int, Node] = {}
        # A loop has one input at least, which is as wide as its results.
        whole = next((node for node in frames if self.width(node) == work.width and not repeats(node)), None)

        def rebuilt(node: Node) -> Node:
            """The node with frames as leaves."""
            if node in made:
                return made[node]
            if node in frames:
                made[node] = Node("input", (float(frames[node]),), node.dtype)
                spreads = whole is not None and repeats(node)
                (spread if spreads else read)[frames[node]] = made[node]
            elif node.op == "input":
                made[node] = node
            else:
                args = tuple(rebuilt(arg) if isinstance(arg, Node) else arg for arg in node.args)
                same = all(a is b for a, b in zip(args, node.args, strict=True))
                made[node] = node if same else Node(node.op, args, node.dtype)
            return made[node]

        for node in ordered(results, frozenset(frames)):
            rebuilt(node)  # sources first, so that nothing goes deep
        outputs = tuple(rebuilt(node) for node in results)
        if not read:
            rebuilt(whole)
        nothing = {"states": (), "state_gradients": (), "next_states": (), "grad_states": (), "output_gradients": ()}
        pointwise = StepGraph(
            **nothing,
            inputs=tuple(read.values()),
            parameters=(*graph.parameters, *spread.values()),
            outputs=outputs,
            grad_inputs=(None,) * len(read),
            grad_parameters=(None,) * (len(graph.parameters) + len(spread)),
            uniform=graph.uniform,
        )
        used = {node for node in ordered(outputs) if node.op == "input"}
        parameters = tuple(k for k, leaf in enumerate(graph.parameters) if leaf in used)
        writes = tuple(place for _, place in work.results)
        known = len(graph.parameters)
        repeated = tuple((self.frames[self.nodes[k].args[0]], self.nodes[k].args[1]) for k in spread)
        return Segment(loop_key(pointwise, self.language), work.width, tuple(read), parameters, writes, repeated, known)


@dataclass
class _Work:
    """A segment to be: its width, the frames that are there before it, and the nodes and frames that it fills."""

    width: int
    frames: dict[Node, int]
    results: list[tuple[Node, int]]


def repeats(node: Node) -> bool:
    """Whether a node is a frame that only repeats along an axis of synapses."""
    return is_pattern(node) and node.args[2]


def _fixed(graph: StepGraph) -> frozenset[Node]:
    """What depends on parameters alone, which a segment computes once for many elements."""
    found = set(graph.parameters)
    groups = graph.next_states, graph.outputs, graph.lines, graph.grad_states, graph.grad_inputs, graph.grad_parameters
    results = [node for group in (*groups, graph.grad_lines) for node in group if node is not None]
    for node in ordered([*results, *(node for _, *pair in graph.outers for node in pair)]):
        if node.op != "input" and all(source in found for source in node.sources):
            found.add(node)
    return frozenset(found)


def _widths_of(graph: StepGraph) -> Callable[[Node], int]:
    """The number of the width of a node; of one that broadcasts, that of the frames of the step."""
    known: dict[Node, int | None] = dict.fromkeys(graph.parameters)
    inputs, states, outputs, parameters = graph.widths
    pairs = {number: pair for number, *pair in graph.pairs}
    known.update((leaf, k) for leaf, k in zip(graph.parameters, parameters, strict=False) if k in pairs)
    for leaves, widths in (
        (graph.inputs, inputs),
        (graph.states, states),
        (graph.state_gradients, states),
        (graph.output_gradients, outputs),
    ):
        known.update(zip(leaves, widths or (0,) * len(leaves), strict=True))

    def width(node: Node) -> int:
        for each in ordered([node], frozenset(known)):
            if each.op == "product" and isinstance(each.args[1], LineRead):
                _, line, transposed = each.args
                if line.matrix < 0 or transposed:
                    known[each] = width(graph.lines[line.line])
                else:
                    known[each] = graph.matrices[line.matrix][1] if graph.matrices else 0
            elif is_pattern(each):
                number, axis = pattern_of(each.args[1])
                known[each] = number if each.args[2] else graph.row if axis == -3 else pairs[number][-3 - axis]
            elif each.op == "outer":
                known[each] = each.args[2]
            elif each.op == "matmul":
                known[each] = pairs[known[each.args[1]]][1 if each.args[2] else 0]
            elif each.op == "product":
                sizes = graph.matrices[each.args[1]] if graph.matrices else (0, 0)
                known[each] = sizes[1] if each.args[2] else sizes[0]
            else:
                known[each] = next((known[source] for source in each.sources if known[source] is not None), None)
        return known[node] or 0

    return width
