"""A step with matrix products as a program: segments that act on each element by itself, and the products between.

A frame [B, \\*] is a number: one of the leaves, the result of a product, or what a segment hands on. A segment computes
what it needs from the leaves and from the products before it; what two segments need is computed twice, which is less
work than to keep it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..operators.registry import loop_key
from ..record.graph import Node, StepGraph, ordered


@dataclass(frozen=True)
class Segment:
    """Elementwise operations.

    Args:
        key: the key of the loop that runs it, over one step and without states.
        reads: the frames that are its inputs.
        parameters: the numbers of the parameters that it loads.
        writes: the frames that are its outputs.
    """

    key: str
    reads: tuple[int, ...]
    parameters: tuple[int, ...]
    writes: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A frame times a matrix.

    Args:
        matrix: the number of the matrix W.
        transposed: false for x W^T, as in a linear layer; true for x W, as in its gradient.
        source: the frame x.
        target: the frame that is filled.
    """

    matrix: int
    transposed: bool
    source: int
    target: int


@dataclass(frozen=True, eq=False)
class Program:
    """Segments and products in their order.

    Args:
        frames: a node for each frame: what it is.
        leaves: the frames that are given, in the order of the leaves.
        results: the frames of the results, in their order.
        steps: what is done.
    """

    frames: tuple[Node, ...]
    leaves: tuple[int, ...]
    results: tuple[int, ...]
    steps: tuple[Segment | Product, ...]

    @property
    def products(self) -> tuple[Product, ...]:
        """The products among the steps."""
        return tuple(step for step in self.steps if isinstance(step, Product))


def program_of(
    graph: StepGraph,
    leaves: Sequence[Node],
    results: Sequence[Node],
    given: Sequence[Node] = (),
    language: str = "cpp",
) -> Program:
    """The program that computes ``results``.

    Args:
        graph: whose parameters and step it is.
        leaves: the frames that are there.
        results: what is wanted, each in a frame of its own.
        given: products that are there too.
        language: of the segments.
    """
    frames: dict[Node, int] = {node: k for k, node in enumerate((*leaves, *given))}
    nodes: list[Node] = list(frames)
    count = len(nodes)
    steps: list[Segment | Product] = []
    waiting = [node for node in ordered(results, frozenset(given)) if node.op == "product"]
    while waiting:
        # All products whose source follows from what is there.
        ready = [node for node in waiting if not _products(node.args[0], frames)]
        sources = list(dict.fromkeys(node.args[0] for node in ready if node.args[0] not in frames))
        if sources:
            steps.append(_segment(graph, frames, sources, range(len(nodes), len(nodes) + len(sources)), language))
            for source in sources:
                frames[source] = len(nodes)
                nodes.append(source)
        for node in ready:
            frames[node] = len(nodes)
            steps.append(Product(node.args[1], node.args[2], frames[node.args[0]], frames[node]))
            nodes.append(node)
        waiting = [node for node in waiting if node not in frames]
    places = range(len(nodes), len(nodes) + len(results))
    steps.append(_segment(graph, frames, list(results), places, language))
    return Program((*nodes, *results), tuple(range(count)), tuple(places), tuple(steps))


def _products(node: Node, frames: dict[Node, int]) -> list[Node]:
    """The products that are still missing for a node."""
    return [each for each in ordered([node], frozenset(frames)) if each.op == "product"]


def _segment(
    graph: StepGraph, frames: dict[Node, int], results: list[Node], writes: Sequence[int], language: str
) -> Segment:
    made: dict[Node, Node] = {}

    def rebuilt(node: Node) -> Node:
        """The node with frames as leaves."""
        if node in made:
            return made[node]
        if node in frames:
            made[node] = Node("input", (float(frames[node]),), node.dtype)
            read[frames[node]] = made[node]
        elif node.op == "input":
            made[node] = node
        else:
            args = tuple(rebuilt(arg) if isinstance(arg, Node) else arg for arg in node.args)
            made[node] = (
                node if all(a is b for a, b in zip(args, node.args, strict=True)) else Node(node.op, args, node.dtype)
            )
        return made[node]

    read: dict[int, Node] = {}
    for node in ordered(results, frozenset(frames)):
        rebuilt(node)  # sources first, so that nothing goes deep
    outputs = tuple(rebuilt(node) for node in results)
    if not read:
        # A loop has one input at least.
        leaf = next(iter(frames))
        rebuilt(leaf)
    nothing = {"states": (), "state_gradients": (), "next_states": (), "grad_states": (), "output_gradients": ()}
    pointwise = StepGraph(
        **nothing,
        inputs=tuple(read.values()),
        parameters=graph.parameters,
        outputs=outputs,
        grad_inputs=(None,) * len(read),
        grad_parameters=(None,) * len(graph.parameters),
        uniform=graph.uniform,
    )
    used = {node for node in ordered(outputs) if node.op == "input"}
    parameters = tuple(k for k, leaf in enumerate(graph.parameters) if leaf in used)
    return Segment(loop_key(pointwise, language), tuple(read), parameters, tuple(writes))
