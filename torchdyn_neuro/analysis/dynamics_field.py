"""Dynamics under a constant input as a vector field."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.context import without_drawing
from ..core.dynamics import Dynamics
from ..core.integrator import Integrator
from ..core.network import Network, NetworkState
from ..core.quantities import Alias, Constrained
from ..core.spiking import Spiking
from ..core.state import State, leaves, map_state
from .field import Field, Parameter, at_index, split
from .refusals import check_constant_input, check_dynamics
from .widened import cast, widened


class DynamicsField(Field):
    """The field of dynamics under a constant input.

    The state is the concatenation of all that flows in the state of the dynamics, field by field.

    Args:
        dynamics: an :class:`ODE`, or a :class:`Network` of one without a delay.
        input: one frame [1, *], or [B, *].
        parameters: values by the dotted names of quantities, parameters or buffers.
        between_spikes: whether a threshold is left aside.
        dtype: in which all is computed.

    Raises:
        TypeError: if it has no vector field, or the input is no frame.
        ValueError: if it is not smooth, not autonomous or random; if a parameter is unknown.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        *,
        input: State = None,
        parameters: Mapping[str, Any] | tuple[()] = (),
        between_spikes: bool = False,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__(type(dynamics).__name__, dtype)
        self.between_spikes = between_spikes
        check_dynamics(dynamics, between_spikes)
        check_constant_input(dynamics, input)
        self.module = widened(dynamics, dtype)
        if parameters and not isinstance(parameters, Mapping):
            raise TypeError(
                f"{self.owner}: expected the parameters of dynamics by their names, got {type(parameters).__name__}; "
                "pass a dictionary such as {'tau': 10.0}"
            )
        self.values: dict[str, Tensor] = {"input": map_state(lambda leaf: cast(leaf, dtype), input)}
        self.device = leaves(input)[0].device
        self._originals: dict[str, Tensor] = {}
        for given, value in dict(parameters).items():
            name = self._resolved(given)
            original = self._original(name)
            value = torch.as_tensor(value, device=original.device)
            self.values[name] = at_index(original, None, cast(value, dtype) if value.is_floating_point() else value)
        self._learn_structure()

    # Parameters.

    def _resolved(self, name: str) -> str:
        """The name of what an alias stands for."""
        owner, _, last = name.rpartition(".")
        holder = self.module
        for part in owner.split(".") if owner else ():
            holder = getattr(holder, part, None)
        alias = getattr(type(holder), last, None)
        if not isinstance(alias, Alias):
            return name
        return ".".join(part for part in (owner, alias.owner, alias.name) if part)

    def _original(self, name: str) -> Tensor:
        if name not in self._originals:
            self._originals[name] = self._find(name)
        return self._originals[name]

    def _find(self, name: str) -> Tensor:
        owner, _, last = name.rpartition(".")
        try:
            holder = self.module.get_submodule(owner)
        except AttributeError:
            holder = None
        if holder is not None:
            if isinstance(holder._modules.get(last), Constrained):
                return holder._modules[last]()
            for kind in (holder._parameters, holder._buffers):
                if kind.get(last) is not None:
                    return kind[last]
        known = [key for key, part in self.module.named_modules() if isinstance(part, Constrained)]
        known += [key for key, _ in self.module.named_parameters() if key.rpartition(".")[0] not in known]
        raise ValueError(
            f"{self.owner}: expected the name of a quantity or a parameter ({', '.join(known)}) or 'input', got "
            f"{name!r}; name one of them"
        )

    def _set(self, name: str, value: Tensor) -> None:
        owner, _, last = name.rpartition(".")
        holder = self.module.get_submodule(owner)
        if isinstance(holder._modules.get(last), Constrained):
            holder._modules[last].bound = value
        elif last in holder._parameters:
            holder._parameters[last] = value
        else:
            holder._buffers[last] = value

    def _input_alone(self) -> Tensor:
        frame = self.values["input"]
        if not isinstance(frame, Tensor):
            raise ValueError(
                f"{self.owner}: expected an input of one tensor to be varied, got {len(frame)} of them; vary a "
                "quantity, or pass a function f(state, *parameters)"
            )
        return frame

    def value(self, parameter: Parameter) -> Tensor:
        name, index = split(parameter)
        if name == "input":
            frame = self._input_alone()
            return frame if index is None else frame[_in_row(index)]
        name = self._resolved(name)
        original = self._original(name) if name not in self.values else self.values[name]
        return original if index is None else original[index]

    def with_value(self, parameter: Parameter, value: Tensor | float) -> "DynamicsField":
        name, index = split(parameter)
        name = self._resolved(name)
        before = self._input_alone() if name == "input" else self.values.get(name, None)
        before = self._original(name) if before is None else before
        other = object.__new__(DynamicsField)
        vars(other).update(vars(self))
        index = _in_row(index) if name == "input" and index is not None else index
        other.values = {**self.values, name: at_index(before, index, value)}
        return other

    # Flat and back.

    def _learn_structure(self) -> None:
        """Which leaves of the state flow, and which stay."""
        self._prepare()
        with torch.no_grad(), without_drawing():
            frame = self.module._read(self.values["input"], axis=1)
            self.template = self.module.initial_state(frame)
            change = self.module.vector_field(frame, self.template)
        self.flows = _flowing(self.template, change)
        given = [(name, leaf) for name, leaf in _named(self.template, "") if isinstance(leaf, Tensor)]
        self.parts = [(name, leaf) for (name, leaf), flows in zip(given, self.flows, strict=True) if flows]
        self.size = sum(leaf[0].numel() for _, leaf in self.parts)
        self.rows = leaves(self.template)[0].shape[0]

    def _prepare(self) -> None:
        for name, original in self._originals.items():
            self._set(name, self.values.get(name, original))

    def flat(self, state: State) -> Tensor:
        if (isinstance(state, Tensor) and len(leaves(self.template)) != 1) or (
            isinstance(state, Tensor) and state.shape[-1] == self.size
        ):
            tensor = state
        else:
            given = leaves(state)
            if len(given) != len(self.flows):
                raise ValueError(
                    f"{self.owner}: expected a state of {len(self.flows)} tensors or one [..., {self.size}], got "
                    f"{len(given)}; pass the state that scan() returned"
                )
            moving = [leaf for leaf, flows in zip(given, self.flows, strict=True) if flows]
            tensor = torch.cat([leaf.flatten(1) for leaf in moving], -1)
        if not tensor.is_floating_point() or not tensor.ndim or tensor.shape[-1] != self.size:
            raise ValueError(
                f"{self.owner}: expected states [..., {self.size}] ({', '.join(self.names(self.size))}), got "
                f"{tensor.dtype} {tuple(tensor.shape)}; pass such a tensor, or a state of the dynamics"
            )
        return tensor.to(self.device, self.dtype)

    def tree(self, state: Tensor) -> State:
        """States [B, n] as the state of the dynamics, with B rows."""
        pieces = iter(state.split([leaf[0].numel() for _, leaf in self.parts], -1))
        flows = iter(self.flows)

        def filled(leaf: Tensor) -> Tensor:
            if next(flows):
                return next(pieces).reshape(-1, *leaf.shape[1:])
            return leaf[:1].expand(state.shape[0], *leaf.shape[1:])

        return map_state(filled, self.template)

    def __call__(self, state: Tensor) -> Tensor:
        return self._applied(self.module.vector_field, state)

    def stepped(self, state: Tensor, integrator: Integrator | None, dt: float | None) -> Tensor:
        cell = self.module.neuron if isinstance(self.module, Network) else self.module
        method, length = integrator or cell.integrator, self.module.dt if dt is None else dt
        # A step that is too long is what one may want to see.
        method.check_equation(cell)

        def step(frame: State, tree: State) -> State:
            if isinstance(self.module, Network):
                return NetworkState(method(cell, self.module._coupled(frame), tree.neuron, length))
            return method(cell, frame, tree, length)

        return self._applied(step, state)

    def _applied(self, function: Callable[[State, State], State], state: Tensor) -> Tensor:
        """A function of input and state, of the dynamics, at states [..., n]."""
        self._prepare()
        batch = state.expand(*state.shape[:-2], self.rows, self.size) if self.rows > 1 else state
        flat = batch.reshape(-1, self.size)
        frame = map_state(lambda leaf: _spread(leaf, flat.shape[0]), self.values["input"])
        frame = self.module._read(frame, axis=1)
        given = _all_leaves(self.template, function(frame, self.tree(flat)))
        kept = [leaf for leaf, flows in zip(given, self.flows, strict=True) if flows]
        return torch.cat([leaf.expand(flat.shape[0], *leaf.shape[1:]).flatten(1) for leaf in kept], -1).reshape(
            batch.shape
        )

    def names(self, size: int) -> tuple[str, ...]:
        names = []
        for name, leaf in self.parts:
            one = leaf[0]
            if one.numel() == 1:
                names.append(name)
            else:
                indices = torch.cartesian_prod(*(torch.arange(extent) for extent in one.shape)).reshape(-1, one.ndim)
                names += [f"{name}[{', '.join(str(int(i)) for i in index)}]" for index in indices]
        return tuple(names)

    def allowed(self, state: Tensor) -> Tensor:
        cell = self.module.neuron if isinstance(self.module, Network) else self.module
        if not self.between_spikes or not isinstance(cell, Spiking) or cell.threshold.reset == "none":
            return super().allowed(state)
        self._prepare()
        with torch.no_grad():
            tree = self.tree(state.reshape(-1, self.size))
            tree = tree.neuron if isinstance(self.module, Network) else tree
            below = tree.v < cell.threshold.level(cell, tree)
        return below.flatten(1).all(-1).reshape(state.shape[:-1])


def _in_row(index: Any) -> tuple[Any, ...]:
    """An index into a frame, of one into the neurons."""
    return (slice(None), *(index if isinstance(index, tuple) else (index,)))


def _spread(leaf: Tensor, rows: int) -> Tensor:
    if leaf.shape[0] == 1:
        return leaf.expand(rows, *leaf.shape[1:])
    return leaf.expand(rows // leaf.shape[0], *leaf.shape).reshape(rows, *leaf.shape[1:])


def _flowing(state: State, change: State) -> list[bool]:
    return [isinstance(leaf, Tensor) for leaf in _all_leaves(state, change)]


def _all_leaves(state: State, change: State) -> list[Any]:
    """The rates of change of all leaves of a state, () for those that have none."""
    if not isinstance(state, tuple):
        return [change]
    if isinstance(change, tuple) and not change:
        return [()] * len(leaves(state))
    return [leaf for part, moved in zip(state, change, strict=True) for leaf in _all_leaves(part, moved)]


def _named(state: State, name: str) -> list[tuple[str, Any]]:
    """The leaves of a state with their names; that of the neuron of a network needs no name of its own."""
    if not isinstance(state, tuple):
        return [(name or "x", state)]
    fields = getattr(state, "_fields", tuple(f"x{k}" for k in range(len(state))))
    found = []
    for field, part in zip(fields, state, strict=True):
        path = name if field == "neuron" and not name else f"{name}.{field}" if name else field
        found += _named(part, path)
    return found
