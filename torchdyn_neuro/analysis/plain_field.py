"""A function as a vector field."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.ode import ODE
from ..core.state import State
from .field import Field, Parameter, at_index, split
from .placed import check_placed
from .widened import cast, widened


class _Equation(ODE):
    """A field for an integrator to step; the input is not used."""

    def __init__(self, field: Field, integrator: Integrator, dt: float):
        super().__init__(integrator=integrator, dt=dt)
        self.field = field

    def derivative(self, x_t: Tensor, state: Tensor) -> Tensor:
        return self.field(state)


_TIMES = {"t", "time", "t_ms"}


class PlainField(Field):
    """The field of a function ``f(state, *parameters)``.

    Args:
        function: maps states [..., n] to rates of change [..., n] per ms; a module is run in ``dtype``.
        parameters: its arguments behind the state.
        dtype: in which all is computed.

    Raises:
        TypeError: if it cannot be called, or takes the time; from a call, if the function holds tensors of another
            type.
        ValueError: if it is given what belongs to dynamics.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        *,
        parameters: tuple[Any, ...] = (),
        input: State = None,
        between_spikes: bool = False,
        dtype: torch.dtype = torch.float64,
    ):
        owner = getattr(function, "__name__", type(function).__name__)
        super().__init__(owner, dtype)
        if not callable(function):
            raise TypeError(
                f"{owner}: expected a Dynamics or a function f(state, *parameters), got {type(function).__name__}; "
                "pass one of the two"
            )
        if input is not None or between_spikes:
            wraps = isinstance(function, nn.Module)
            way = "pass what it depends on as parameters=(...)"
            if wraps:
                way = "pass the dynamics inside it, not compiled, or its layers as Chain(*model)"
            raise ValueError(
                f"{owner}: expected input and between_spikes with Dynamics only, got one for a "
                f"{'module that is none' if wraps else 'function'}; {way}"
            )
        if isinstance(parameters, Mapping) or not isinstance(parameters, (tuple, list)):
            raise TypeError(
                f"{owner}: expected the parameters of a function as a tuple, got {type(parameters).__name__}; pass "
                "parameters=(w, I), in the order of its arguments"
            )
        body = function.forward if isinstance(function, nn.Module) else function
        try:
            arguments = list(inspect.signature(body).parameters)
        except (TypeError, ValueError):
            arguments = []
        if arguments and arguments[0] in _TIMES:
            raise TypeError(
                f"{owner}: expected an autonomous field f(state, *parameters), got a first argument {arguments[0]!r}; "
                "make the time a variable of the state (its rate of change is 1), or write f without it"
            )
        self.arguments = arguments[1:]
        self.function = widened(function, dtype) if isinstance(function, nn.Module) else function
        given = [*parameters, *(function.parameters() if isinstance(function, nn.Module) else ())]
        self.device = next((value.device for value in given if isinstance(value, Tensor)), self.device)
        check_placed(owner, "parameters", (value for value in given if isinstance(value, Tensor)))
        self.parameters = tuple(self._taken(value) for value in parameters)

    def _taken(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return cast(value, self.dtype)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return torch.tensor(float(value), dtype=self.dtype, device=self.device) if number else value

    def __call__(self, state: Tensor) -> Tensor:
        try:
            return self.function(state, *self.parameters)
        except RuntimeError as error:
            if "device" in str(error):
                raise ValueError(
                    f"{self.owner}: expected a function whose tensors lie where the state does, on {state.device}, got "
                    f"others ({error}); move them, or the state"
                ) from error
            if "dtype" not in str(error):
                raise
            raise TypeError(
                f"{self.owner}: expected a function that computes in {self.dtype}, got one that holds tensors of "
                f"another type ({error}); pass them as parameters=(W, ...), or dtype=torch.float32"
            ) from error

    def stepped(self, state: Tensor, integrator: Integrator | None, dt: float | None) -> Tensor:
        if integrator is None or dt is None:
            raise ValueError(
                f"{self.owner}: expected an integrator and a step for a function, which has none of its own, got none; "
                "pass integrator=Euler(), dt=1.0"
            )
        equation = _Equation(self, integrator, dt)
        return integrator(equation, state, state, dt)

    def _place(self, name: str | int) -> int:
        place = self.arguments.index(name) if name in self.arguments else name
        known = isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(self.parameters)
        if known and isinstance(self.parameters[place], Tensor):
            return place
        names = [*self.arguments[: len(self.parameters)]] or [*range(len(self.parameters))]
        raise ValueError(
            f"{self.owner}: expected the name or the place of a number or a tensor in parameters "
            f"({', '.join(map(str, names)) or 'none is given'}), got {name!r}; name one of them"
        )

    def value(self, parameter: Parameter) -> Tensor:
        name, index = split(parameter)
        value = self.parameters[self._place(name)]
        return value if index is None else value[index]

    def with_value(self, parameter: Parameter, value: Tensor | float) -> "PlainField":
        name, index = split(parameter)
        place = self._place(name)
        other = object.__new__(PlainField)
        vars(other).update(vars(self))
        changed = at_index(self.parameters[place], index, value)
        other.parameters = (*self.parameters[:place], changed, *self.parameters[place + 1 :])
        return other

    def flat(self, state: State) -> Tensor:
        if not isinstance(state, Tensor) or not state.is_floating_point() or not state.ndim:
            got = f"{state.dtype} {tuple(state.shape)}" if isinstance(state, Tensor) else type(state).__name__
            raise TypeError(f"{self.owner}: expected a state [..., n] of floats, got {got}; pass such a tensor")
        check_placed(self.owner, "a state", [state])
        return state.to(self.dtype)

    def names(self, size: int) -> tuple[str, ...]:
        return tuple(f"x{k}" for k in range(size))
