"""The membrane of a spiking cell: a potential that currents move, to which adaptation and noise attach."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from .integrator import Integrator
from .numerics import mean_decay
from .ode import ODE
from .parts import Adaptation, Noise
from .quantities import Constrained
from .randomness import Noisy, parted
from .state import State, widen, zeros_state


class Membrane(ODE):
    r"""Base of the equations with a potential ``v`` to which adaptation and noise attach.

    A cell takes them if it
    (1) has the state fields ``adaptation: State = ()`` and ``noise: State = ()`` and starts them with
    ``**self.initial_parts(x_t)``; (2) passes its arguments ``adaptation`` and ``noise`` on; (3) says by
    :meth:`current_gain` how fast a unit of current moves its potential. Nothing else in it changes.
    With an explicit integrator the adaptation is integrated jointly with the cell, and the noise is a current held over
    the step, its exact mean. With the others the current of the parts is solved together with the leak, exactly for a
    linear membrane; a coupling to the potential takes the new potential of the step.

    Args:
        integrator: how a step is taken.
        adaptation: e.g. ``SpikeFrequencyAdaptation()``; none if omitted.
        noise: e.g. ``WhiteNoise()``; none if omitted.
        dt: time step, ms.

    Raises:
        ValueError: if the cell lacks what the adaptation or the noise needs.
        TypeError: if the adaptation or the noise is none.
    """

    refused_parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Which parts have no place in the equation, those that act as a ``"current"`` or on the ``"threshold"``, and why.

    The reason completes "got WhiteNoise, but ..."."""

    leaks: ClassVar[bool] = True
    """Whether the potential does little but leak within a step.

    Otherwise the current of the parts is held over the step with every integrator, and enters each of its stages."""

    def __init__(
        self,
        *,
        integrator: Integrator,
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        self.adaptation = self._attach("adaptation", adaptation, Adaptation)
        self.noise = self._attach("noise", noise, Noise)

    def _attach(self, name: str, part: Adaptation | Noise | None, kind: type) -> Adaptation | Noise | None:
        if part is None:
            return None
        owner, cls = type(self).__name__, type(self)
        if not isinstance(part, kind):
            raise TypeError(f"{owner}: expected {name} to be a part of that kind, got {part!r}; pass an instance")
        acts, other = ("current", "on the threshold") if part.enters_as_current else ("threshold", "as a current")
        if acts in self.refused_parts:
            raise ValueError(
                f"{owner}: expected no {name}, or one that acts {other}, got {type(part).__name__}, but "
                f"{self.refused_parts[acts]}; use another part"
            )
        if part.enters_as_current and cls.current_gain is Membrane.current_gain:
            raise ValueError(
                f"{owner}: expected a cell that defines current_gain(), which {type(part).__name__} needs, got one "
                "without; define it, or use a part that acts on the threshold"
            )
        follows = isinstance(part, Adaptation) and part.follows_potential
        if follows and cls.resting_potential is Membrane.resting_potential:
            raise ValueError(
                f"{owner}: expected a cell that defines resting_potential(), which {type(part).__name__} needs, got "
                "one without; define it, or use an adaptation that only spikes drive"
            )
        for quantity_name, quantity in part.named_children():
            if isinstance(quantity, Constrained):
                self.accept(f"{name}.{quantity_name}", quantity)
        return part

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        yield from super().quantities()
        for part_name in ("adaptation", "noise"):
            part = getattr(self, part_name)
            for name, child in part.named_children() if part is not None else ():
                if isinstance(child, Constrained):
                    yield f"{part_name}.{name}", child

    @property
    def draws(self) -> bool:
        # Not super().draws: under torch.compile that is the property itself, which is always true.
        return self.noise is not None or self.integrator.stochastic

    def random_numbers(self, x_t: State) -> Noisy | None:
        drawn = super().random_numbers(x_t)
        if self.noise is None:
            return drawn
        return (drawn or Noisy(()))._replace(part=self.noise.numbers(zeros_state(x_t)))

    def initial_parts(self, x_t: State) -> dict[str, State]:
        """The state fields of the attached parts at the start."""
        parts = {"adaptation": self.adaptation, "noise": self.noise}
        return {name: part.initial_state(x_t) for name, part in parts.items() if part is not None}

    def current_gain(self) -> Tensor:
        """How fast a unit of the input current moves the potential, per ms: ``R / tau_mem``, ``1 / C``."""
        raise NotImplementedError(f"{type(self).__name__} does not define current_gain()")

    def resting_potential(self) -> Tensor:
        """From where an adaptation measures the potential."""
        raise NotImplementedError(f"{type(self).__name__} does not define resting_potential()")

    def clip(self, v: Tensor) -> Tensor:
        """The potential as every equation of the cell sees it; a cell bounds it if its upstroke would run away."""
        return v

    def drift(self, x_t: State, state: State) -> State:
        change = self.derivative(x_t, state)
        current = self._part_current(state)
        if current is not None:
            change = change._replace(v=change.v + self.current_gain() * current)
        if self.adaptation is not None:
            target = self._adaptation_target(state.v)
            change = change._replace(adaptation=(target - state.adaptation) / self.adaptation.tau())
        return change

    def pull(self, x_t: State, state: State) -> tuple[State, State]:
        target, tau = self.relaxation(x_t, state)
        current = None if self.leaks else self._part_current(state)
        if current is not None:
            target = target._replace(v=target.v + tau.v * self.current_gain() * current)
        return target, tau

    def move(self, x_t: State, state: State) -> tuple[list[State], State, State]:
        """The equation and its parts over one step, without threshold and reset.

        Args:
            x_t: the frame, with its random numbers if the step takes any.
            state: the state before the step.

        Returns:
            The states after each substep of the integrator, the last one that after the step; the input alone; and the
            random numbers of the attached noise.
        """
        drive = widen(x_t)
        current, numbers = parted(drive)
        start = self.hold_noise(state, numbers) if self._holds_parts else state
        path = self.advance(drive if self.integrator.stochastic else current, start, numbers, self.dt)
        if self.noise is not None:
            path[-1] = path[-1]._replace(noise=self.noise.advance(state.noise, numbers, self.dt))
        return path, current, numbers

    @property
    def _holds_parts(self) -> bool:
        return self.integrator.explicit or not self.leaks

    def advance(self, drive: State, state: State, numbers: State, dt: float | Tensor) -> list[State]:
        """The equation over ``dt``, substep by substep, and what the parts have done to its end.

        Args:
            drive: the input, as the integrator takes it.
            state: the state before; where the noise is held over the step, with its mean.
            numbers: the random numbers of the attached noise; None leaves out what they add if it is not held.
            dt: how long, ms.
        """
        path = self.integrator.path(self, drive, state, dt)
        moved = path[-1]
        push = None if self._holds_parts else self._push(drive, numbers, state, dt)
        if push is not None:
            moved = moved._replace(v=moved.v + self.current_gain() * push)
        if self.adaptation is not None and not self.integrator.explicit:
            target = self._adaptation_target(moved.v)
            kept = torch.exp(-dt / self.adaptation.tau())
            moved = moved._replace(adaptation=target + (state.adaptation - target) * kept)
        return [*path[:-1], moved]

    def _part_current(self, state: State) -> Tensor | None:
        """The current of the attached parts within a step: of the adaptation, and what is held of the noise."""
        return add(
            self.adaptation.current(state.adaptation) if self.adaptation is not None else None,
            state.noise if isinstance(state.noise, Tensor) else None,
        )

    def hold_noise(self, state: State, numbers: State) -> State:
        """The state with the mean current of the noise over the step in the place of the current itself."""
        if self.noise is None:
            return state
        total = self._noise_integral(state, numbers, torch.zeros_like(state.v), self.dt)
        return state if total is None else state._replace(noise=total / self.dt)

    def _push(self, x_t: State, numbers: State, state: State, dt: float | Tensor) -> Tensor | None:
        """The current of the parts, integrated over ``dt`` against the leak."""
        leaky = type(self).relaxation is not ODE.relaxation
        leak = dt / self.relaxation(x_t, state)[1].v if leaky else torch.zeros_like(state.v)
        adaptation = self.adaptation.current(state.adaptation) if self.adaptation is not None else None
        if adaptation is not None:
            adaptation = adaptation * (dt * mean_decay(leak, dt / self.adaptation.tau()))
        noisy = self.noise is not None and numbers is not None
        return add(adaptation, self._noise_integral(state, numbers, leak, dt) if noisy else None)

    def _noise_integral(self, state: State, numbers: State, leak: Tensor, dt: float) -> Tensor | None:
        kick = self.noise.kick(numbers, leak, dt)
        if not self.noise.has_memory:
            return kick
        return add(kick, state.noise * (dt * mean_decay(leak, dt / self.noise.tau())))

    def _adaptation_target(self, v: Tensor) -> Tensor:
        if not self.adaptation.follows_potential:
            return torch.zeros_like(v)
        return self.adaptation.target(self.clip(v) - self.resting_potential())

    def jump(self, spikes: Tensor, state: State) -> State:
        """The adaptation after spikes."""
        if self.adaptation is None:
            return state
        return state._replace(adaptation=state.adaptation + spikes * self.adaptation.jump())


def add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum, in which ``None`` counts as nothing."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
