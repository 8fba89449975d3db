"""What a program is made of: segments that act on each element by itself, and products."""

from dataclasses import dataclass

from ..record.graph import LineRead, Node


@dataclass(frozen=True)
class Segment:
    """Elementwise operations.

    Args:
        key: the key of the loop that runs it, over one step and without states.
        width: the number of its width.
        reads: the frames that are its inputs.
        parameters: the numbers of the parameters that it loads.
        writes: the frames that are its outputs.
        spread: the frames that it reads as they repeat along an axis of synapses, and the :func:`pattern` of each.
        known: how many parameters a step has; to the loop these frames are further ones.
    """

    key: str
    width: int
    reads: tuple[int, ...]
    parameters: tuple[int, ...]
    writes: tuple[int, ...]
    spread: tuple[tuple[int, int], ...] = ()
    known: int = 0


@dataclass(frozen=True)
class Product:
    """A frame times a matrix.

    Args:
        matrix: the number of the matrix W; below zero that of a sum over an axis of synapses; or how a line of frames
            is read, of which ``source`` is the newest frame (transposed: to which is added, with ``target``).
        transposed: false for x W^T, as in a linear layer; true for x W, as in its gradient.
        source: the frame x.
        target: the frame that is filled.
    """

    matrix: int | LineRead
    transposed: bool
    source: int
    target: int

    @property
    def copies(self) -> bool:
        """Whether what it fills only repeats along an axis of synapses."""
        return self.transposed and isinstance(self.matrix, int) and self.matrix < 0


@dataclass(frozen=True)
class Meeting:
    """The product of two frames, of which one may be weights that the batch shares.

    Args:
        transposed: of a frame and weights: false for x W^T, true for x W.
        one, other: the frames; two of neurons are multiplied over the batch.
        target: the frame that is filled.
    """

    transposed: bool
    one: int
    other: int
    target: int


@dataclass(frozen=True)
class Dot:
    """The sum over an axis of synapses of a frame of theirs times one of neurons that repeats along the other axis.

    Args:
        matrix: the :func:`pattern` of the sum.
        source: the frame with a value for each synapse.
        other: that of the neurons.
        target: the frame that is filled.
    """

    matrix: int
    source: int
    other: int
    target: int


@dataclass(frozen=True, eq=False)
class Program:
    """Segments and products in their order.

    Args:
        frames: a node for each frame: what it is.
        widths: the number of the width of each frame.
        leaves: the frames that are given, in the order of the leaves.
        results: the frames of the results, in their order.
        steps: what is done.
    """

    frames: tuple[Node, ...]
    widths: tuple[int, ...]
    leaves: tuple[int, ...]
    results: tuple[int, ...]
    steps: tuple[Segment | Product | Meeting | Dot, ...]

    @property
    def products(self) -> tuple[Product, ...]:
        """The products among the steps."""
        return tuple(step for step in self.steps if isinstance(step, Product))


def sources_of(step: Product | Meeting | Dot) -> tuple[int, ...]:
    """The frames that a product reads."""
    if isinstance(step, Meeting):
        return step.one, step.other
    return (step.source, step.other) if isinstance(step, Dot) else (step.source,)
