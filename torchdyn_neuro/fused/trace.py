"""Recording of a step and of its vector-Jacobian product as one :class:`StepGraph`.

The step runs on tiny tensors of its own while a dispatch mode writes down every operation below autograd, so that the
``autograd.Function`` of a surrogate dissolves into plain operations. It runs twice: once with every operand at one
common shape, where no gradient is ever summed over a broadcast axis, and once with parameters that broadcast as they
really do. Both must record the same: what depends on shapes or on values, and not only on elements, shows here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan, prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .graph import Node, StepGraph
from .ops import COMPOSITES, OPS

FlatStep = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]
"""``(inputs, states, parameters) -> (outputs, next_states)`` on lists of tensors."""

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
_RESULTS = (*_FLOATS, torch.bool, torch.uint8)


class _Refusal(Exception):  # noqa: N818
    """Raised inside a step, where torch would take a ``TypeError`` for one of its own."""


class NotPointwise(TypeError):  # noqa: N818 - it names a property of the step, like StopIteration
    """A step that is not elementwise, and so cannot become part of a fused loop."""


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


def trace_step(
    step: FlatStep, inputs: Sequence[Operand], states: Sequence[Operand], parameters: Sequence[Operand]
) -> StepGraph:
    """Record a step.

    Args:
        step: the step on lists of tensors.
        inputs, states, parameters: what goes with each of its arguments.

    Raises:
        NotPointwise: if an operation is not in the table, or the step depends on more than the elements.
    """
    ndim = len(inputs[0].broadcast)
    # Hooks on saved tensors, such as those of activation checkpointing, are not meant for the recorder's.
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    try:
        with hooks:
            return _record_twice(step, inputs, states, parameters, ndim)
    except _Refusal as refusal:
        raise NotPointwise(str(refusal)).with_traceback(refusal.__traceback__) from None


def _record_twice(
    step: FlatStep, inputs: Sequence[Operand], states: Sequence[Operand], parameters: Sequence[Operand], ndim: int
) -> StepGraph:
    graph = _record(step, inputs, states, parameters, tuple(range(5, 5 + ndim)), alike=True)
    as_they_are = _record(step, inputs, states, parameters, tuple(range(2, 2 + ndim)), alike=False)
    if replace(graph, **dict.fromkeys(_GRADIENTS, ())).describe() != as_they_are.describe():
        raise NotPointwise("a dependence on the shapes or the values of the operands, not only on their elements")
    return graph


_GRADIENTS = ("state_gradients", "output_gradients", "grad_states", "grad_inputs", "grad_parameters")


def _record(
    step: FlatStep,
    inputs: Sequence[Operand],
    states: Sequence[Operand],
    parameters: Sequence[Operand],
    shape: tuple[int, ...],
    *,
    alike: bool,
) -> StepGraph:
    """Record once; ``alike``: with every operand of one shape, and with gradients."""
    recorder = _Recorder()
    with torch.inference_mode(False):
        groups = [[recorder.leaf(o, shape, alike) for o in group] for group in (inputs, states, parameters)]
        (x, x_nodes), (s, s_nodes), (p, p_nodes) = (tuple(zip(*group, strict=True)) or ((), ()) for group in groups)
        with torch.set_grad_enabled(alike), recorder:
            outputs, next_states = step(x, s, p)
        _check(outputs, next_states, s, shape)
        forward = {
            "states": s_nodes,
            "inputs": x_nodes,
            "parameters": p_nodes,
            "next_states": tuple(map(recorder.node, next_states)),
            "outputs": tuple(map(recorder.node, outputs)),
        }
        if not alike:
            return StepGraph(**forward, **dict.fromkeys(_GRADIENTS, ()))
        results = [*next_states, *outputs]
        arriving = [recorder.leaf(Operand(y.dtype, (False,) * len(shape), False), shape, True) for y in results]
        wanted = [leaf for leaf in (*s, *x, *p) if leaf.requires_grad]
        live = [(y, g) for y, (g, _) in zip(results, arriving, strict=True) if y.requires_grad]
        found: list[Tensor | None] = [None] * len(wanted)
        if wanted and live:
            ys, gs = zip(*live, strict=True)
            with recorder:
                found = torch.autograd.grad(ys, wanted, gs, allow_unused=True)
        grads = {id(leaf): recorder.node(g) for leaf, g in zip(wanted, found, strict=True) if g is not None}
        return StepGraph(
            **forward,
            state_gradients=tuple(node for _, node in arriving[: len(s)]),
            output_gradients=tuple(node for _, node in arriving[len(s) :]),
            grad_states=tuple(grads.get(id(leaf)) for leaf in s),
            grad_inputs=tuple(grads.get(id(leaf)) for leaf in x),
            grad_parameters=tuple(grads.get(id(leaf)) for leaf in p),
        )


def _check(outputs: Sequence[Tensor], next_states: Sequence[Tensor], states: Sequence[Tensor], shape: tuple) -> None:
    if len(next_states) != len(states):
        raise NotPointwise(f"a step that takes {len(states)} state tensors and returns {len(next_states)}")
    for before, after in zip(states, next_states, strict=True):
        if before.dtype != after.dtype:
            raise NotPointwise(f"a state that turns from {before.dtype} into {after.dtype}")
    for result in (*next_states, *outputs):
        if tuple(result.shape) != shape:
            raise NotPointwise("a result whose shape is not that of the frame")


class _Recorder(TorchDispatchMode):
    """Writes every operation down as a node.

    Tensors are known by their storage: so a view without a change of shape is what it views, and the result of an
    operation in place takes the place of the old value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Node] = {}
        self.alive: list[Tensor] = []  # a storage that is freed could come back as another tensor
        self.leaves: set[Node] = set()
        self.interned: dict[tuple, Node] = {}
        self.compute = torch.float32

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, a second of work, only to keep it away from the method below.
        return False

    def leaf(self, operand: Operand, shape: tuple[int, ...], alike: bool) -> tuple[Tensor, Node]:
        """A new leaf; its numbers differ from one recording to the next, so that a step that reads them is caught."""
        if operand.dtype not in _RESULTS:
            raise _Refusal(f"an operand of {operand.dtype}")
        axes = shape[len(shape) - len(operand.broadcast) :]
        sizes = shape if alike else [1 if flat else size for flat, size in zip(operand.broadcast, axes, strict=True)]
        count = len(self.leaves) + 1
        start = torch.linspace(0.1 * count, 0.1 * count + 0.07 * len(shape) * shape[0], max(1, prod(sizes)))
        tensor = start.reshape(sizes).to(operand.dtype)
        node = Node("input", (float(count),), operand.dtype)
        self.leaves.add(node)
        self._bind(tensor, node)
        return tensor.requires_grad_(operand.gradient and alike), node

    def node(self, tensor: Tensor) -> Node:
        """What has been recorded for a tensor."""
        known = self.known.get(tensor.untyped_storage()._cdata)
        if known is None:
            raise _Refusal(
                f"a tensor of shape {tuple(tensor.shape)} that is neither its argument nor a quantity, parameter or "
                "buffer of one value per neuron"
            )
        return known

    def _bind(self, tensor: Tensor, node: Node) -> None:
        self.alive.append(tensor)
        self.known[tensor.untyped_storage()._cdata] = node

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name == "aten::promote_types":
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        in_place = name.endswith("_") and not name.endswith("__")
        # Read before the call: an operation in place overwrites its argument.
        recorded = self._recorded(name.rstrip("_") if in_place else name, func, args, kwargs)
        result = func(*args, **kwargs)
        if name == "_efficientzerotensor":
            result = torch.zeros(result.shape, dtype=result.dtype)  # one without memory is met by odd operations
        if not isinstance(result, Tensor) or result.dtype not in _RESULTS:
            raise _Refusal(f"the operation {func}, whose result is not a tensor of floats")
        if in_place and self.known.get(result.untyped_storage()._cdata) in self.leaves:
            raise _Refusal(f"the operation {func}, which changes an argument of the step in place")
        self._bind(result, recorded(result))
        return result

    def _recorded(self, name: str, func: Any, args: tuple, kwargs: dict) -> Callable[[Tensor], Node]:
        """How the result of a call will be known."""
        if name in _IDENTITIES:
            source = self.node(args[0])
            return lambda result: self._identity(func, args[0], result, source)
        if name in _FILLS or name in _VALUE_POSITION:
            value = _FILLS[name] if name in _FILLS else args[_VALUE_POSITION[name]]
            return lambda result: self._constant(float(value), result.dtype)
        if name == "lift_fresh" and args[0].numel() == 1:
            return lambda result: self._constant(float(result.item()), result.dtype)
        if name in ("zero", "fill", "copy"):
            value = 0.0 if name == "zero" else args[1]
            source = self.node(value) if isinstance(value, Tensor) else float(value)
            return lambda result: self._cast(source, result.dtype)
        if name in ("_to_copy", "to"):
            source = self.node(args[0])
            return lambda result: self._cast(source, result.dtype)
        if name not in COMPOSITES and name not in OPS:
            raise _Refusal(f"the operation {func}, which is not in the table of elementwise operations")
        operands = [self._operand(func, arg) for arg in args]
        options = {key: self._operand(func, value) for key, value in kwargs.items()}
        return lambda result: self._computed(name, operands, options, result)

    def _operand(self, func: Any, value: Any) -> Any:
        if isinstance(value, Tensor):
            node = self.node(value)
            if node.dtype == torch.uint8:
                raise _Refusal(f"the operation {func} on a tensor of {node.dtype}")
            return node
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return float(value)
        raise _Refusal(f"the operation {func} with the argument {value!r}")

    def _identity(self, func: Any, source: Tensor, result: Tensor, node: Node) -> Node:
        if source.shape != result.shape and "expand" not in func._schema.name:
            raise _Refusal(f"the operation {func}, which changes the shape")
        return node

    def _computed(self, name: str, operands: list, options: dict, result: Tensor) -> Node:
        wide = [node.dtype for node in [*operands, *options.values()] if isinstance(node, Node)]
        self.compute = _widened([result.dtype] if result.dtype != torch.bool else wide)
        combine = COMPOSITES.get(name)
        node = combine(self._emit, *operands, **options) if combine else self._emit(name, *operands, **options)
        return self._cast(node, result.dtype)

    def _emit(self, op: str, *args: Any) -> Node:
        if op in _LOGICAL:
            args = tuple(self._truth(arg) for arg in args)
        elif op == "where":
            args = (self._truth(args[0]), *(self._cast(arg, self.compute) for arg in args[1:]))
        elif OPS[op].mask:
            common = _widened([arg.dtype for arg in args if isinstance(arg, Node)])
            args = tuple(self._cast(arg, common) for arg in args)
        else:
            args = tuple(self._cast(arg, self.compute) for arg in args)
        if op == "mul":
            # Times one is exact; the straight-through surrogate and a neutral factor cost nothing.
            for one, other in (args, args[::-1]):
                if one.op == "constant" and one.args == (1.0,):
                    return other
        return self._interned(op, args, torch.bool if OPS[op].mask else self.compute)

    def _truth(self, arg: Any) -> Node:
        if isinstance(arg, Node) and arg.dtype == torch.bool:
            return arg
        return self._emit("ne", arg, 0.0)

    def _cast(self, arg: Any, dtype: torch.dtype) -> Node:
        if not isinstance(arg, Node):
            return self._constant(float(arg), dtype)
        if arg.dtype == dtype:
            return arg
        if arg.op == "constant":
            return self._constant(arg.args[0], dtype)
        if dtype == torch.bool:
            return self._truth(arg)
        return self._interned("cast", (arg,), dtype)

    def _constant(self, value: float, dtype: torch.dtype) -> Node:
        return self._interned("constant", (value,), dtype)

    def _interned(self, op: str, args: tuple, dtype: torch.dtype) -> Node:
        key = (op, tuple(id(arg) if isinstance(arg, Node) else repr(arg) for arg in args), dtype)
        return self.interned.setdefault(key, Node(op, args, dtype))


_LOGICAL = ("and", "or", "xor", "not")


def _widened(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """The type in which operands of these types are computed: float32, or float64 if one of them is."""
    return torch.float64 if torch.float64 in dtypes else torch.float32
