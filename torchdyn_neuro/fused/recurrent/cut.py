"""A step with matrix products inside, cut at its products into what a loop over time runs."""

import functools
import hashlib
import threading
from collections.abc import Iterable, Sequence

import torch

from ...native.compiler import CompilerUnavailableError
from ...sparse.event_product import event_library
from ..operators.registry import compile_loops
from ..record.graph import PRODUCTS, LineRead, Node, StepGraph, is_pattern, learned, ordered
from ..record.repeat import expanded
from .arrivals import Arrivals
from .lines import merged
from .network_native import Encoded, library
from .program import CARRIED, READ, ROW, program_of

_cuts: dict[str, "Cut"] = {}


class Cut:
    """A graph with products, as the programs of its forward and its backward step.

    Args:
        key: by which :func:`get_cut` finds it.
        graph: the step.
        training: whether there is a backward step.
        language: of the segments.

    Attributes:
        products: those of a step.
        carried: the numbers of the states that have a gradient.
        arriving: the numbers, among all states, of these and of the lines.
        reads: how lines are read.
        learned: the numbers of the matrices, and of shares, that have a gradient.
    """

    def __init__(self, key: str, graph: StepGraph, training: bool, language: str):
        graph = graph if language == "cpp" else expanded(graph)
        self.key, self.graph, self.language, self.training = key, graph, language, training
        self.products = _products((*graph.next_states, *graph.outputs, *graph.lines))
        self.carried = tuple(k for k, leaf in enumerate(graph.states) if training and leaf.dtype.is_floating_point)
        results = [*graph.next_states, *graph.outputs, *graph.lines]
        reads = [node.args[1] for node in ordered(results) if node.op == "product"]
        self.reads = tuple(read for read in reads if isinstance(read, LineRead))
        flags = [k in self.carried for k in range(len(graph.states))]
        flags = merged(graph, flags, [training] * len(graph.lines))
        self.arriving = tuple(k for k, wanted in enumerate(flags) if wanted)
        self.learned = tuple(sorted({learned(matrix) for matrix, *_ in graph.outers}))
        self.reverse: dict[bool, Reverse] = {}
        self._forward: dict[bool, Encoded] = {}

    @functools.cached_property
    def dtype(self) -> torch.dtype:
        """The type of the matrices."""
        return self.dtypes[0]

    @functools.cached_property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The types of all products, which have to be one."""
        graph = self.graph
        groups = graph.next_states, graph.outputs, graph.grad_states, graph.grad_inputs, graph.grad_parameters
        results = [node for group in groups for node in group if node is not None]
        products = [node for node in ordered(results) if node.op in PRODUCTS]
        return tuple(dict.fromkeys(node.dtype for node in (*products, *graph.lines)))

    def forward(self, keep: bool) -> Encoded:
        """The forward step; its results are given to lines, states, outputs, and with ``keep`` products."""
        if keep not in self._forward:
            graph = self.graph
            results = [*_used(graph.lines, ROW), *_used(graph.next_states, CARRIED), *_used(graph.outputs, ROW)]
            results += _used(self.products, ROW) if keep else []
            leaves = *graph.inputs, *graph.states
            program = program_of(graph, leaves, results, self.language)
            self._forward[keep] = Encoded(self.language, graph, program)
        return self._forward[keep]

    def backward(self, keep: bool) -> "Reverse":
        """The backward step, where products are kept or computed again."""
        if keep not in self.reverse:
            self.reverse[keep] = Reverse(self, keep)
        return self.reverse[keep]

    def compile(self) -> None:
        """Compile the segments, and beside them the driver; raises :class:`CompilerUnavailableError`."""
        failures: list[Exception] = []
        programs = [self.forward(self.training)]
        if self.training:
            programs.append(self.backward(keep=True).encoded)
        keys = dict.fromkeys(key for encoded in programs for key in encoded.keys)

        def compile_segments() -> None:
            try:
                compile_loops(keys, training=False)
            except Exception as error:  # raised by who waits for this thread
                failures.append(error)

        threads = [threading.Thread(target=compile_segments)]
        if self.language == "cpp":
            # What the gradients of matrices are computed with, so that it is there when it is wanted.
            threads.append(threading.Thread(target=event_library, args=(self.dtype,)))
        for thread in threads:
            thread.start()
        missing = self.language == "cpp" and library(self.dtype) is None
        for thread in threads:
            thread.join()
        for failure in failures:
            raise failure
        if missing:
            raise CompilerUnavailableError("there is no C++ compiler")


class Reverse:
    """The backward step of a cut, and the replay of the states that it reads.

    Args:
        cut: whose it is.
        keep: whether products are given, not computed again.

    Attributes:
        arrivals: where gradients arrive.
        states: the numbers of the states that are replayed.
        encoded: the programs of the replay and of the backward step.
        leaving: the frames of the gradients of the states that are carried; -1 where zero.
        inputs, parameters: the frames of the gradients of inputs and parameters; absent where zero.
        lines: the frames of the gradients of what is given to lines; -1 where zero.
        factors: for each pair whose product is part of the gradient of a matrix the number of the matrix, and for
            gradient and source where that is, and its number or frame; for each gradient of shares likewise.
        rows: the frames that are rows of sequences.
    """

    def __init__(self, cut: Cut, keep: bool):
        self.arrivals = Arrivals(cut.graph)
        graph = self.arrivals.graph
        single = [node for group in (graph.grad_inputs, graph.grad_parameters) for node in group if node is not None]
        single += [node for node in graph.grad_lines if node is not None]
        single += [graph.grad_states[k] for k in cut.carried if graph.grad_states[k] is not None]
        # All that was given to a line is there.
        pairs = [node for _, *pair in graph.outers for node in pair if node not in graph.lines]
        pairs = [node for node in pairs if _window_of(node) is None]
        given = (*graph.lines, *(cut.products if keep else ()))
        self.states = _replayed(graph, [*single, *pairs, *(() if keep else cut.products)], frozenset(given))
        leaves = *graph.inputs, *graph.states
        count = len(leaves)
        self.replay = program_of(
            graph,
            (*leaves, *given),
            [
                *_used(() if keep else cut.products, CARRIED),
                *_used([graph.next_states[k] for k in self.states], CARRIED),
            ],
            cut.language,
            range(count, count + len(graph.lines)),
        )
        inputs = {leaf: k for k, leaf in enumerate(graph.inputs)}
        rows = [node for node in (*graph.grad_inputs, *(node for node in pairs if node not in inputs)) if node]
        rows = list(dict.fromkeys(rows))
        carried = [graph.grad_states[k] for k in cut.carried if graph.grad_states[k] is not None]
        read = [node for node in graph.grad_parameters if node is not None]
        back = [node for node in graph.grad_lines if node is not None]
        count += len(graph.state_gradients) + len(graph.output_gradients)
        known = *graph.inputs, *graph.states, *graph.state_gradients, *graph.output_gradients, *graph.lines
        self.program = program_of(
            graph,
            (*known, *cut.products),
            [*_used(back, ROW), *_used(rows, ROW), *_used(carried, CARRIED), *_used(read, READ)],
            cut.language,
            range(count, count + len(graph.lines)),
        )
        self.encoded = Encoded(cut.language, graph, self.replay, self.program)
        lines, found = iter(self.program.results[: len(back)]), self.program.results[len(back) :]
        self.lines = tuple(-1 if node is None else next(lines) for node in graph.grad_lines)
        places = dict(zip(rows, found, strict=False))
        others = iter(found[len(rows) :])
        self.rows = tuple(places.values())
        self.leaving = tuple(-1 if graph.grad_states[k] is None else next(others) for k in cut.carried)
        self.inputs = tuple(None if node is None else places[node] for node in graph.grad_inputs)
        self.parameters = tuple(None if node is None else next(others) for node in graph.grad_parameters)

        def place(node: Node) -> tuple[str, int]:
            if node in graph.lines:
                return "line", graph.lines.index(node)
            if _window_of(node) is not None:
                return "window", _window_of(node)
            return ("input", inputs[node]) if node in inputs else ("row", places[node])

        self.factors = [(number, *map(place, pair)) for number, *pair in graph.outers]


def _used(nodes: Iterable[Node], use: int) -> list[tuple[Node, int]]:
    return [(node, use) for node in nodes]


def _window_of(node: Node) -> int | None:
    """The number of the line of which a node is all frames."""
    line = node.args[1] if node.op == "product" else None
    return line.line if isinstance(line, LineRead) and line.matrix >= 0 and not node.args[2] else None


def _products(results: Sequence[Node]) -> tuple[Node, ...]:
    """Those that are worth a place; what is only repeated along an axis, or read from a line, is not."""
    nodes = [node for node in ordered(results) if node.op in ("product", "matmul")]
    nodes = [node for node in nodes if node.op == "matmul" or not isinstance(node.args[1], LineRead)]
    return tuple(node for node in nodes if not (is_pattern(node) and node.args[2]))


def _replayed(graph: StepGraph, results: Sequence[Node], given: frozenset[Node]) -> tuple[int, ...]:
    """The numbers of the states that the results read, and of those that these are replayed from."""
    states: set[int] = set()
    while True:
        nodes = {*ordered([*results, *(graph.next_states[k] for k in sorted(states))], given)}
        wanted = states | {k for k, leaf in enumerate(graph.states) if leaf in nodes}
        if wanted == states:
            return tuple(sorted(states))
        states = wanted


def cut_of(graph: StepGraph, training: bool, language: str) -> Cut:
    """The cut of a graph, the same one for all layers whose step computes the same."""
    key = hashlib.sha256(f"{language} {training}\n{graph.describe()}".encode()).hexdigest()[:24]
    if key not in _cuts:
        _cuts[key] = Cut(key, graph, training, language)
    return _cuts[key]


def get_cut(key: str) -> Cut:
    """The cut of that key."""
    return _cuts[key]


def cut_parameters(graph: StepGraph) -> list[int]:
    """The numbers of the parameters that a step with products reads, or has a gradient for."""
    results = [*graph.next_states, *graph.outputs, *graph.grad_states, *graph.grad_inputs, *graph.grad_parameters]
    results += [*graph.lines, *graph.grad_lines]
    results += [node for _, *pair in graph.outers for node in pair]
    read = {*ordered(node for node in results if node is not None)}
    pairs = enumerate(zip(graph.parameters, graph.grad_parameters, strict=True))
    return [k for k, (leaf, gradient) in pairs if leaf in read or gradient is not None]
