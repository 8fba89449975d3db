"""What builds the nodes of a graph, equal ones only once, in the types in which torch computes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .graph import Node
from .ops import COMPOSITES, OPS

NARROW = (torch.bfloat16, torch.float16)
FLOATS = (torch.float32, torch.float64, *NARROW)


class Refusal(Exception):  # noqa: N818
    """Raised inside a step, where torch would take a ``TypeError`` for one of its own."""


class Builder:
    """Nodes, as operations of torch ask for them."""

    def __init__(self) -> None:
        super().__init__()
        self.interned: dict[tuple, Node] = {}
        self.compute = torch.float32

    def _zero_of(self, gradient: Node, dtype: torch.dtype) -> Node:
        """A gradient of zero, such as that of a sign, which arrives where the one does that it stands for."""
        return self.beside(self._constant(0.0, dtype), gradient)

    def beside(self, node: Node, frame: Node) -> Node:
        """A node that depends on no frame as one of the size of ``frame``."""
        wide, never = _widened([node.dtype]), self._constant(False, torch.bool)
        chosen = self._interned("where", (never, self._cast(frame, wide), self._cast(node, wide)), wide)
        return self._cast(chosen, node.dtype)

    def _check_narrow(self, name: str, func: Any, dtype: torch.dtype, operands: list) -> None:
        """Refuse where torch rounds a number to a narrow type before it computes on one device and not on another."""
        if name == "pow" and operands[1] in (3, -2):
            raise Refusal(f"the operation {func} on {dtype} with the exponent {operands[1]}, which is rounded in steps")
        if name == "pow" and dtype == torch.float16 and operands[1] in (0.5, -0.5):
            raise Refusal(f"the operation {func} on {dtype}, a root on one device and a power on another")
        for arg in operands:
            if isinstance(arg, Node) and (arg.dtype not in FLOATS or torch.promote_types(arg.dtype, dtype) == dtype):
                continue
            constant = arg.args[0] if isinstance(arg, Node) and arg.op == "constant" else arg
            exact = not isinstance(constant, Node) and (constant is None or _equal(rounded(constant, dtype), constant))
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
        if dtype == torch.int64 or (arg.dtype == torch.int64 and dtype not in FLOATS):
            raise Refusal(f"a tensor of {arg.dtype} turned into one of {dtype}")
        if dtype == torch.bool:
            return self._truth(arg)
        return self._interned("cast", (arg,), dtype)

    def _constant(self, value: float | int, dtype: torch.dtype) -> Node:
        return self._interned("constant", (rounded(value, dtype),), dtype)

    def _interned(self, op: str, args: tuple, dtype: torch.dtype) -> Node:
        key = (op, tuple(id(arg) if isinstance(arg, Node) else repr(arg) for arg in args), dtype)
        return self.interned.setdefault(key, Node(op, args, dtype))


_LOGICAL = ("and", "or", "xor", "not")
_ROUND_FIRST = {"add", "sub", "rsub", "pow", "ge", "gt", "le", "lt", "eq", "ne"}
"""What torch computes with a number rounded to the type of the tensor, on one device or another."""


def rounded(value: float | int, dtype: torch.dtype) -> float | int:
    """A number as a tensor of this type holds it."""
    if dtype == torch.int64:
        return 0 if value != value else int(value)  # NaN: memory that torch fills next
    if dtype == torch.float64:
        return float(value)
    return float(torch.tensor(float(value), dtype=torch.float64).to(dtype).item())


def _equal(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def promoted(args: Sequence[Any]) -> torch.dtype:
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
