"""The values that a module computes with: its own, and those that stand in for them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.quantities import Alias, Constrained
from ..core.state import State, map_state
from ..core.tensors import readable
from .field import Parameter, at_index, split
from .widened import cast


class ModuleValues:
    """Values by the dotted names of quantities, parameters or buffers, and the input.

    Args:
        owner: whose they are, for messages.
        module: the module that computes with them.
        input: one frame.
        dtype: in which all is computed.
        parameters: values in the place of the module's own.

    Raises:
        TypeError: if the parameters come without names.
        ValueError: if one is unknown, or out of its bounds.
    """

    def __init__(
        self,
        owner: str,
        module: nn.Module,
        input: State,
        dtype: torch.dtype,
        parameters: Mapping[str, Any] | tuple[()] = (),
    ):
        if parameters and not isinstance(parameters, Mapping):
            raise TypeError(
                f"{owner}: expected the parameters of dynamics by their names, got {type(parameters).__name__}; "
                "pass a dictionary such as {'tau': 10.0}"
            )
        self.owner, self.module = owner, module
        self._given: dict[str, Any] = {"input": map_state(lambda leaf: cast(leaf, dtype), input)}
        self._originals: dict[str, Tensor] = {}
        for given, value in dict(parameters).items():
            name = self._resolved(given)
            original = self._original(name)
            value = torch.as_tensor(value, device=original.device)
            self.check(name, value)
            self._given[name] = at_index(original, None, cast(value, dtype) if value.is_floating_point() else value)

    @property
    def input(self) -> State:
        return self._given["input"]

    def put(self) -> None:
        """Give the module the values that stand in for its own."""
        for name, original in self._originals.items():
            self._set(name, self._given.get(name, original))

    def get(self, parameter: Parameter) -> Tensor:
        name, index = split(parameter)
        if name == "input":
            frame = self._input_alone()
            return frame if index is None else frame[_in_row(index)]
        name = self._resolved(name)
        original = self._given[name] if name in self._given else self._original(name)
        return original if index is None else original[index]

    def replaced(self, parameter: Parameter, value: Tensor | float) -> "ModuleValues":
        """The same with one value changed; nothing is copied."""
        name, index = split(parameter)
        name = self._resolved(name)
        before = self._input_alone() if name == "input" else self._given.get(name, None)
        before = self._original(name) if before is None else before
        other = object.__new__(ModuleValues)
        vars(other).update(vars(self))
        index = _in_row(index) if name == "input" and index is not None else index
        other._given = {**self._given, name: at_index(before, index, value)}
        return other

    def check(self, parameter: Parameter, value: Tensor | float) -> None:
        """Raise ``ValueError`` if a quantity may not have such a value."""
        name = self._resolved(split(parameter)[0])
        owner, _, last = name.rpartition(".")
        quantity = None if name == "input" else self.module.get_submodule(owner)._modules.get(last)
        value = torch.as_tensor(value).detach()
        if not isinstance(quantity, Constrained) or not readable(value):
            return
        low, high = quantity._own_bounds
        inside = (value >= low) & (value <= high) if quantity.closed else (value > low) & (value < high)
        if not inside.all():
            raise ValueError(
                f"{self.owner}: expected {name} to be {quantity.expected}, got {value[~inside].flatten()[0].item():g}; "
                "stay within its bounds"
            )

    def _input_alone(self) -> Tensor:
        if not isinstance(self.input, Tensor):
            raise ValueError(
                f"{self.owner}: expected an input of one tensor to be varied, got {len(self.input)} of them; vary a "
                "quantity, or pass a function f(state, *parameters)"
            )
        return self.input

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


def _in_row(index: Any) -> tuple[Any, ...]:
    """An index into a frame, of one into the neurons."""
    return (slice(None), *(index if isinstance(index, tuple) else (index,)))
