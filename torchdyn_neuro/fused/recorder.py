"""A mode of torch that writes down what a step computes as the nodes of a graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan, prod
from typing import Any

import torch
from torch import Tensor

from ..core.torch_private import DisableTorchFunction, TorchDispatchMode
from .graph import Node, ordered
from .ops import COMPOSITES, OPS

_IDENTITIES = {"detach", "alias", "clone", "lift_fresh_copy", "contiguous", "expand", "view", "_unsafe_view"}
_FILLS = {
    "zeros_like": 0.0,
    "ones_like": 1.0,
    "new_zeros": 0.0,
    "new_ones": 1.0,
    "zeros": 0.0,
    "_efficientzerotensor": 0.0,
    "ones": 1.0,
    # Torch fills these in a second operation.
    "empty_like": nan,
    "new_empty": nan,
    "empty": nan,
}
_VALUE_POSITION = {"full_like": 1, "full": 1, "new_full": 2, "scalar_tensor": 0}
_NARROW = (torch.bfloat16, torch.float16)
_FLOATS = (torch.float32, torch.float64, *_NARROW)
_RESULTS = (*_FLOATS, torch.bool, torch.uint8, torch.int64)
_ON_KEYS = {"add", "where"}
"""What is done with the keys of random numbers."""


class Refusal(Exception):  # noqa: N818
    """Raised inside a step, where torch would take a ``TypeError`` for one of its own."""


@dataclass(frozen=True)
class Operand:
    """What the recorder must know of a leaf.

    Args:
        dtype: its type.
        broadcast: for each of its axes (the last ones of the frame), whether it is constant along it.
        gradient: whether its gradient is wanted.
    """

    dtype: torch.dtype
    broadcast: tuple[bool, ...]
    gradient: bool


class Recorder(TorchDispatchMode):
    """Writes every operation down as a node.

    Tensors are known by their storage: so a view without a change of shape is what it views, and the result of an
    operation in place takes the place of the old value.
    """

    def __init__(self, audit: Any = None) -> None:
        super().__init__()
        self.audit = audit
        self.known: dict[int, Node] = {}
        self.alive: list[Tensor] = []  # a storage that is freed could come back as another tensor
        self.leaves: set[int] = set()  # the storages of the step's arguments
        self.interned: dict[tuple, Node] = {}
        self.compute = torch.float32
        self.outers: list[tuple[int, Node, Node]] = []
        self.arriving: set[Node] = set()  # the gradients with which the backward pass begins, while it is recorded

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, a second of work, only to keep it away from the method below.
        return False

    def leaf(self, operand: Operand, shape: tuple[int, ...], alike: bool) -> tuple[Tensor, Node]:
        """A new leaf; its numbers differ from one recording to the next, so that a step that reads them is caught."""
        if operand.dtype not in _RESULTS:
            raise Refusal(f"an operand of {operand.dtype}")
        axes = shape[len(shape) - len(operand.broadcast) :]
        sizes = shape if alike else [1 if flat else size for flat, size in zip(operand.broadcast, axes, strict=True)]
        count = len(self.leaves) + 1
        start = torch.linspace(0.1 * count, 0.1 * count + 0.07 * len(shape) * shape[0], max(1, prod(sizes)))
        if operand.dtype == torch.int64:
            start = start * 2**20
        tensor = start.reshape(sizes).to(operand.dtype)
        node = Node("input", (float(count),), operand.dtype)
        self.leaves.add(tensor.untyped_storage()._cdata)
        self._bind(tensor, node)
        return tensor.requires_grad_(operand.gradient and alike), node

    def node(self, tensor: Tensor) -> Node:
        """What has been recorded for a tensor."""
        known = self.known.get(tensor.untyped_storage()._cdata)
        if known is None:
            raise Refusal(
                f"a tensor of shape {tuple(tensor.shape)} that is neither its argument nor a quantity, parameter or "
                "buffer of one value per neuron"
            )
        return known

    def _bind(self, tensor: Tensor, node: Node) -> None:
        self.alive.append(tensor)
        self.known[tensor.untyped_storage()._cdata] = node

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if self.audit is None:
            return self._dispatch(func, args, kwargs or {})
        try:
            # The recorder may look into its own tensors.
            with self.audit.deaf(), DisableTorchFunction():
                return self._dispatch(func, args, kwargs or {})
        except Exception as error:
            # Noted, for a step may catch what is raised here.
            self.audit.refuse(str(error))
            raise

    def _dispatch(self, func: Any, args: tuple, kwargs: dict) -> Any:
        if func._schema.name == "aten::promote_types":
            return func(*args, **kwargs)
        if func._schema.name == "torchdyn_neuro::random_bits":
            return self._random_bits(func, *args)
        if func._schema.name in ("torchdyn_neuro::product", "torchdyn_neuro::outer"):
            return self._product(func, *args)
        name = func._schema.name.removeprefix("aten::")
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place:
            self.node(args[0])
        # Read before the call: an operation in place overwrites its argument.
        recorded = self._recorded(name.rstrip("_") if in_place else name, func, args, kwargs)
        result = func(*args, **kwargs)
        if name == "_efficientzerotensor":
            result = torch.zeros(result.shape, dtype=result.dtype)  # one without memory is met by odd operations
        if not isinstance(result, Tensor) or result.dtype not in _RESULTS:
            raise Refusal(f"the operation {func}, whose result is not a tensor of floats")
        if in_place and result.untyped_storage()._cdata in self.leaves:
            raise Refusal(f"the operation {func}, which changes an argument of the step in place")
        self._bind(result, recorded(result))
        return result

    def _random_bits(self, func: Any, key: Tensor, stream: int) -> tuple[Tensor, ...]:
        node, results = self.node(key), func(key, stream)
        for lane, result in enumerate(results):
            self._bind(result, self._interned("random_bits", (node, stream, lane), torch.int64))
        return results

    def _product(self, func: Any, x: Tensor, *args: Any) -> Tensor:
        result = func(x, *args)
        if x.dtype not in (torch.float32, torch.float64):
            raise Refusal(f"a matrix product of {x.dtype}")
        if func._schema.name == "torchdyn_neuro::outer":
            self.outers.append((args[1], self.node(x), self.node(args[0])))
            self._bind(result, self.node(x))
        else:
            self._bind(result, self._interned("product", (self.node(x), *args), x.dtype))
        return result

    def _recorded(self, name: str, func: Any, args: tuple, kwargs: dict) -> Callable[[Tensor], Node]:
        """How the result of a call will be known."""
        if name in _IDENTITIES:
            source = self.node(args[0])
            return lambda result: self._identity(func, args[0], result, source)
        if self.arriving and name in ("zeros_like", "_efficientzerotensor"):
            source = self.node(args[0]) if name == "zeros_like" else None
            if source is None or self.arriving.isdisjoint(ordered([source])):
                raise Refusal("a gradient of zero that comes from no other, such as that of torch.sgn or of x**0")
            return lambda result: self._zero_of(source, result.dtype)
        if name in _FILLS or name in _VALUE_POSITION:
            value = _FILLS[name] if name in _FILLS else args[_VALUE_POSITION[name]]
            return lambda result: self._constant(value, result.dtype)
        if name == "lift_fresh" and args[0].numel() == 1:
            return lambda result: self._constant(result.item(), result.dtype)
        if name in ("zero", "fill", "copy"):
            value = 0.0 if name == "zero" else args[1]
            source = self.node(value) if isinstance(value, Tensor) else value
            return lambda result: self._cast(source, result.dtype)
        if name in ("_to_copy", "to"):
            source = self.node(args[0])
            return lambda result: self._cast(source, result.dtype)
        if name not in COMPOSITES and name not in OPS:
            raise Refusal(f"the operation {func}, which is not in the table of elementwise operations")
        operands = [self._operand(func, arg) for arg in args]
        options = {key: self._operand(func, value) for key, value in kwargs.items()}
        common = _promoted(args)
        if common in _NARROW:
            self._check_narrow(name, func, common, [*operands, *options.values()])

        def computed(result: Tensor) -> Node:
            integers = [result.dtype == torch.int64, *(_is_integer(arg) for arg in (*operands, *options.values()))]
            if any(integers) and (name not in _ON_KEYS or result.dtype != torch.int64):
                raise Refusal(f"the operation {func} on a tensor of {torch.int64}")
            return self._computed(name, operands, options, common, result)

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

    def _identity(self, func: Any, source: Tensor, result: Tensor, node: Node) -> Node:
        if source.shape != result.shape and "expand" not in func._schema.name:
            raise Refusal(f"the operation {func}, which changes the shape")
        if source.dtype != result.dtype:
            raise Refusal(f"the operation {func}, which takes the bits of a number for another's")
        return node

    def _zero_of(self, gradient: Node, dtype: torch.dtype) -> Node:
        """A gradient of zero, such as that of a sign, which arrives where the one does that it stands for."""
        wide = _widened([dtype])
        zero, never = self._constant(0.0, wide), self._constant(False, torch.bool)
        return self._cast(self._interned("where", (never, self._cast(gradient, wide), zero), wide), dtype)

    def _check_narrow(self, name: str, func: Any, dtype: torch.dtype, operands: list) -> None:
        """Refuse where torch rounds a number to a narrow type before it computes on one device and not on another."""
        if name == "pow" and operands[1] in (3, -2):
            raise Refusal(f"the operation {func} on {dtype} with the exponent {operands[1]}, which is rounded in steps")
        for arg in operands:
            if isinstance(arg, Node) and (arg.dtype not in _FLOATS or torch.promote_types(arg.dtype, dtype) == dtype):
                continue
            constant = arg.args[0] if isinstance(arg, Node) and arg.op == "constant" else arg
            exact = not isinstance(constant, Node) and (constant is None or _equal(_rounded(constant, dtype), constant))
            if not exact and (isinstance(arg, Node) or name in _ROUND_FIRST):
                raise Refusal(f"the operation {func} on {dtype} and a number that this type does not hold")

    def _computed(self, name: str, operands: list, options: dict, common: torch.dtype, result: Tensor) -> Node:
        # In place, a wide operand is not narrowed before, but the result after.
        self.compute = _widened([common if common.is_floating_point else result.dtype])
        combine = COMPOSITES.get(name)
        node = combine(self._emit, *operands, **options) if combine else self._emit(name, *operands, **options)
        return self._cast(node, result.dtype)

    def _emit(self, op: str, *args: Any) -> Node:
        if op in _LOGICAL:
            args = tuple(self._truth(arg) for arg in args)
        elif op == "where":
            args = (self._truth(args[0]), *(self._cast(arg, self.compute) for arg in args[1:]))
        else:
            args = tuple(self._cast(arg, self.compute) for arg in args)
        if op == "mul":
            # Times one is exact; the straight-through surrogate and a neutral factor cost nothing.
            for one, other in (args, args[::-1]):
                if one.op == "constant" and one.args == (1.0,):
                    return other
        return self._interned(op, args, torch.bool if OPS[op].mask else self.compute)

    def _truth(self, arg: Any) -> Node:
        if not isinstance(arg, Node):
            return self._constant(arg, torch.bool)
        if arg.dtype == torch.bool:
            return arg
        if arg.op == "constant":
            return self._constant(arg.args[0], torch.bool)
        wide = _widened([arg.dtype])
        return self._interned("ne", (self._cast(arg, wide), self._constant(0.0, wide)), torch.bool)

    def _cast(self, arg: Any, dtype: torch.dtype) -> Node:
        if not isinstance(arg, Node):
            return self._constant(arg, dtype)
        if arg.dtype == dtype:
            return arg
        if arg.op == "constant":
            return self._constant(arg.args[0], dtype)
        if dtype == torch.int64 or (arg.dtype == torch.int64 and dtype not in _FLOATS):
            raise Refusal(f"a tensor of {arg.dtype} turned into one of {dtype}")
        if dtype == torch.bool:
            return self._truth(arg)
        return self._interned("cast", (arg,), dtype)

    def _constant(self, value: float | int, dtype: torch.dtype) -> Node:
        return self._interned("constant", (_rounded(value, dtype),), dtype)

    def _interned(self, op: str, args: tuple, dtype: torch.dtype) -> Node:
        key = (op, tuple(id(arg) if isinstance(arg, Node) else repr(arg) for arg in args), dtype)
        return self.interned.setdefault(key, Node(op, args, dtype))


_LOGICAL = ("and", "or", "xor", "not")
_ROUND_FIRST = {"add", "sub", "rsub", "pow", "ge", "gt", "le", "lt", "eq", "ne"}
"""What torch computes with a number rounded to the type of the tensor, on one device or another."""


def _rounded(value: float | int, dtype: torch.dtype) -> float | int:
    """A number as a tensor of this type holds it."""
    if dtype == torch.int64:
        return 0 if value != value else int(value)  # NaN: memory that torch fills next
    if dtype == torch.float64:
        return float(value)
    return float(torch.tensor(float(value), dtype=torch.float64).to(dtype).item())


def _equal(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def _promoted(args: Sequence[Any]) -> torch.dtype:
    """The type in which torch computes: tensors with axes come before those without, and these before numbers."""
    found: list[torch.dtype | None] = [None, None, None]
    for arg in args:
        if isinstance(arg, (Tensor, bool, int, float)):
            rank = (0 if arg.ndim else 1) if isinstance(arg, Tensor) else 2
            dtype = arg.dtype if isinstance(arg, Tensor) else torch.result_type(arg, arg)
            before = found[rank]
            found[rank] = dtype if before is None else torch.promote_types(before, dtype)
    first, *others = [dtype for dtype in found if dtype is not None]
    for other in others:
        if first == torch.bool or (other.is_floating_point and not first.is_floating_point):
            first = torch.promote_types(first, other)
    return first


def _widened(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """The type in which operands of these types are computed: float32, or float64 or int64 if one of them is."""
    return next((dtype for dtype in (torch.int64, torch.float64) if dtype in dtypes), torch.float32)


def _is_integer(arg: Any) -> bool:
    return isinstance(arg, Node) and arg.dtype == torch.int64
