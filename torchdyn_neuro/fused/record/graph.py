"""One time step and its derivative as a graph of elementwise operations, shared by every emitter.

The format, from the leaves up:

- A :class:`Node` is one elementwise operation. ``op`` is a name in the table of
  :mod:`torchdyn_neuro.fused.record.ops`, or ``"input"`` (a leaf) or ``"constant"`` (its one argument is the value); the
  arguments of everything else are nodes. ``dtype`` is the type of the result in torch's terms: float32 or float64
  for a computation, whose arguments have that type too; ``torch.bool`` for a mask. Only leaves and the operation
  ``"cast"`` have other types: bfloat16 and float16, which are held as float32 after rounding, and uint8. The value of
  a constant is one that its type holds. Equal
  operations are one node. Keys of random numbers are ``torch.int64``: ``"add"`` and ``"where"`` give one;
  ``"random_bits"``, whose last two arguments are whole numbers, gives a word of 32 bits in that type, of which only
  ``"cast"`` makes a number for a computation; ``"normal"``, whose last argument is a whole number, gives such a number.
- ``"number"`` (a leaf, k) is entry k of a list of plain numbers that the kernel is given, a parameter like others but
  that no frame goes with it (:func:`holds_numbers`); its entries are finite and not zero.
- A :class:`StepGraph` names the leaves (``states``, ``inputs``, ``parameters``, and the gradients that arrive from the
  step after, ``state_gradients``, and from the outputs, ``output_gradients``) and the results: ``next_states`` and
  ``outputs`` of the step, and ``grad_states``, ``grad_inputs``, ``grad_parameters`` of its vector-Jacobian product. A
  result that is ``None`` is structurally zero. Every leaf stands for one element; an emitter decides on the layout.
  ``uniform`` numbers the parameters of which one value serves all neurons.
- The operation ``"product"`` is no operation on one element: a frame times a matrix W, x W^T or (third argument) x W.
  The gradient of W is the sum over all steps and over the pairs (g, x) of ``outers`` of g^T x; a graph without products
  has none. Where frames have different widths, these are numbered: ``matrices`` says of what widths each matrix is,
  (outputs, inputs), ``widths`` of which the inputs, the states, the outputs and the parameters are; all are of the
  first if omitted. A frame may have a value for each synapse, [post, pre]; ``pairs`` gives the number of its width and
  of those of its axes. A :func:`pattern` in the place of W is a sum over one of these axes, or what repeats along it.
  A frame may have one value for each row, such as a neuromodulator; the number of its width is ``row``, -1 if there is
  none, and a pattern is the sum over all else, or what repeats along it.
- Weights that the batch shares have a value for each synapse and no rows; ``shared`` has the numbers of their widths.
  ``"matmul"`` is a frame times such weights, x W^T or (third argument) x W; ``"outer"`` of two frames is their product
  over the batch, a^T b, of the width that the third argument numbers. The leaf ``"rows"`` is the number of rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

PRODUCTS = ("product", "matmul", "outer")
"""Operations that are none on one element."""
ROWS = "rows"
"""The argument of the leaf that is the number of rows of the batch."""
NUMBERS = "numbers"
"""The argument of the leaf that is a list of plain numbers."""


@dataclass(frozen=True, eq=False)
class Node:
    """One elementwise operation; see the module's docstring."""

    op: str
    args: tuple["Node | float | int", ...]
    dtype: torch.dtype

    @property
    def sources(self) -> list["Node"]:
        """The nodes among the arguments."""
        return [arg for arg in self.args if isinstance(arg, Node)]


@dataclass(frozen=True, eq=False)
class StepGraph:
    """A step and its vector-Jacobian product; see the module's docstring."""

    states: tuple[Node, ...]
    inputs: tuple[Node, ...]
    parameters: tuple[Node, ...]
    state_gradients: tuple[Node, ...]
    output_gradients: tuple[Node, ...]
    next_states: tuple[Node, ...]
    outputs: tuple[Node, ...]
    grad_states: tuple[Node | None, ...]
    grad_inputs: tuple[Node | None, ...]
    grad_parameters: tuple[Node | None, ...]
    uniform: frozenset[int] = frozenset()
    outers: tuple[tuple["int | LineRead", Node, Node], ...] = ()
    matrices: tuple[tuple[int, int], ...] = ()
    widths: tuple[tuple[int, ...], ...] = ((), (), (), ())
    pairs: tuple[tuple[int, int, int], ...] = ()
    row: int = -1
    shared: frozenset[int] = frozenset()
    lines: tuple[Node, ...] = ()
    line_places: tuple[int, ...] = ()
    grad_lines: tuple[Node | None, ...] = ()

    @property
    def has_products(self) -> bool:
        """Whether a step holds products, or lines of past frames."""
        results = (*self.next_states, *self.outputs)
        return bool(self.lines) or any(node.op in PRODUCTS for node in ordered(results))

    def summed_as(self, number: int) -> torch.dtype:
        """The type in which the gradient of a parameter is summed up over neurons and steps."""
        return torch.promote_types(self.grad_parameters[number].dtype, torch.float32)

    def describe(self) -> str:
        """A text that is equal for graphs that compute the same, whatever the order in which they were recorded."""
        apart = ("uniform", "outers", "matrices", "widths", "pairs", "row", "shared", "line_places")
        groups = [getattr(self, field.name) for field in fields(self) if field.name not in apart]
        groups += [pair for _, *pair in self.outers]
        numbers: dict[Node, int] = {}
        for group in groups[:5]:
            for leaf in group:
                numbers[leaf] = len(numbers)
        lines = []
        for node in ordered(node for group in groups[5:] for node in group if node is not None):
            if node not in numbers:
                args = [f"%{numbers[arg]}" if isinstance(arg, Node) else repr(arg) for arg in node.args]
                numbers[node] = len(numbers)
                lines.append(f"%{numbers[node]} = {node.op}({', '.join(args)}) {node.dtype}")
        for group in groups:
            lines.append(" ".join("-" if node is None else f"%{numbers[node]} {node.dtype}" for node in group))
        lines.append(f"uniform {sorted(self.uniform)} outers {[matrix for matrix, _, _ in self.outers]}")
        lines.append(f"matrices {self.matrices} widths {self.widths} pairs {self.pairs} lines {self.line_places}")
        lines.append(f"row {self.row} shared {sorted(self.shared)}")
        return "\n".join(lines)


class LineRead(NamedTuple):
    """What stands for the matrix where a line of past frames is read.

    Args:
        line: its number.
        taps: the number of the lags with which frames are read, behind which the shares are, among all matrices; below
            zero if all frames are read.
        matrix: the number of the matrix that all frames are multiplied by, of whose width, then, the result is.
    """

    line: int
    taps: int
    matrix: int


def learned(matrix: int | LineRead) -> int:
    """The number, among all matrices, of what has the gradient: a matrix, or the shares of a line."""
    return matrix.taps + 1 if isinstance(matrix, LineRead) else matrix


def pattern(number: int, axis: int) -> int:
    """What stands for the matrix of a sum over an axis of synapses.

    Args:
        number: of the width of the synapses.
        axis: -1 for that of the presynaptic neurons, -2 for that of the postsynaptic ones; -3 for all of a row, where
            ``number`` may also be that of neurons.
    """
    return -(3 * number + axis + 4)


def is_pattern(node: Node) -> bool:
    """Whether a node is a product with a :func:`pattern`."""
    return node.op == "product" and isinstance(node.args[1], int) and node.args[1] < 0


def pattern_of(matrix: int | LineRead) -> tuple[int, int] | None:
    """The number and the axis of a :func:`pattern`; ``None`` for a matrix or a line."""
    if isinstance(matrix, LineRead) or matrix >= 0:
        return None
    number, place = divmod(-matrix - 1, 3)
    return number, place - 3


def holds_numbers(leaf: Node) -> bool:
    """Whether a leaf is a list of plain numbers and not an operand with an entry for each element."""
    return leaf.args == (NUMBERS,)


def counted_rows(graph: StepGraph) -> Node | None:
    """The leaf of a graph that is the number of rows, if it has one."""
    groups = graph.next_states, graph.outputs, graph.grad_states, graph.grad_inputs, graph.grad_parameters
    every = [*(node for group in groups for node in group), *(node for _, *pair in graph.outers for node in pair)]
    return next((node for node in ordered(node for node in every if node) if node.args == (ROWS,)), None)


def ordered(results: Iterable[Node], stop: frozenset[Node] = frozenset()) -> list[Node]:
    """The nodes that ``results`` need, each after its sources; nodes in ``stop`` are taken as given."""
    done: dict[Node, None] = {}
    stack = [(node, False) for node in reversed(list(results))]
    while stack:
        node, expanded = stack.pop()
        if node in done or node in stop:
            continue
        if expanded:
            done[node] = None
        else:
            stack.append((node, True))
            stack.extend((source, False) for source in reversed(node.sources))
    return list(done)
