"""Dynamics under a constant input as a vector field."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.context import without_drawing
from ..core.dynamics import Dynamics
from ..core.integrator import Integrator
from ..core.spiking import Spiking
from ..core.state import State, leaves, map_state
from .field import Field, Parameter
from .flat_state import FlatState
from .module_values import ModuleValues
from .parts import cells, check_inputs, rates, stepped
from .placed import check_placed
from .refusals import check_constant_input, check_dynamics
from .widened import widened


class DynamicsField(Field):
    """The field of dynamics under a constant input.

    The state is the concatenation of all that flows in the state of the dynamics, field by field.

    Args:
        dynamics: an :class:`ODE`, a :class:`Network` of one without a delay, or a :class:`Chain` of such and of layers
            without time, each of which follows what the one in front puts out.
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
        check_placed(self.owner, "a module and an input", [*leaves(input), *dynamics.parameters(), *dynamics.buffers()])
        self.module = widened(dynamics, dtype)
        self.values = ModuleValues(self.owner, self.module, input, dtype, parameters)
        self.device = leaves(input)[0].device
        self.values.put()
        with torch.no_grad(), without_drawing():
            check_inputs(self.module, self.values.input)
            frame = self.module._read(self.values.input, axis=1)
            template = self.module.initial_state(frame)
            self.form = FlatState(self.module, template, rates(self.module, frame, template))

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.form.size

    @property
    def template(self) -> State:
        """The initial state of the dynamics."""
        return self.form.template

    def __call__(self, state: Tensor) -> Tensor:
        return self._applied(lambda frame, tree: rates(self.module, frame, tree), state)

    def stepped(self, state: Tensor, integrator: Integrator | None, dt: float | None) -> Tensor:
        for cell, _ in cells(self.module):
            # A step that is too long is what one may want to see.
            (integrator or cell.integrator).check_equation(cell)
        length = self.module.dt if dt is None else dt
        return self._applied(lambda frame, tree: stepped(self.module, frame, tree, integrator, length), state)

    def _applied(self, function: Callable[[State, State], State], state: Tensor) -> Tensor:
        """A function of input and state, of the dynamics, at states [..., n]."""
        self.values.put()
        rows = self.form.rows
        batch = state.expand(*state.shape[:-2], rows, self.size) if rows > 1 else state
        flat = batch.reshape(-1, self.size)
        frame = map_state(lambda leaf: _spread(leaf, flat.shape[0]), self.values.input)
        return self.form.moving(function(frame, self.form.tree(flat)), flat.shape[0]).reshape(batch.shape)

    def check_value(self, parameter: Parameter, value: Tensor | float) -> None:
        self.values.check(parameter, value)

    def value(self, parameter: Parameter) -> Tensor:
        return self.values.get(parameter)

    def with_value(self, parameter: Parameter, value: Tensor | float) -> "DynamicsField":
        other = object.__new__(DynamicsField)
        vars(other).update(vars(self), values=self.values.replaced(parameter, value))
        return other

    def flat(self, state: State) -> Tensor:
        check_placed(self.owner, "a state", [leaf for leaf in leaves(state) if isinstance(leaf, Tensor)][:1])
        return self.form.flat(state).to(self.device, self.dtype)

    def names(self, size: int) -> tuple[str, ...]:
        return self.form.names()

    def allowed(self, state: Tensor) -> Tensor:
        if not self.between_spikes:
            return super().allowed(state)
        self.values.put()
        rows = state.reshape(-1, self.size)
        below = torch.ones(len(rows), dtype=torch.bool, device=state.device)
        with torch.no_grad():
            for cell, tree in cells(self.module, self.form.tree(rows)):
                if isinstance(cell, Spiking) and cell.threshold.reset != "none":
                    below = below & (tree.v < cell.threshold.level(cell, tree)).reshape(len(rows), -1).all(-1)
        return below.reshape(state.shape[:-1])


def _spread(leaf: Tensor, rows: int) -> Tensor:
    if leaf.shape[0] == 1:
        return leaf.expand(rows, *leaf.shape[1:])
    return leaf.expand(rows // leaf.shape[0], *leaf.shape).reshape(rows, *leaf.shape[1:])
