"""Threshold, spike, reset and refractoriness: written once for every spiking cell."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from .checks import one_of, positive_number
from .integrator import Integrator
from .numerics import mean_decay
from .ode import ODE, Noisy
from .parts import Adaptation, Noise
from .quantities import Constrained, Quantity, Real
from .state import State, first_leaf, map_state, widen, zeros_state
from .surrogate import Surrogate


class SpikingODE(ODE):
    r"""Base of the spiking cells: an ODE whose potential ``v`` meets a threshold.

    One step, in this order: the equation is integrated; arrivals are added (:meth:`arrive`); a spike is fired where
    :math:`v \ge v_{th}`; ``v`` is reset and, for :math:`\mathrm{round}(t_{ref}/dt)` steps, held where the reset put it.
    The state of a subclass is a named tuple with the fields ``v`` and ``refractory`` (``Tensor | None``).

    A cell takes adaptation and noise if it
    (1) has the state fields ``adaptation: State = None`` and ``noise: State = None`` and starts them with
    ``**self.initial_parts(x_t)``; (2) passes its arguments ``adaptation`` and ``noise`` on; (3) says by
    :meth:`current_gain` how fast a unit of current moves its potential. Nothing else in it changes.
    With an explicit integrator the adaptation is integrated jointly with the cell. With the others the current of
    the parts is solved together with the leak, exactly for a linear membrane; a coupling to the potential
    takes the new potential of the step.

    Args:
        v_th: threshold.
        v_reset: value after a spike with ``reset="value"``.
        v_rest: resting value, from which ``reset="subtract"`` measures the threshold.
        reset: ``"subtract"`` (``v -= v_th - v_rest``), ``"value"`` (``v = v_reset``) or ``"zero"``.
        t_ref: refractory period, ms, rounded to whole steps.
        surrogate: slope of the spike in the backward pass.
        detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
        integrator: how a step is taken.
        adaptation: e.g. ``SpikeFrequencyAdaptation()``; none if omitted.
        noise: e.g. ``WhiteNoise()``; none if omitted.
        dt: time step, ms.

    Raises:
        ValueError: if the reset does not lead below the threshold, ``t_ref`` is negative, or the cell lacks what the
            adaptation or the noise needs.
        TypeError: if the surrogate, the adaptation or the noise is none.
    """

    refused_parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Which parts have no place in the equation, those that act as a ``"current"`` or on the ``"threshold"``, and why.

    The reason completes "got WhiteNoise, but ..."."""

    def __init__(
        self,
        *,
        v_th: Quantity,
        v_reset: Quantity,
        surrogate: Surrogate,
        integrator: Integrator,
        v_rest: Quantity | None = None,
        reset: str = "value",
        t_ref: float = 0.0,
        detach_reset: bool = True,
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        owner = type(self).__name__
        if not isinstance(surrogate, Surrogate):
            raise TypeError(f"{owner}: expected a surrogate such as ATan(), got {surrogate!r}; pass an instance")
        resets = ("value", "zero") if v_rest is None else ("subtract", "value", "zero")
        self.reset = one_of(owner, "reset", reset, *resets)
        self.t_ref = positive_number(owner, "t_ref", t_ref, zero=True, unit="ms")
        self.refractory_steps = round(self.t_ref / self.dt)
        self.surrogate = surrogate
        self.detach_reset = detach_reset
        self.v_th = Real(v_th)
        if self.reset == "value":
            self.v_reset = Real(v_reset)
        if v_rest is not None:
            self.v_rest = Real(v_rest)
        if integrator.interpolate and self.refractory_steps:
            raise ValueError(
                f"{owner}: expected t_ref = 0 with an integrator that interpolates crossings, got {t_ref:g} ms, which "
                "counts whole steps; leave one of the two out"
            )
        self._check_reset()
        self.adaptation = self._attach("adaptation", adaptation, Adaptation)
        self.noise = self._attach("noise", noise, Noise)

    def _attach(self, name: str, part: Adaptation | Noise | None, kind: type) -> Adaptation | Noise | None:
        if part is None:
            return None
        owner = type(self).__name__
        if not isinstance(part, kind):
            raise TypeError(f"{owner}: expected {name} to be a part of that kind, got {part!r}; pass an instance")
        acts, other = ("current", "on the threshold") if part.enters_as_current else ("threshold", "as a current")
        if acts in self.refused_parts:
            raise ValueError(
                f"{owner}: expected no {name}, or one that acts {other}, got {type(part).__name__}, but "
                f"{self.refused_parts[acts]}; use another part"
            )
        if part.enters_as_current and type(self).current_gain is SpikingODE.current_gain:
            raise ValueError(
                f"{owner}: expected a cell that defines current_gain(), which {type(part).__name__} needs, got one "
                "without; define it, or use a part that acts on the threshold"
            )
        follows = isinstance(part, Adaptation) and part.follows_potential
        if follows and type(self).resting_potential is SpikingODE.resting_potential and not hasattr(self, "v_rest"):
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

    def with_noise(self, x_t: State) -> State:
        x_t = super().with_noise(x_t)
        if self.noise is None:
            return x_t
        noisy = x_t if isinstance(x_t, Noisy) else Noisy(x_t)
        return noisy if noisy.part is not None else noisy._replace(part=self.noise.draw(zeros_state(x_t)))

    def initial_parts(self, x_t: State) -> dict[str, State]:
        """The state fields of the attached parts at the start."""
        parts = {"adaptation": self.adaptation, "noise": self.noise}
        return {name: part.initial_state(x_t) for name, part in parts.items() if part is not None}

    def current_gain(self) -> Tensor:
        """How fast a unit of the input current moves the potential, per ms: ``R / tau_mem``, ``1 / C``."""
        raise NotImplementedError(f"{type(self).__name__} does not define current_gain()")

    def resting_potential(self) -> Tensor:
        """From where an adaptation measures the potential."""
        return self.v_rest()

    def clip(self, v: Tensor) -> Tensor:
        """The potential as every equation of the cell sees it; a cell bounds it if its upstroke would run away."""
        return v

    def _check_reset(self) -> None:
        base = {"zero": 0.0, "value": "v_reset", "subtract": "v_rest"}[self.reset]
        level = getattr(self, base).start if isinstance(base, str) else torch.tensor(base)
        if not (self.v_th.start > level).all():
            name = base if isinstance(base, str) else "zero"
            raise ValueError(
                f"{type(self).__name__}: expected v_th above {name} with reset={self.reset!r}, got v_th = "
                f"{self.v_th.start.min().item():g} and {level.max().item():g}, where every step would spike; raise "
                "v_th or choose another reset"
            )

    def initial_refractory(self, x_t: State) -> Tensor | None:
        """The refractory field at the start: zeros, or ``None`` without a refractory period."""
        return zeros_state(x_t) if self.refractory_steps else None

    def drift(self, x_t: State, state: State) -> State:
        change = self.derivative(x_t, state)
        current = self._part_current(state)
        if current is not None:
            change = change._replace(v=change.v + self.current_gain() * current)
        if self.adaptation is not None:
            target = self._adaptation_target(state.v)
            change = change._replace(adaptation=(target - state.adaptation) / self.adaptation.tau())
        if self.noise is not None and self.noise.has_memory:
            change = change._replace(noise=-state.noise / self.noise.tau())
        if state.refractory is None:
            return change
        return change._replace(v=torch.where(state.refractory > 0, torch.zeros_like(state.v), change.v))

    def step(self, x_t: State, state: State) -> tuple[Tensor, State]:
        x_t = self.with_noise(x_t)
        drive = widen(x_t)
        current, numbers = (drive.input, drive.part) if isinstance(drive, Noisy) else (drive, None)
        moved = self.integrator(self, drive if self.integrator.stochastic else current, state, self.dt)
        if self.adaptation is not None or self.noise is not None:
            moved = self._move_parts(current, numbers, state, moved)
        if state.refractory is not None:
            moved = moved._replace(v=torch.where(state.refractory > 0, state.v, moved.v))
        moved = self.arrive(current, moved)
        reached = moved.v
        spikes, moved = self.fire(moved, numbers)
        if self.integrator.interpolate:
            moved = moved._replace(v=self._after_crossing(current, state.v, reached, spikes, moved))
        return map_state(lambda leaf: leaf.to(first_leaf(x_t).dtype), spikes), moved

    def _part_current(self, state: State) -> Tensor | None:
        """The current of the attached parts at this state, summed."""
        return _add(
            self.adaptation.current(state.adaptation) if self.adaptation is not None else None,
            self.noise.current(state.noise) if self.noise is not None else None,
        )

    def _adaptation_target(self, v: Tensor) -> Tensor:
        if not self.adaptation.follows_potential:
            return torch.zeros_like(v)
        return self.adaptation.target(self.clip(v) - self.resting_potential())

    def _move_parts(self, x_t: State, numbers: Tensor | None, state: State, moved: State) -> State:
        """The share of adaptation and noise in a step: what they do to the potential, and their own decay."""
        adaptation, noise, dt = self.adaptation, self.noise, self.dt
        leaky = not self.integrator.explicit and type(self).relaxation is not ODE.relaxation
        # An explicit integrator sees the leak by itself; there the increment is that of Euler-Maruyama.
        leak = dt / self.relaxation(x_t, state)[1].v if leaky else torch.zeros_like(state.v)
        push = noise.kick(numbers, leak, dt) if noise is not None else None
        if not self.integrator.explicit:
            for part, value in ((adaptation, state.adaptation), (noise, getattr(state, "noise", None))):
                current = part.current(value) if part is not None else None
                if current is not None:
                    push = _add(push, current * (dt * mean_decay(leak, dt / part.tau())))
        if push is not None:
            moved = moved._replace(v=moved.v + self.current_gain() * push)
        if adaptation is not None and not self.integrator.explicit:
            target = self._adaptation_target(moved.v)
            kept = torch.exp(-dt / adaptation.tau())
            moved = moved._replace(adaptation=target + (state.adaptation - target) * kept)
        if noise is not None and noise.has_memory:
            left = moved.noise if self.integrator.explicit else state.noise * torch.exp(-dt / noise.tau())
            moved = moved._replace(noise=noise.advance(left, numbers, dt))
        return moved

    def arrive(self, x_t: State, state: State) -> State:
        """Add the spikes that arrive in this step to synaptic fields; none in this base."""
        return state

    def on_spike(self, spikes: Tensor, state: State) -> State:
        """What a spike changes beside the potential, such as an adaptation current; nothing in this base."""
        return state

    def fire(self, state: State, numbers: Tensor | None = None) -> tuple[Tensor, State]:
        """Spike where the potential has reached the threshold; reset; start the refractory period.

        Args:
            state: the state after integration and arrivals.
            numbers: the random numbers of the step, if a noise is attached.
        """
        spikes = self.surrogate(state.v - self.threshold(state, numbers))
        if state.refractory is not None:
            spikes = spikes * (state.refractory <= 0).to(spikes.dtype)
            left = torch.clamp(state.refractory - 1, min=0)
            state = state._replace(refractory=left + self.refractory_steps * spikes.detach())
        reset_spikes = spikes.detach() if self.detach_reset else spikes
        state = state._replace(v=self.reset_potential(reset_spikes, state.v))
        if self.adaptation is not None:
            state = state._replace(adaptation=state.adaptation + spikes * self.adaptation.jump())
        return spikes, self.on_spike(spikes, state)

    def _after_crossing(self, x_t: State, before: Tensor, reached: Tensor, spikes: Tensor, state: State) -> Tensor:
        """The potential at the end of the step, had those that spiked been reset at the crossing itself."""
        fired, v_th = spikes > 0, self.v_th()
        rise = torch.where(fired, reached - before, torch.ones_like(before))
        left = self.dt * torch.clamp((reached - v_th) / rise, 0, 1)
        at_crossing = state._replace(v=self.reset_potential(torch.ones_like(before), v_th + torch.zeros_like(before)))
        after = self.integrator(self, x_t, at_crossing, left).v
        return torch.where(fired, after, state.v)

    def threshold(self, state: State, numbers: Tensor | None = None) -> Tensor:
        """The threshold in this step, with what adaptation and noise add to it."""
        moved = _add(
            self.adaptation.threshold(state.adaptation) if self.adaptation is not None else None,
            self.noise.threshold(numbers, self.dt) if self.noise is not None else None,
        )
        return self.v_th() if moved is None else self.v_th() + moved

    def reset_potential(self, spikes: Tensor, v: Tensor) -> Tensor:
        """The potential after the reset of the neurons that spiked."""
        if self.reset == "subtract":
            return v - spikes * (self.v_th() - self.v_rest())
        kept = (1 - spikes) * v
        return kept + spikes * self.v_reset() if self.reset == "value" else kept

    def extra_repr(self) -> str:
        parts = [f"reset={self.reset!r}", f"surrogate={self.surrogate!r}", f"integrator={self.integrator!r}"]
        if self.refractory_steps:
            parts.append(f"t_ref={self.t_ref:g} ms")
        return ", ".join([*parts, super().extra_repr()])


def _add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
