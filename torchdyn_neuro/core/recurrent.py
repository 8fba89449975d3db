"""Recurrent connections around any neuron."""

from typing import NamedTuple

from torch import Tensor, nn

from .dynamics import Dynamics
from .layers import step_layer
from .state import State, first_leaf, leaves, register_state, zeros_state
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

    Hooks on the neuron and on the connection fire once per step, with frames [B, \*]: the one needs the output of the
    other. With hooks, the loop runs step by step; the result is the same.

    Args:
        neuron: the dynamics, whose output has the shape of its input, or of each of its inputs.
        connection: maps one frame [B, \*] of outputs to inputs: a layer such as ``nn.Linear``, or dynamics.
        input: for a neuron with several inputs, such as ``ConductanceLIF``: which of them the feedback is added to, by
            its place or its name.

    Shape:
        - input: [T, B, \*]; with several inputs a tuple of such tensors, or one tensor with the inputs on an axis of
          their own behind the batch, [T, B, inputs, \*]
        - output: [T, B, \*]

    Raises:
        TypeError: if ``neuron`` is not a :class:`Dynamics`.
        ValueError: if dynamics hide inside a connection that is none itself, or if steps differ in length; from
            ``scan`` and ``forward`` if there are several inputs and ``input`` does not name one of them.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4, bias=False))
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
        >>> excited = tdn.Recurrent(tdn.ConductanceLIF(), nn.Linear(4, 4), input=0)
        >>> excited((torch.ones(10, 2, 4), torch.ones(10, 2, 4))).shape
        torch.Size([10, 2, 4])
    """

    pointwise = None

    def __init__(self, neuron: Dynamics, connection: nn.Module, *, input: int | str | None = None):
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
        self.input = input

    def initial_state(self, x_t: State) -> RecurrentState:
        output = zeros_state(self._fed(x_t))
        connection = self.connection.initial_state(output) if isinstance(self.connection, Dynamics) else ()
        neuron = self.neuron.initial_state(x_t)
        if leaves(neuron) and self.input is None and first_leaf(neuron).ndim < output.ndim:
            raise ValueError(
                f"Recurrent: expected input= to say which input of {type(self.neuron).__name__} the feedback is added "
                f"to, got none for inputs on an axis of their own in {tuple(output.shape)}; pass e.g. input=0"
            )
        return RecurrentState(neuron, connection, output)

    def step(self, x_t: State, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        before = state.output.to(first_leaf(x_t).dtype)
        feedback, connection = step_layer(self.connection, before, state.connection)
        y_t, neuron = step_layer(self.neuron, self._with_feedback(x_t, feedback), state.neuron)
        return y_t, RecurrentState(neuron, connection, y_t.to(state.output.dtype))

    def _fed(self, x_t: State) -> Tensor:
        """The input that the feedback is added to."""
        if isinstance(x_t, Tensor):
            return x_t if self.input is None else x_t.select(1, self.input)
        return x_t[self._place(x_t)]

    def _with_feedback(self, x_t: State, feedback: Tensor) -> State:
        if isinstance(x_t, Tensor):
            if self.input is None:
                return x_t + feedback
            x_t = x_t.unbind(1)
        place = self._place(x_t)
        inputs = [x + feedback if index == place else x for index, x in enumerate(x_t)]
        return type(x_t)(*inputs) if hasattr(x_t, "_fields") else tuple(inputs)

    def _place(self, x_t: tuple[State, ...]) -> int:
        names = getattr(x_t, "_fields", ())
        if isinstance(self.input, str):
            return names.index(self.input) if self.input in names else -1
        return (0 if self.input is None else self.input) % max(1, len(x_t))

    def check_input(self, x: State) -> None:
        super().check_input(x)
        self.neuron.check_input(x)
        if isinstance(x, Tensor):
            known = self.input is None or (isinstance(self.input, int) and x.ndim > 2 and self.input < x.shape[2])
            count = "one tensor"
        else:
            known = len(x) == 1 if self.input is None else isinstance(self.input, str) or self.input < len(x)
            known = known and self._place(x) >= 0 and isinstance(x[self._place(x)], Tensor)
            count = ", ".join(getattr(x, "_fields", ())) or f"{len(x)} inputs"
        if not known:
            raise ValueError(
                f"Recurrent: expected input= to name the input of {type(self.neuron).__name__} that the feedback is "
                f"added to, got input={self.input!r} for {count}; pass its place or its name"
            )

    def extra_repr(self) -> str:
        return super().extra_repr() if self.input is None else f"input={self.input!r}, {super().extra_repr()}"
