"""A mode of torch that writes down what a step computes as the nodes of a graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...core.torch_private import DisableTorchFunction, TorchDispatchMode
from .builder import FLOATS, NARROW, Builder, Refusal, promoted
from .graph import Node, ordered
from .lines import Lines
from .numbers import Log
from .ops import COMPOSITES, OPS
from .shared import TURNS, is_turned, multiplied
from .synapses import NO_PAIRS, Pairs, Synapses, full_shape, of_width, width_of
from .views import AXES, FILLS, IDENTITIES, VALUE_POSITION

_RESULTS = (*FLOATS, torch.bool, torch.uint8, torch.int64)
_ON_KEYS = {"add", "where"}
"""What is done with the keys of random numbers."""


@dataclass(frozen=True)
class Operand:
    """What the recorder must know of a leaf.

    Args:
        dtype: its type.
        broadcast: for each of its axes (the last ones of the frame), whether it is constant along it.
        gradient: whether its gradient is wanted.
        width: the number of the width of its last axis.
    """

    dtype: torch.dtype
    broadcast: tuple[bool, ...]
    gradient: bool
    width: int = 0


class Recorder(Builder, TorchDispatchMode):
    """Writes every operation down as a node.

    Tensors are known by their storage: so a view without a change of shape is what it views, and the result of an
    operation in place takes the place of the old value.
    """

    def __init__(
        self, audit: Any = None, log: Log | None = None, matrices: Any = (), pairs: Pairs = NO_PAIRS, ndim: int = 0
    ) -> None:
        super().__init__()
        self.synapses = Synapses(self, ndim, pairs)
        self.lines = Lines(self)
        self.audit = audit
        self.log = log or Log()
        self.matrices = tuple(matrices)  # the numbers of their widths
        self.known: dict[int, Node] = {}
        self.places: dict[int, int] = {}
        self.alive: list[Tensor] = []  # a storage that is freed could come back as another tensor
        self.leaves: set[int] = set()  # the storages of the step's arguments
        self.silent = False
        self.outers: list[tuple[int, Node, Node]] = []
        self.arriving: set[Node] = set()  # the gradients with which the backward pass begins, while it is recorded

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Within a ``with`` block nothing is recorded."""
        self.silent = True
        try:
            yield
        finally:
            self.silent = False

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Within a ``with`` block the recorder may look into its own tensors; no code of the step runs in it."""
        with DisableTorchFunction():
            if self.audit is None:
                yield
            else:
                with self.audit.deaf():
                    yield

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, a second of work, only to keep it away from the method below.
        return False

    def leaf(self, operand: Operand, shape: tuple[int, ...], alike: bool, fixed: bool = False) -> tuple[Tensor, Node]:
        """A new leaf, ``fixed`` if a parameter; its numbers are new in each recording, so that a look at them shows."""
        if operand.dtype not in _RESULTS:
            raise Refusal(f"an operand of {operand.dtype}")
        shape = full_shape(shape, operand.width, self.synapses.pairs)
        axes = shape[len(shape) - len(operand.broadcast) :]
        sizes = shape if alike else [1 if flat else size for flat, size in zip(operand.broadcast, axes, strict=True)]
        count = len(self.leaves) + 1
        start = torch.linspace(0.1 * count, 0.1 * count + 0.07 * len(shape) * shape[0], max(1, prod(sizes)))
        if operand.dtype == torch.int64:
            start = start * 2**20
        tensor = start.reshape(sizes).to(operand.dtype)
        node = Node("input", (float(count),), operand.dtype)
        self.leaves.add(tensor.untyped_storage()._cdata)
        self.synapses.homes[node] = None if fixed else operand.width
        if not fixed and operand.width not in self.synapses.pairs:
            self.synapses.frames[operand.width] = node
        self._bind(tensor, node)
        return tensor.requires_grad_(operand.gradient and alike), node

    def node(self, tensor: Tensor) -> Node:
        """What has been recorded for a tensor."""
        if self.synapses.shared and is_turned(tensor):
            raise Refusal("weights with their axes exchanged outside of a product")
        return self.known_node(tensor)

    def known_node(self, tensor: Tensor) -> Node:
        """:meth:`node`, also of what is turned."""
        known = self.known.get(tensor.untyped_storage()._cdata)
        if known is None:
            raise Refusal(
                f"a tensor of shape {tuple(tensor.shape)} that is neither its argument nor a quantity, parameter or "
                "buffer of one value per neuron"
            )
        return known

    def plain_leaf(self, name: str) -> Tensor:
        """A leaf that no frame goes with."""
        tensor, node = torch.ones(()), self._interned("input", (name,), torch.float32)
        self.synapses.homes[node] = None
        self._bind(tensor, node)
        return tensor

    def whole(self, tensor: Tensor) -> Node:
        """What has been recorded for a tensor that is a result."""
        return self.synapses.whole(tensor, self.node(tensor))

    def _bind(self, tensor: Tensor, node: Node) -> None:
        self.alive.append(tensor)
        storage = tensor.untyped_storage()._cdata
        self.known[storage], self.places[storage] = node, len(self.alive)

    def place(self, tensor: Tensor) -> int | None:
        """When a tensor came about, the same in all recordings that do the same."""
        return self.places.get(tensor.untyped_storage()._cdata)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if self.silent:
            return func(*args, **(kwargs or {}))
        try:
            with self.unwatched():
                return self._dispatch(func, args, kwargs or {})
        except Exception as error:
            # Noted, for a step may catch what is raised here.
            if self.audit is not None:
                self.audit.refuse(str(error))
            raise

    def _dispatch(self, func: Any, args: tuple, kwargs: dict) -> Any:
        numbers: list[float] = []
        described = Log.described((args, kwargs), self.place, numbers)
        result = self._write_down(func, args, kwargs)
        self.log.add(func._schema.name.removeprefix("aten::"), described, numbers, result)
        return result

    def _write_down(self, func: Any, args: tuple, kwargs: dict) -> Any:
        if func._schema.name == "aten::promote_types":
            return func(*args, **kwargs)
        if func._schema.name == "torchdyn_neuro::random_bits":
            return self._random_bits(func, *args)
        if func._schema.name == "torchdyn_neuro::normal":
            return self._normal(func, *args)
        if func._schema.name in ("torchdyn_neuro::product", "torchdyn_neuro::outer"):
            return self._product(func, *args)
        if func._schema.name.startswith("torchdyn_neuro::line"):
            return self.lines.record(func, *args)
        name = func._schema.name.removeprefix("aten::")
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place:
            source = self.node(args[0])
        # Read before the call: an operation in place overwrites its argument.
        recorded = self._recorded(name.rstrip("_") if in_place else name, func, args, kwargs)
        result = func(*args, **kwargs)
        if name == "_efficientzerotensor":
            result = torch.zeros(result.shape, dtype=result.dtype)  # one without memory is met by odd operations
        if not isinstance(result, Tensor) or result.dtype not in _RESULTS:
            raise Refusal(f"the operation {func}, whose result is not a tensor of floats")
        if in_place and result.untyped_storage()._cdata in self.leaves:
            raise Refusal(f"the operation {func}, which changes an argument of the step in place")
        if in_place and self.synapses.whole(args[0], source) is not source:
            raise Refusal(f"the operation {func}, which changes in place what is repeated for synapses")
        self._bind(result, recorded(result))
        return result

    def _random_bits(self, func: Any, key: Tensor, stream: int) -> tuple[Tensor, ...]:
        node, results = self.node(key), func(key, stream)
        for lane, result in enumerate(results):
            self._bind_new(result, self._interned("random_bits", (node, stream, lane), torch.int64), node)
        return results

    def _normal(self, func: Any, key: Tensor, stream: int, dtype: torch.dtype) -> Tensor:
        result, node = func(key, stream, dtype), self.node(key)
        self._bind_new(result, self._interned("normal", (node, stream), dtype), node)
        return result

    def _bind_new(self, result: Tensor, node: Node, source: Node) -> None:
        self._bind(result, self.synapses.settle(node, [source], result))

    def _product(self, func: Any, x: Tensor, *args: Any) -> Tensor:
        result = func(x, *args)
        if x.dtype not in (torch.float32, torch.float64):
            raise Refusal(f"a matrix product of {x.dtype}")
        if self.matrices and func._schema.name == "torchdyn_neuro::product":
            outputs, inputs = self.matrices[args[0]]
            before, after = (outputs, inputs) if args[1] else (inputs, outputs)
            if width_of(x.shape[-1]) != before or x.ndim > self.synapses.ndim > 0:
                raise Refusal("a matrix product of a frame that the matrix does not fit")
            result = result[..., :1].expand(of_width(x.shape, after)).contiguous()
        if func._schema.name == "torchdyn_neuro::outer":
            self.outers.append((args[1], self.node(x), self.node(args[0])))
            self._bind(result, self.node(x))
        else:
            self._bind_new(result, self._interned("product", (self.node(x), *args), x.dtype), self.node(x))
        return result

    def _recorded(self, name: str, func: Any, args: tuple, kwargs: dict) -> Callable[[Tensor], Node]:
        """How the result of a call will be known."""
        if self.synapses.shared and name in TURNS and args[0].ndim == 2:
            source = self.known_node(args[0])
            return lambda result: source
        if self.synapses.shared and name == "mm":
            nodes = self.known_node(args[0]), self.known_node(args[1])
            return lambda result: multiplied(self.synapses, func, *args, nodes)
        if name in IDENTITIES or (self.synapses.pairs and name in AXES):
            source = self.node(args[0])
            return lambda result: self._identity(name, func, args[0], result, source)
        if name == "sum" and self.synapses.pairs:
            source = self.node(args[0])
            return lambda result: self.synapses.summed(func, args[0], source, args[1] if len(args) > 1 else None)
        if self.arriving and name in ("zeros_like", "_efficientzerotensor"):
            source = self.node(args[0]) if name == "zeros_like" else None
            if source is None or self.arriving.isdisjoint(ordered([source])):
                raise Refusal("a gradient of zero that comes from no other, such as that of torch.sgn or of x**0")
            return lambda result: self._zero_of(source, result.dtype)
        if name in FILLS or name in VALUE_POSITION:
            value = FILLS[name] if name in FILLS else args[VALUE_POSITION[name]]
            return lambda result: self._constant(value, result.dtype)
        if name == "lift_fresh" and args[0].numel() == 1:
            return lambda result: self._constant(result.item(), result.dtype)
        if name in ("zero", "fill", "copy", "_to_copy", "to"):
            value = 0.0 if name == "zero" else args[0] if name in ("_to_copy", "to") else args[1]
            source = self.node(value) if isinstance(value, Tensor) else value
            return lambda result: self._copied(value, source, result)
        if name not in COMPOSITES and name not in OPS:
            raise Refusal(f"the operation {func}, which is not in the table of elementwise operations")
        operands = [self._operand(func, arg) for arg in args]
        options = {key: self._operand(func, value) for key, value in kwargs.items()}
        common = promoted(args)
        if common in NARROW:
            self._check_narrow(name, func, common, [*operands, *options.values()])

        def computed(result: Tensor) -> Node:
            integers = [result.dtype == torch.int64, *(_is_integer(arg) for arg in (*operands, *options.values()))]
            if any(integers) and (name not in _ON_KEYS or result.dtype != torch.int64):
                raise Refusal(f"the operation {func} on a tensor of {torch.int64}")
            sources = self.synapses.combined(args, operands, result)
            return self.synapses.settle(self._computed(name, sources, options, common, result), sources, result)

        return computed

    def _operand(self, func: Any, value: Any) -> Any:
        if isinstance(value, Tensor):
            node = self.node(value)
            if node.dtype == torch.uint8:
                raise Refusal(f"the operation {func} on a tensor of {node.dtype}")
            return node
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return value
        raise Refusal(f"the operation {func} with the argument {value!r}")

    def _copied(self, value: Any, source: Any, result: Tensor) -> Node:
        sources = self.synapses.combined([value], [source], result)
        return self.synapses.settle(self._cast(sources[0], result.dtype), sources, result)

    def _identity(self, name: str, func: Any, source: Tensor, result: Tensor, node: Node) -> Node:
        if self.synapses.pairs and source.untyped_storage()._cdata != result.untyped_storage()._cdata:
            return self._copied(source, node, result)
        if source.shape != result.shape and not self.synapses.view(name, source, node, result):
            raise Refusal(f"the operation {func}, which changes the shape")
        if source.dtype != result.dtype:
            raise Refusal(f"the operation {func}, which takes the bits of a number for another's")
        return node


def _is_integer(arg: Any) -> bool:
    return isinstance(arg, Node) and arg.dtype == torch.int64
