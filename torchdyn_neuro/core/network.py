"""Dynamics whose own outputs, or potentials, are fed back to them."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from .checks import is_whole, positive_number
from .context import without_drawing
from .dynamics import Dynamics
from .feedback import fed_back, source_of
from .fits import check_width, in_its_type
from .layers import check_one_clock, step_layer
from .modulated import check_modulator, for_layer, reads_modulator, split_modulator
from .ode import ODE
from .plastic import Plastic
from .spiking import Spiking
from .state import State, first_frame, first_leaf, leaves, register_state, widen, zeros_state
from .stepwise import holds_dynamics


@register_state
class NetworkState(NamedTuple):
    """neuron: state of the neurons; connection: state of the connection, () if none; output: what is on its way back,
    [B, *]: y of the last step; with a longer delay a tuple of the last ones, oldest first; () without a delay.
    """

    neuron: State
    connection: State = ()
    output: State = ()


class Network(Dynamics):
    r"""Dynamics coupled to themselves through a connection.

    .. math:: \dot s = f\bigl(x + \mathrm{connection}(z(s)),\ s\bigr) \qquad \text{or} \qquad
        (y_t, s_t) = \mathrm{step}(x_t + \mathrm{connection}(y_{t - d}),\ s_{t-1})

    Without a delay, on the left, the coupling is part of the vector field: every stage of the integrator evaluates it,
    from what the equation puts out (a rate) or from a field of its state (the potential, for gap junctions), so that a
    Runge-Kutta method keeps its order. An exponential integrator takes it from the state at the start of each substep.
    With a delay of whole steps, on the right, outputs are fed back later: spikes, which only exist at the end of a
    step, take one step at least.

    A :class:`Plastic` connection sees what it carried and what the neurons answered, and moves its weights on after
    every step. Hooks on the neurons and on the connection fire once per step (the connection: per stage), with frames
    [B, \*].

    Args:
        neuron: the dynamics; an :class:`ODE` for a coupling without a delay.
        connection: maps one frame [B, \*] of what is fed back to inputs: ``nn.Linear``, a :class:`GapJunction`, a
            convolution, any module; with a delay also dynamics, such as a synapse.
        source: ``"output"``, or the field of the state that is fed back, e.g. ``"v"``.
        delay: ms, a whole number of steps; 0 for a coupling inside the step. If omitted: 0, but one step for the
            output of spiking and other stepwise neurons.
        input: for neurons with several inputs, such as ``ConductanceLIF``: which of them the feedback is added to, by
            its place or its name.

    Shape:
        - input: [T, B, \*]; with several inputs a tuple of such tensors, or one tensor with the inputs on an axis of
          their own behind the batch, [T, B, inputs, \*]
        - output: [T, B, \*], that of the neurons

    Raises:
        TypeError: if ``neuron`` is no :class:`Dynamics`.
        ValueError: if the delay is no whole number of steps or too short for what is fed back, if dynamics hide inside
            a connection that is none itself, or if steps differ in length; from ``scan`` and ``forward`` if the state
            has no such field, or there are several inputs and ``input`` does not name one of them.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 7.1 (recurrent networks).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> coupled = tdn.Network(tdn.LIF(integrator=tdn.RK4()), tdn.GapJunction(4), source="v")
        >>> coupled(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
        >>> recurrent = tdn.Network(tdn.LIF(), nn.Linear(4, 4, bias=False), delay=3.0)
        >>> recurrent(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
    """

    pointwise = None

    def __init__(
        self,
        neuron: Dynamics,
        connection: nn.Module,
        *,
        source: str = "output",
        delay: float | None = None,
        input: int | str | None = None,
    ):
        owner = type(self).__name__
        if not isinstance(neuron, Dynamics):
            raise TypeError(f"{owner}: expected a Dynamics as neuron, got {type(neuron).__name__}; pass e.g. LIF()")
        if not isinstance(connection, nn.Module):
            raise TypeError(
                f"{owner}: expected a module as connection, got {type(connection).__name__}; pass e.g. nn.Linear(4, 4)"
            )
        if not isinstance(connection, Dynamics) and holds_dynamics(connection):
            raise ValueError(
                f"{owner}: expected a connection that threads its state, got {type(connection).__name__} with "
                "dynamics inside; use a Chain"
            )
        if isinstance(connection, Dynamics) and connection.dt != neuron.dt:
            raise ValueError(
                f"{owner}: expected one dt, got {neuron.dt} ms for the neuron and {connection.dt} ms for the "
                "connection; give both the same"
            )
        if isinstance(input, bool) or not isinstance(input, (int, str, type(None))):
            raise TypeError(
                f"{owner}: expected input to be the place or the name of an input, got {input!r}; pass e.g. 0"
            )
        super().__init__(dt=neuron.dt)
        self.neuron = neuron
        self.connection = connection
        self.source = source
        self.input = input
        self._delay: float | None = None
        self.delay = delay

    @property
    def delay(self) -> float:
        """The delay, ms; one that was not given is a step where there must be one."""
        if self._delay is not None:
            return self._delay
        return self.dt if self._stepwise() or isinstance(self.connection, Dynamics) else 0.0

    @delay.setter
    def delay(self, delay: float | None) -> None:
        before, owner = self._delay, type(self).__name__
        self._delay = None if delay is None else positive_number(owner, "delay", delay, zero=True, unit="ms")
        try:
            self.steps = self._whole_steps()
        except ValueError:
            self._delay = before
            raise

    def _stepwise(self) -> bool:
        """Whether what is fed back exists at the end of a step only."""
        return self.source == "output" and (isinstance(self.neuron, Spiking) or not isinstance(self.neuron, ODE))

    def _whole_steps(self) -> int:
        owner, steps = type(self).__name__, self.delay / self.dt
        if not is_whole(steps):
            raise ValueError(
                f"{owner}: expected a delay of a whole number of steps of {self.dt:g} ms, got {self.delay} ms; pass a "
                "multiple, or put a Delay into the connection"
            )
        steps = round(steps)
        name = type(self.neuron).__name__
        if not steps and getattr(self.neuron, "arrive", None) is not None:
            raise ValueError(
                f"{owner}: expected neurons with a current as input for a coupling inside the step, got {name}, whose "
                f"input is spikes that arrive at the end of it; pass a delay of at least {self.dt:g} ms"
            )
        if not steps and (self._stepwise() or not isinstance(self.neuron, ODE)):
            raise ValueError(
                f"{owner}: expected a delay of one step at least for the output of {name}, which exists at the end of "
                f"a step only, got 0 ms; pass delay={self.dt:g}, or feed back a field of its state, source='v'"
            )
        if not steps and isinstance(self.connection, Dynamics):
            raise ValueError(
                f"{owner}: expected a connection without a state of its own inside the step, got "
                f"{type(self.connection).__name__}; pass delay={self.dt:g}"
            )
        if steps and self.source != "output":
            raise ValueError(
                f"{owner}: expected a delayed feedback to be the output, got the field {self.source!r}; leave the "
                "delay out, or let the neuron put the field out"
            )
        return steps

    def change_dt(self, dt: float) -> None:
        super().change_dt(dt)
        self.steps = self._whole_steps()

    def initial_state(self, x_t: State) -> NetworkState:
        x_t, modulator = split_modulator(x_t)
        neuron = self.neuron.initial_state(for_layer(self.neuron, x_t, modulator))
        output = zeros_state(self._fed(x_t))
        if leaves(neuron) and self.input is None and first_leaf(neuron).ndim < output.ndim:
            raise ValueError(
                f"{type(self).__name__}: expected input= to say which input of {type(self.neuron).__name__} the "
                f"feedback is added to, got none for inputs on an axis of their own in {tuple(output.shape)}; pass "
                "e.g. input=0"
            )
        if not self.steps:
            return NetworkState(neuron)
        # In the dtype that it gets in a step.
        carried = output.to(first_leaf(x_t).dtype)
        connection = self.connection.initial_state(carried) if isinstance(self.connection, Dynamics) else ()
        return NetworkState(neuron, connection, output if self.steps == 1 else (output,) * self.steps)

    @property
    def modulated(self) -> bool:
        """Whether a learning rule inside reads a neuromodulator, which then comes with the input."""
        return reads_modulator(self.connection) or reads_modulator(self.neuron)

    def step(self, x_t: State, state: NetworkState) -> tuple[Tensor, NetworkState]:
        x_t, modulator = split_modulator(x_t)
        if not self.steps:
            y_t, neuron = step_layer(self.neuron, self._coupled(x_t), state.neuron)
            dtype = y_t.dtype if callable(x_t) else first_leaf(x_t).dtype
            return y_t.to(dtype), NetworkState(neuron)
        oldest = fed_back(self, state)
        before = oldest.to(first_leaf(x_t).dtype)
        fed = for_layer(self.connection, before, modulator)
        feedback, connection = step_layer(self.connection, fed, state.connection)
        driven = for_layer(self.neuron, self._with_feedback(x_t, feedback), modulator)
        y_t, neuron = step_layer(self.neuron, driven, state.neuron)
        if isinstance(self.connection, Plastic):
            connection = self.connection.learn(before, y_t, connection, neurons=neuron, modulator=modulator)
        output = y_t.to(oldest.dtype)
        return y_t, NetworkState(neuron, connection, output if self.steps == 1 else (*state.output[1:], output))

    def vector_field(self, x_t: State, state: NetworkState) -> NetworkState:
        """The whole right-hand side per ms, the coupling included; of a network without a delay."""
        return NetworkState(self.neuron.vector_field(self._coupled(x_t)(0.0, state.neuron), state.neuron))

    def _coupled(self, x_t: State) -> Any:
        """The input of a stage, with the feedback from the state of that stage."""

        def drive(fraction: float, state: State) -> State:
            given = x_t(fraction, state) if callable(x_t) else widen(x_t)
            source = in_its_type(self.connection, source_of(self, state))
            return self._with_feedback(given, widen(self.connection(source)))

        return drive

    def _check_linear_input(self) -> None:
        if self.steps:
            super()._check_linear_input()

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

    def _within(self, count: int) -> bool:
        return -count <= self.input < count

    def check_input(self, x: State) -> None:
        super().check_input(x)
        check_modulator(self, x)
        check_one_clock(self)
        x, modulator = split_modulator(x)
        x = self.neuron._read(x, axis=2)
        self.neuron.check_input(for_layer(self.neuron, x, modulator))
        owner, name = type(self).__name__, type(self.neuron).__name__
        if isinstance(x, Tensor):
            known = self.input is None or (isinstance(self.input, int) and x.ndim > 2 and self._within(x.shape[2]))
            count = "one tensor"
        else:
            known = len(x) == 1 if self.input is None else isinstance(self.input, str) or self._within(len(x))
            known = known and self._place(x) >= 0 and isinstance(x[self._place(x)], Tensor)
            count = ", ".join(getattr(x, "_fields", ())) or f"{len(x)} inputs"
        if not known:
            raise ValueError(
                f"{owner}: expected input= to name the input of {name} that the feedback is added to, got "
                f"input={self.input!r} for {count}; pass its place or its name"
            )
        fed = self._fed(first_frame(x))
        # Inside a step the connection is given what is kept in the state.
        check_width(owner, self.connection, fed if self.steps else in_its_type(self.connection, widen(fed)))
        if self.source == "output":
            return
        with without_drawing():
            state = self.neuron.initial_state(first_frame(x))
        fields = [name for name in getattr(state, "_fields", ()) if isinstance(getattr(state, name), Tensor)]
        if self.source not in fields:
            raise ValueError(
                f"{owner}: expected a field {self.source!r} in the state of {name}, got {', '.join(fields) or 'none'}; "
                "pass one of them as source"
            )

    def extra_repr(self) -> str:
        parts = [] if self.source == "output" else [f"source={self.source!r}"]
        parts += [f"delay={self.delay:g} ms"] if self.steps > 1 else []
        parts += [] if self.input is None else [f"input={self.input!r}"]
        return ", ".join([*parts, super().extra_repr()])
