"""The one form in which dynamics are analysed: a flat vector field that depends on nothing but its state."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict

import torch
from torch import Tensor

from ..core.integrator import Integrator
from ..core.state import State

Parameter: TypeAlias = str | int | tuple[str | int, Any]
"""What is varied: the name of a quantity, of a parameter or ``"input"``; of a plain field the name or the place of an
argument behind the state. All of its entries are set to one value; ``(name, index)`` sets those at the index alone.
"""


class At(TypedDict, total=False):
    """Where a system is analysed.

    input: of dynamics, one frame [1, *] (or one for each row, [B, *]) that is held for ever.
    parameters: of dynamics, values of quantities or parameters by their dotted names, in the place of the module's own;
        of a plain field, its arguments behind the state.
    between_spikes: analyse what a spiking cell does between its spikes; without it, a cell whose spikes change the
        state is refused.
    dtype: in which all is computed; float64 if omitted.
    """

    input: State
    parameters: tuple[Any, ...] | Mapping[str, Any]
    between_spikes: bool
    dtype: torch.dtype


class Field(ABC):
    r"""A flat autonomous vector field, :math:`\dot s = f(s)` per ms.

    :func:`as_field` makes one of any :class:`Dynamics` or function; every function of this package takes it too.
    Calling it maps states [..., n] to their rates of change [..., n], each row by itself; it is differentiable with
    respect to the state and to the parameters of the system.
    """

    def __init__(self, owner: str, dtype: torch.dtype):
        self.owner = owner
        self.dtype = dtype
        self.device = torch.device("cpu")

    @abstractmethod
    def __call__(self, state: Tensor) -> Tensor:
        """The rates of change of states [..., n], per ms."""

    @abstractmethod
    def stepped(self, state: Tensor, integrator: Integrator | None, dt: float | None) -> Tensor:
        """States [..., n] one step of an integrator later; by default that of the dynamics."""

    @abstractmethod
    def value(self, parameter: Parameter) -> Tensor:
        """What is varied by ``parameter``, as it is now."""

    @abstractmethod
    def with_value(self, parameter: Parameter, value: Tensor | float) -> "Field":
        """The field with a parameter of another value; nothing is copied."""

    @abstractmethod
    def flat(self, state: State) -> Tensor:
        """A state as vectors [..., n], from the state of the dynamics or from a tensor [..., n]."""

    def in_rows(self, state: State) -> Tensor:
        """A state as vectors [..., n], with a row for each row of the input or the parameters."""
        flat = self.flat(state)
        return flat.expand(self(flat).shape)

    @abstractmethod
    def names(self, size: int) -> tuple[str, ...]:
        """The names of the components of the state."""

    def allowed(self, state: Tensor) -> Tensor:
        """Whether each of the states [..., n] lies where the field is the whole equation: below any threshold."""
        return torch.ones(state.shape[:-1], dtype=torch.bool, device=state.device)

    def along(self, parameter: Parameter) -> Callable[[Tensor, Tensor], Tensor]:
        """The field as a function of the state [..., n] and of the value of a parameter, a number."""
        self.value(parameter)
        return lambda state, value: self.with_value(parameter, value)(state)

    def component(self, name: str | int, size: int) -> int:
        """The place of a component, by its name or its place."""
        names = self.names(size)
        if isinstance(name, str) and name in names:
            return names.index(name)
        if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < size:
            return name
        raise ValueError(
            f"{self.owner}: expected a component of the state, one of {', '.join(names)} or a place below {size}, got "
            f"{name!r}; pass one of them"
        )


def at_index(original: Tensor, index: Any, value: Tensor | float) -> Tensor:
    """``original`` with the entries at an index, or all of them, set to a number."""
    value = torch.as_tensor(value, dtype=original.dtype, device=original.device)
    if index is None:
        return value.expand_as(original) if value.ndim <= original.ndim else value
    chosen = torch.zeros_like(original, dtype=torch.bool)
    chosen[index] = True
    return torch.where(chosen, value, original)


def split(parameter: Parameter) -> tuple[str | int, Any]:
    """The name of what is varied, and the index within it."""
    return parameter if isinstance(parameter, tuple) else (parameter, None)
