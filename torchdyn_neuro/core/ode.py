"""Differential equations as dynamics: the derivative is written once, the integrator is an argument."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from .checked import Checked
from .dynamics import Dynamics
from .integrator import Drive, Integrator
from .quantities import Constrained
from .state import State, describe, first_leaf, map_state, widen
from .terms import Adaptation, Noise, Term
from .upstroke import Upstroke


class Membrane(NamedTuple):
    """What attaches to a potential asks of it.

    gain: how fast a unit of the input current moves the potential, per ms: ``R / tau_mem``, ``1 / C``.
    rest: from where an adaptation measures the potential; ``()`` where it has no rest.
    leaks: whether the potential does little but leak within a step. Otherwise the current of what attaches is held
        over the step, as the input is, with every integrator.
    upstroke: the coordinate in which crossings are found; ``()`` for the potential itself.
    """

    gain: Tensor
    rest: State = ()
    leaks: bool = True
    upstroke: Upstroke | tuple[()] = ()


_PARTS = {"integrator": Integrator, "adaptation": Adaptation, "noise": Noise}
_ARTICLES = {Integrator: "an integrator", Adaptation: "an adaptation", Noise: "a noise"}
_EXAMPLES = {Integrator: "Euler", Adaptation: "AdaptiveThreshold", Noise: "WhiteNoise"}


class ODE(Dynamics, metaclass=Checked):
    r"""Base of the equations :math:`\dot s = f(x, s)`, stepped by an integrator.

    A subclass writes ``derivative``, or ``relaxation`` where the equation reads :math:`\tau \dot s = s_\infty - s` (the
    derivative follows from it), or both; ``flow`` where the exact solution over a step is known; ``diffusion`` where
    white noise enters. What it does not write is ``None``. The output is :meth:`observe`. The whole right-hand side,
    all that attaches included, is :meth:`vector_field`.

    Adaptation and noise attach to an equation with a potential ``v`` that (1) has the state fields
    ``adaptation: State = ()`` and ``noise: State = ()``, started with ``**self.initial_terms(x_t)``; (2) passes its
    arguments ``adaptation`` and ``noise`` on; (3) says by ``membrane`` how a current moves its potential. With an
    explicit integrator an adaptation is integrated jointly with the cell, and a noise is a current held over the step,
    its exact mean. With the others the currents are solved together with the leak, exactly for a linear membrane; a
    coupling to the potential takes the new potential of the step.

    Args:
        integrator: how a step is taken.
        adaptation: e.g. ``SpikeFrequencyAdaptation()``; none if omitted.
        noise: e.g. ``WhiteNoise()``; none if omitted.
        dt: time step, ms.

    Raises:
        ValueError: if the integrator, the adaptation or the noise needs what the equation does not define; if the
            integrator is explicit and the step is at least twice a time constant (more than half of one warns).
        TypeError: if the integrator, the adaptation or the noise is none.
    """

    derivative: ClassVar[Callable[..., State] | None] = None
    """``(x_t, state)``: the rate of change per ms, as a state; ``()`` for fields that do not flow."""
    relaxation: ClassVar[Callable[..., tuple[State, State]] | None] = None
    """``(x_t, state)``: the state towards which each field relaxes and its time constant in ms, ``()`` where none."""
    flow: ClassVar[Callable[..., State] | None] = None
    """``(x_t, state, dt)``: the exact solution ``dt`` later under a constant input."""
    diffusion: ClassVar[Callable[..., State] | None] = None
    """``(x_t, state)``: the amplitude of white noise on each field, per sqrt(ms); ``()`` for fields without noise."""
    membrane: ClassVar[Callable[..., Membrane] | None] = None
    """``()``: how a current moves the potential, and from where an adaptation measures it."""

    _longest_explicit_step: ClassVar[float] = float("inf")
    """Beyond it, in ms, the equation is too fast somewhere for an explicit integrator, whatever its time constants."""

    @classmethod
    def _spelled_out(cls, parameter: inspect.Parameter) -> list[inspect.Parameter]:
        """A parameter as the signature of the class shows it."""
        return [parameter]

    @classmethod
    def _refuse_unknown(cls, options: Mapping[str, Any]) -> None:
        """Raise if there is an argument that the class hands on to a base which would not use it."""
        return

    def __init__(
        self,
        *,
        integrator: Integrator,
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        self.terms: tuple[str, ...] = ()
        self.integrator = integrator
        self.adaptation = adaptation
        self.noise = noise

    def __setattr__(self, name: str, value: object) -> None:
        kind = _PARTS.get(name)
        if kind is not None and not (isinstance(value, kind) or (value is None and kind is not Integrator)):
            raise TypeError(
                f"{type(self).__name__}: expected {name} to be {_ARTICLES[kind]} such as {_EXAMPLES[kind]}(), got "
                f"{value!r}; pass an instance"
            )
        if not (self.__dict__.get("_built") and (kind is not None or isinstance(value, Constrained))):
            self._assign(name, value)
            return
        before = getattr(self, name, None)
        self._assign(name, value)
        try:
            self._check()
        except Exception:
            if before is None:
                self._modules.pop(name, None)
            self._assign(name, before)
            raise

    def _assign(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in ("adaptation", "noise"):
            self.terms = tuple(term for term in ("adaptation", "noise") if getattr(self, term, None) is not None)
            self.__dict__.pop("pointwise", None)
            if any(term.shared for _, term in self._terms()):
                self.pointwise = False

    def _check(self) -> None:
        """Raise if what the module is made of does not go together; called once it is built."""
        owner = type(self).__name__
        for name, term in self._terms():
            part = type(term).__name__
            if term.on_threshold and not hasattr(self, "threshold"):
                raise ValueError(
                    f"{owner}: expected no {name}, or one that acts as a current, got {part}, but the equation has no "
                    "threshold for it; use another, such as WhiteNoise()"
                )
            if term.as_current and self.membrane is None:
                raise ValueError(
                    f"{owner}: expected an equation that says how a current moves its potential (a method membrane), "
                    f"which {part} needs, got one without; define it, or use a part that acts on the threshold"
                )
            if term.follows_potential and isinstance(self.membrane().rest, tuple):
                raise ValueError(
                    f"{owner}: expected an equation with a resting potential (rest of its membrane), which {part} "
                    f"needs as {name}, got one without; give it, or use an adaptation that only spikes drive"
                )
        self.check_stability()

    def change_dt(self, dt: float) -> None:
        super().change_dt(dt)
        self._check()

    def check_stability(self) -> None:
        """Raise if the step is too long for the integrator, as it can become by learning."""
        self.integrator.check(self)

    def _check_started(self, state: State) -> None:
        missing = [
            name
            for name in self._own_fields
            if isinstance(getattr(state, name, ()), tuple) and not getattr(state, name, ())
        ]
        if missing:
            raise ValueError(
                f"{type(self).__name__}: expected a state with {', '.join(missing)}, got {describe(state)}; give its "
                "named tuple the fields and start them with **self.initial_terms(x_t) in initial_state"
            )

    @property
    def _own_fields(self) -> tuple[str, ...]:
        """The fields of the state that ``initial_terms`` starts."""
        return self.terms

    def _check_linear_input(self) -> None:
        return

    def observe(self, state: State) -> State:
        """What the equation puts out: the first field, unless a subclass says otherwise."""
        return first_leaf(state)

    def time_constants(self) -> Mapping[str, Tensor]:
        """What an explicit integrator must resolve beside the quantities named ``tau``: names and values, ms."""
        return MappingProxyType({})

    def all_time_constants(self) -> Iterator[tuple[str, Tensor]]:
        """Every time constant that an explicit integrator must resolve; the memory of a noise is solved exactly."""
        for name, quantity in self.quantities():
            owner, _, last = name.rpartition(".")
            if last.startswith("tau") and owner in ("", "adaptation"):
                yield name, quantity().detach()
        for name, value in self.time_constants().items():
            yield name, value.detach()

    def vector_field(self, x_t: State, state: State) -> State:
        """The whole right-hand side: the rate of change per ms of the equation and of the terms that attach to it.

        Args:
            x_t: the input at that moment.
            state: the state at that moment.
        """
        change = self._own_field(self.with_inflow(x_t, state), state)
        if not self.terms:
            return change
        membrane = self.membrane() if self.membrane is not None else None
        inflow = self.inflow(state) if membrane is not None and membrane.leaks else None
        if inflow is not None:
            change = change._replace(v=change.v + membrane.gain * inflow)
        return change._replace(
            **{name: term.derivative(getattr(state, name), self.above_rest(state.v)) for name, term in self._terms()}
        )

    def _own_field(self, x_t: State, state: State) -> State:
        """The right-hand side of the equation alone."""
        if self.derivative is not None:
            return self.derivative(x_t, state)
        target, tau = self.relaxation(x_t, state)
        return map_state(lambda goal, value, constant: (goal - value) / constant, target, state, tau)

    def step(self, x_t: State | Drive, state: State) -> tuple[State, State]:
        if callable(x_t):
            state = self.integrator(self, x_t, self.begin_terms(state), self.dt)
            return self.observe(state), state
        x_t = self._read(x_t, axis=1)
        state = self.integrator(self, widen(x_t), self.begin_terms(state), self.dt)
        dtype = first_leaf(x_t).dtype
        return map_state(lambda leaf: leaf.to(dtype), self.observe(state)), state

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        return _all_quantities(self, "")

    @property
    def steps_per_ms(self) -> float:
        """How often per ms the integrator looks at the equation, for one that must not run away between."""
        return self.integrator.substeps / self.dt

    # What terms and integrators need of the equation.

    def _terms(self) -> list[tuple[str, Term]]:
        return [(name, getattr(self, name)) for name in self.terms]

    def initial_terms(self, x_t: State) -> dict[str, State]:
        """The state fields of what attaches, and of the integrator, at the start."""
        fields = {name: term.initial_state(x_t) for name, term in self._terms()}
        return {**fields, **self.integrator.start(self, x_t)}

    def above_rest(self, v: Tensor) -> Tensor:
        """How far above rest a potential is, as an adaptation sees it."""
        membrane = self.membrane() if self.membrane is not None else None
        if membrane is None or isinstance(membrane.rest, tuple):
            return v
        return (membrane.upstroke.clip(v) if membrane.upstroke else v) - membrane.rest

    def inflow(self, state: State) -> Tensor | None:
        """The current of all terms at a moment; None without any."""
        flows = [term.inflow(getattr(state, name)) for name, term in self._terms()]
        flows = [flow for flow in flows if flow is not None]
        return sum(flows[1:], start=flows[0]) if flows else None

    def with_inflow(self, x_t: State, state: State) -> State:
        """The input, with the current of the terms where the membrane does more than leak."""
        if not self.terms or self.membrane is None or self.membrane().leaks:
            return x_t
        inflow = self.inflow(state)
        return x_t if inflow is None else x_t + inflow

    def begin_terms(self, state: State) -> State:
        """The state at the start of a step."""
        if not self.terms:
            return state
        return state._replace(**{name: term.begin(getattr(state, name)) for name, term in self._terms()})

    def hold_terms(self, state: State, dt: float) -> State:
        """The state with the mean currents of a step in the place of those that follow no differential equation."""
        if not self.terms:
            return state
        return state._replace(**{name: term.hold(getattr(state, name), state.v, dt) for name, term in self._terms()})

    def release_terms(self, before: State, after: State, dt: float | Tensor) -> State:
        """The state after a step, with the terms moved on that were held in it."""
        held = {
            name: term.relax(getattr(before, name), self.above_rest(after.v), dt)
            for name, term in self._terms()
            if isinstance(term, Noise)
        }
        return after._replace(**held) if held else after


def _all_quantities(module: nn.Module, prefix: str) -> Iterator[tuple[str, Constrained]]:
    """The quantities of a module and of its parts (adaptation, noise, channels, receptors), but for connections."""
    for name, child in module._modules.items():
        if isinstance(child, Constrained):
            yield prefix + name, child
        elif child is not None and not isinstance(child, Dynamics) and not getattr(child, "plain_linear", False):
            yield from _all_quantities(child, f"{prefix}{name}.")
