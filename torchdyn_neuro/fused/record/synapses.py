"""Frames with a value for each synapse inside a step, and how those of neurons meet them.

A frame [B, \\*, post, pre] has one axis more than the others. The numbers of its widths are a pair, which has a
number of its own. Frames of neurons are spread over it by views (``unsqueeze``, ``expand``) and it is summed along one
axis (``sum``): both are products with a matrix of ones and zeros, :func:`pattern`, and each is the other's derivative.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .builder import Builder, Refusal
from .graph import Node, ordered, pattern

APART = 16
SHARED = "shared"
"""Marks the axes of what has none for the batch."""


class Pairs(dict[int, tuple[int, ...]]):
    """The numbers of the widths (post, pre) of frames of synapses, by their own number; none of one value for each row.

    Attributes:
        shared: the numbers of those that have no rows.
    """

    shared: frozenset[int] = frozenset()

    def axes(self, number: int, ndim: int) -> int:
        """How many axes a tensor of that width has, where a frame of neurons has ``ndim``."""
        lead = 0 if number in self.shared else ndim - 1
        return lead + len(self.get(number, (number,)))


NO_PAIRS = Pairs()


def stretched(size: int, width: int) -> int:
    """The size of the last axis of a recorder's tensor whose width has that number, where the first has ``size``."""
    return size + APART * width


def width_of(size: int) -> int:
    """The number of the width of an axis of that size."""
    return size // APART


def of_width(shape: Sequence[int], width: int) -> tuple[int, ...]:
    """The shape of a recorder's tensor like that of another one, but of the width of that number."""
    return (*shape[:-1], stretched(shape[-1] % APART, width))


def full_shape(shape: Sequence[int], width: int, pairs: Pairs) -> tuple[int, ...]:
    """The shape of a recorder's tensor of that width, where the first has ``shape``."""
    lead = () if width in pairs.shared else shape[:-1]
    return (*lead, *(stretched(shape[-1], each) for each in pairs.get(width, (width,))))


class Synapses:
    """Where nodes belong: to neurons, to synapses, or, as parameters do, nowhere.

    Args:
        builder: of the nodes.
        ndim: axes of a frame of neurons.
        pairs: of the frames of synapses; where there are none, nothing is done.

    Attributes:
        homes: the number of the width of each node; ``None`` of one that depends on parameters alone.
        met: of parameters the numbers of the widths of what they met.
        rows: how many rows a frame of the recorder has.
        frames: a leaf of each width of neurons.
    """

    def __init__(self, builder: Builder, ndim: int, pairs: Pairs):
        self.builder, self.ndim, self.pairs = builder, ndim, pairs
        self.numbers = {pair: number for number, pair in pairs.items() if number not in pairs.shared}
        self.shared = {pairs[number]: number for number in pairs.shared}
        self.rows = 0
        self.frames: dict[int, Node] = {}
        self.row = self.numbers.get(())
        self.homes: dict[Node, int | None] = {}
        self.met: dict[Node, set[int]] = {}

    def width(self, tensor: Tensor) -> int:
        """The number of the width of a frame by its shape."""
        if self.shared and tensor.ndim == 2 and tensor.shape[0] != self.rows:
            return self.shared_number(*tensor.shape)
        if self.row is not None and all(size == 1 for size in tensor.shape[self.ndim - 1 :]):
            return self.row
        if self.pairs and tensor.ndim > self.ndim:
            sizes = tuple(map(width_of, tensor.shape[-2:]))
            if self._lifted(tensor):
                return max(sizes)  # of an axis of size one it is zero
            if sizes not in self.numbers:
                raise Refusal("a frame with a value for each pair of neurons that has the size of no state")
            return self.numbers[sizes]
        return width_of(tensor.shape[-1])

    def shared_number(self, post: int, pre: int) -> int:
        """The number of the width of weights of that size that the batch shares."""
        number = self.shared.get((width_of(post), width_of(pre)))
        if number is None:
            raise Refusal("a product over the batch that has the size of no weights")
        return number

    def framed(self, size: int, node: Node) -> Node:
        """The node of a frame of neurons with a last axis of that size, also of one that is the same everywhere."""
        if self.homes.get(node) is None:
            if width_of(size) not in self.frames:
                raise Refusal("a product with a parameter")
            node = self.builder.beside(node, self.frames[width_of(size)])
            self.homes[node] = width_of(size)
        if self.homes[node] != width_of(size):
            raise Refusal("a product of a frame that the weights do not fit")
        return node

    def made(self, op: str, args: tuple, home: int) -> Node:
        """A node of that home."""
        node = self.builder._interned(op, args, args[0].dtype)
        self.homes[node] = home
        return node

    def _lifted(self, tensor: Tensor) -> bool:
        """Whether a tensor is a frame of neurons with one more axis, of size one."""
        return tensor.ndim > self.ndim and 1 in tensor.shape[-2:]

    def _axis(self, tensor: Tensor) -> int:
        """Along which axis of synapses a view of a frame of neurons repeats."""
        for axis in (-2, -1):
            if tensor.shape[axis] == 1 or tensor.stride(axis) == 0:
                return axis
        raise Refusal("a frame of neurons that meets one of synapses in another way than repeated along an axis")

    def whole(self, tensor: Tensor, node: Node) -> Node:
        """The node of a tensor by itself, also of a frame of neurons that is repeated for synapses."""
        if self.row is not None and self.homes.get(node) == self.row:
            return self.spread(tensor, node, self.width(tensor))
        if not self.pairs or tensor.ndim <= self.ndim or self._lifted(tensor):
            return node
        return self.spread(tensor, node, self.width(tensor))

    def spread(self, tensor: Tensor, node: Node, number: int) -> Node:
        """The node of a tensor where it meets synapses of that number."""
        home = self.homes.get(node)
        if home is None or home == number:
            return node
        if home == self.row:
            return self._product(node, pattern(number, -3), True, number)
        axis = self._axis(tensor)
        if home in self.pairs or tensor.ndim <= self.ndim or home != self.pairs[number][-3 - axis]:
            raise Refusal("a frame of neurons that meets one of synapses of another width")
        return self._product(node, pattern(number, axis), True, number)

    def _product(self, node: Node, matrix: int, transposed: bool, home: int) -> Node:
        if node.dtype not in (torch.float32, torch.float64):
            raise Refusal(f"a sum or a repetition for synapses of {node.dtype}")
        return self.made("product", (node, matrix, transposed), home)

    def combined(self, args: Sequence[Any], nodes: Sequence[Any], result: Tensor) -> list[Any]:
        """The operands of an operation as its result meets them."""
        if not self.pairs:
            return list(nodes)
        found, number = [], None
        if any(isinstance(node, Node) and self.homes.get(node) is not None for node in nodes):
            number = self.width(result)
        lifted = self._lifted(result)
        for arg, node in zip(args, nodes, strict=True):
            if isinstance(arg, Tensor) and number is not None:
                if self.homes.get(node) is None:
                    if lifted and arg.numel() > 1:
                        raise Refusal("a parameter that meets a frame of neurons with one more axis")
                    for leaf in ordered([node]):
                        self.met.setdefault(leaf, set()).add(number)
                elif number in self.pairs or self.homes[node] == self.row:
                    node = self.spread(arg, node, number)
            found.append(node)
        return found

    def settle(self, node: Node, sources: Sequence[Any], result: Tensor) -> Node:
        """The node, once it is noted where it belongs."""
        if self.pairs and node not in self.homes:
            fixed = all(self.homes.get(source) is None for source in sources if isinstance(source, Node))
            self.homes[node] = None if fixed else self.width(result)
        return node

    def view(self, name: str, source: Tensor, node: Node, result: Tensor) -> bool:
        """Whether a view with another shape is one that only repeats, or lets a frame of neurons meet synapses."""
        home = self.homes.get(node)
        if self.pairs and all(each.op == "constant" for each in ordered([node]) if not each.sources):
            return True
        if not self.pairs or home is None:
            return name == "expand"
        if home == self.row:
            return name == "expand" or result.numel() == source.shape[0]
        if home in self.pairs:
            return False
        if name == "expand":
            return source.ndim == result.ndim
        if name == "unsqueeze":
            return source.ndim == self.ndim and self._lifted(result)
        return self._lifted(source) and result.shape == (*source.shape[:-2], max(source.shape[-2:]))

    def summed(self, func: Any, tensor: Tensor, node: Node, dims: Sequence[int] | None) -> Node:
        """The node of a sum over one axis of synapses."""
        node = self.whole(tensor, node)
        axes = [axis if axis < 0 else axis - tensor.ndim for axis in dims or ()]
        number = self.homes.get(node)
        if self.row is not None and number != self.row and sorted(axes) == [*range(self.ndim - 1 - tensor.ndim, 0)]:
            return self._product(node, pattern(number, -3), False, self.row)
        if number not in self.pairs or number in self.pairs.shared or axes not in ([-1], [-2]):
            raise Refusal(f"the operation {func}, which is not over one axis of a value for each synapse")
        return self._product(node, pattern(number, axes[0]), False, self.pairs[number][-3 - axes[0]])
