"""Recurrent connections around any neuron."""

from typing import NamedTuple

from torch import Tensor, nn

from .dynamics import Dynamics
from .state import State, first_leaf, register_state, zeros_state
from .stepwise import holds_dynamics


@register_state
class RecurrentState(NamedTuple):
    """neuron: state of the neuron; connection: state of the connection, () if none; output: y of the last step."""

    neuron: State
    connection: State
    output: Tensor


class Recurrent(Dynamics):
    r"""Feeds the output of a neuron back through a connection, one step later.

    .. math:: (y_t, s_t) = \mathrm{neuron}(x_t + \mathrm{connection}(y_{t-1}), s_{t-1})

    Args:
        neuron: the dynamics, whose output has the shape of its input.
        connection: maps one frame [B, \*] of outputs to inputs: a layer such as ``nn.Linear``, or dynamics.

    Shape:
        - input: [T, B, \*]
        - output: [T, B, \*]

    Raises:
        TypeError: if ``neuron`` is not a :class:`Dynamics`.
        ValueError: if dynamics hide inside a connection that is none itself, or if steps differ in length.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4, bias=False))
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
    """

    pointwise = None

    def __init__(self, neuron: Dynamics, connection: nn.Module):
        if not isinstance(neuron, Dynamics):
            raise TypeError(f"Recurrent: expected a Dynamics as neuron, got {type(neuron).__name__}; pass e.g. LIF()")
        if not isinstance(connection, Dynamics) and holds_dynamics(connection):
            raise ValueError(
                f"Recurrent: expected a connection that threads its state, got {type(connection).__name__} with "
                "dynamics inside; use a Chain"
            )
        if isinstance(connection, Dynamics) and connection.dt != neuron.dt:
            raise ValueError(
                f"Recurrent: expected one dt, got {neuron.dt} ms for the neuron and {connection.dt} ms for the "
                "connection; give both the same"
            )
        super().__init__(dt=neuron.dt)
        self.neuron = neuron
        self.connection = connection

    def initial_state(self, x_t: State) -> RecurrentState:
        output = zeros_state(x_t)
        connection = self.connection.initial_state(output) if isinstance(self.connection, Dynamics) else ()
        return RecurrentState(self.neuron.initial_state(x_t), connection, output)

    def step(self, x_t: State, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        before = state.output.to(first_leaf(x_t).dtype)
        if isinstance(self.connection, Dynamics):
            feedback, connection = self.connection.step(before, state.connection)
        else:
            feedback, connection = self.connection(before), ()
        y_t, neuron = self.neuron.step(x_t + feedback, state.neuron)
        return y_t, RecurrentState(neuron, connection, y_t.to(state.output.dtype))

    def check_input(self, x: State) -> None:
        super().check_input(x)
        self.neuron.check_input(x)
