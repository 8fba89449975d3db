"""Threshold, spike, reset and refractoriness: written once for every spiking cell."""

import torch
from torch import Tensor

from .checks import one_of, positive_number
from .crossing import interpolated_step
from .integrator import Integrator
from .membrane import Membrane, add
from .parts import Adaptation, Noise
from .quantities import Quantity, Real
from .randomness import parted
from .state import State, first_leaf, widen, zeros_state
from .surrogate import Surrogate
from .upstroke import Level, Upstroke


class SpikingODE(Membrane):
    r"""Base of the spiking cells: a membrane whose potential ``v`` meets a threshold.

    One step, in this order: the equation is integrated; arrivals are added (:meth:`arrive`); a spike is fired where
    :math:`v \ge v_{th}`; ``v`` is reset and, for :math:`\mathrm{round}(t_{ref}/dt)` steps, held where the reset put it.
    The state of a subclass is a named tuple with the fields ``v`` and ``refractory`` (``Tensor | None``).

    Adaptation and noise attach as :class:`Membrane` says.

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
        super().__init__(integrator=integrator, adaptation=adaptation, noise=noise, dt=dt)
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
        if integrator.interpolate and not integrator.explicit and noise is not None and noise.enters_as_current:
            raise ValueError(
                f"{owner}: expected an explicit integrator to interpolate crossings under {type(noise).__name__}, got "
                f"{type(integrator).__name__}, for which the noise is a jump without a path; use RK4(interpolate=True)"
            )
        self._check_reset()

    def change_dt(self, dt: float) -> None:
        super().change_dt(dt)
        steps = self.t_ref / self.dt
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"{type(self).__name__}: expected t_ref to be a multiple of dt, got {self.t_ref:g} ms with a step of "
                f"{self.dt:g} ms; choose a dt that divides it"
            )
        self.refractory_steps = round(steps)

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
        change = super().drift(x_t, state)
        if state.refractory is None:
            return change
        return change._replace(v=torch.where(state.refractory > 0, torch.zeros_like(state.v), change.v))

    def step(self, x_t: State, state: State) -> tuple[Tensor, State]:
        x_t = self.with_noise(x_t)
        if self.integrator.interpolate:
            current, numbers = parted(widen(x_t))
            spikes, moved = interpolated_step(self, current, numbers, state)
            moved = self.arrive(current, moved)
        else:
            (*_, moved), current, numbers = self.move(x_t, state)
            if state.refractory is not None:
                moved = moved._replace(v=torch.where(state.refractory > 0, state.v, moved.v))
            spikes, moved = self.fire(self.arrive(current, moved), numbers)
        return spikes.to(first_leaf(x_t).dtype), moved

    def arrive(self, x_t: State, state: State) -> State:
        """Add the spikes that arrive in this step to synaptic fields; none in this base."""
        return state

    def on_spike(self, spikes: Tensor, state: State) -> State:
        """What a spike changes beside the potential, such as an adaptation current; nothing in this base."""
        return state

    def fire(self, state: State, numbers: State = None) -> tuple[Tensor, State]:
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
        return spikes, self.settle(spikes, state)

    def settle(self, spikes: Tensor, state: State) -> State:
        """The state after spikes: the potential reset, adaptation raised, and what else they change."""
        reset_spikes = spikes.detach() if self.detach_reset else spikes
        state = state._replace(v=self.reset_potential(reset_spikes, state.v))
        return self.on_spike(spikes, self.jump(spikes, state))

    def upstroke(self) -> Upstroke:
        """The coordinate in which crossings are found; a cell whose upstroke runs away overrides it."""
        return Level()

    def threshold(self, state: State, numbers: State = None) -> Tensor:
        """The threshold in this step, with what adaptation and noise add to it."""
        moved = add(
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
