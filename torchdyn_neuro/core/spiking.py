"""Threshold, spike, reset and refractoriness: written once for every spiking cell."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from .checks import one_of
from .integrator import Drive
from .ode import ODE
from .options import SpikingOptions, refuse_unknown, spelled_out, with_options
from .quantities import Learned, Quantity, Real, readable
from .spike_rule import check_reset, check_rule, whole_steps
from .state import State, first_leaf, full_state, widen, zeros_state
from .surrogate import Surrogate


@dataclass(frozen=True)
class Threshold:
    r"""How a cell spikes and what a spike does: threshold, reset, refractory period and surrogate gradient.

    A spike is fired where :math:`v \ge v_{th}`. The levels ``v_th``, ``v_reset`` and ``v_rest`` are quantities of the
    cell, whose rule this is.

    Args:
        surrogate: slope of the spike in the backward pass.
        reset: ``"subtract"`` (``v -= v_th - v_rest``), ``"value"`` (``v = v_reset``), ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms.
        detach_reset: cut the gradient through the reset.
    """

    surrogate: Surrogate
    reset: str = "value"
    t_ref: float = 0.0
    detach_reset: bool = True

    movable: ClassVar[bool] = True
    """Whether adaptation and noise may move the threshold."""
    apart: ClassVar[bool] = False
    """Whether no gradient leads from what a spike does to the state to the spike."""

    def level(self, cell: "Spiking", state: State) -> Tensor:
        """The threshold in this step, with what adaptation and noise add to it."""
        level = cell.v_th()
        for name in cell.terms:
            added = getattr(cell, name).threshold(getattr(state, name), state.v, cell.dt)
            level = level if added is None else level + added
        return level

    def meet(self, cell: "Spiking", before: State, path: Sequence[State]) -> Tensor:
        """The spikes of a step that leads from ``before`` along the states of ``path``."""
        return self.surrogate(path[-1].v - self.level(cell, path[-1]))

    def apply(self, cell: "Spiking", spikes: Tensor, v: Tensor) -> Tensor:
        """The potential after the reset of the neurons that spiked."""
        if self.reset == "none":
            return v
        if self.detach_reset:
            spikes = spikes.detach()
        if self.reset == "subtract":
            return v - spikes * (cell.v_th() - cell.v_rest())
        kept = (1 - spikes) * v
        return kept + spikes * cell.v_reset() if self.reset == "value" else kept

    def check(self, cell: "Spiking") -> None:
        """Raise if the reset does not lead below the threshold."""
        check_reset(cell, self.reset)


def _of_threshold(name: str, meaning: str) -> property:
    def changed(cell: "Spiking", value: Any) -> None:
        before = cell.threshold
        cell.threshold = replace(before, **{name: value})
        try:
            cell._check()
        except Exception:
            cell.threshold = before
            raise

    return property(lambda cell: getattr(cell.threshold, name), changed, doc=meaning)


class Spiking(ODE):
    r"""Base of the spiking cells: an equation whose potential ``v`` meets a threshold.

    One step, in this order: the equation is integrated; arrivals are added (``arrive``); a spike is fired where
    :math:`v \ge v_{th}`; ``v`` is reset and, for :math:`t_{ref}/dt` steps, held where the reset put it. With
    ``Interpolated(RK4())`` the spike is fired at the crossing itself. The state of a subclass is a named tuple with the
    fields ``v``, ``refractory``, ``adaptation`` and ``noise``, all but the first ``()`` by default, and all of them
    started with ``**self.initial_terms(x_t, rest)``.

    Class keywords (``class EIF(Spiking, integrator=RK4())``) are the defaults of the options; their documentation is
    appended to that of the class.

    Args:
        v_th: threshold.
        v_reset: value after a spike with ``reset="value"``; ``v_rest`` if omitted.
        v_rest: resting value, from which ``reset="subtract"`` measures the threshold; ``None`` where that has no
            meaning.
        reset: ``"subtract"`` (``v -= v_th - v_rest``), ``"value"`` (``v = v_reset``), ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms, a whole number of steps (any with ``Interpolated``).
        unit: unit of the potential.
        rule: how the cell spikes.

    Raises:
        ValueError: if the reset does not lead below the threshold, ``v_reset`` is given to another reset, ``t_ref`` is
            negative or no whole number of steps, or the cell lacks what the adaptation or the noise needs.
        TypeError: if the surrogate, the integrator, the adaptation or the noise is none, or an option is unknown.
    """

    defaults: ClassVar[SpikingOptions] = SpikingOptions(
        detach_reset=True, v_init=None, adaptation=None, noise=None, dt=1.0
    )

    arrive: ClassVar[Callable[..., State] | None] = None
    """``(x_t, state)``: the state with the spikes that arrive in this step added to its synaptic fields."""

    def __init_subclass__(cls, **defaults: Unpack[SpikingOptions]) -> None:
        super().__init_subclass__()
        cls.defaults = {**cls.defaults, **defaults}
        cls.__doc__ = with_options(cls)

    @classmethod
    def _spelled_out(cls, parameter: inspect.Parameter) -> list[inspect.Parameter]:
        return spelled_out(cls, parameter)

    _refuse_unknown = classmethod(refuse_unknown)

    def __init__(
        self,
        *,
        v_th: Quantity,
        v_reset: Quantity | None = None,
        v_rest: Quantity | None = None,
        reset: str = "value",
        t_ref: float = 0.0,
        unit: str = "",
        rule: type[Threshold] = Threshold,
        **options: Unpack[SpikingOptions],
    ):
        owner = type(self).__name__
        if reset == "none" and "detach_reset" in options:
            raise ValueError(
                f"{owner}: expected no detach_reset without a reset, got {options['detach_reset']!r}; drop it"
            )
        options = {**self.defaults, **options}
        surrogate, detach_reset = options.pop("surrogate", None), options.pop("detach_reset")
        v_init = options.pop("v_init")
        super().__init__(**{"integrator": None, **options})
        resets = ("value", "zero", "none") if v_rest is None else ("subtract", "value", "zero", "none")
        one_of(owner, "reset", reset, *resets)
        self.threshold = rule(surrogate, reset, t_ref, detach_reset)
        check_rule(type(self).__name__, **vars(self.threshold))
        self.v_th = Real(v_th, unit=unit)
        if v_init is None:
            v_init = self.defaults["v_init"]
        self.v_init = None if v_init is None else Real(v_init, unit=unit)
        if v_rest is not None:
            self.v_rest = Real(v_rest, unit=unit)
        self.v_reset = None
        if reset == "value":
            if v_reset is None:
                v_reset = v_rest.value if isinstance(v_rest, Learned) else v_rest
            self.v_reset = Real(0.0 if v_reset is None else v_reset, unit=unit)
        elif v_reset is not None:
            raise ValueError(
                f'{owner}: expected v_reset with reset="value" only, got it with reset={reset!r}, which does not use '
                "it; leave one of the two out"
            )

    def _check(self) -> None:
        check_rule(type(self).__name__, **vars(self.threshold))
        super()._check()
        self.refractory_steps = whole_steps(self, self.t_ref)
        self.threshold.check(self)
        if self.v_reset is not None and self.reset != "value":
            raise ValueError(
                f'{type(self).__name__}: expected v_reset with reset="value" only, got it with reset={self.reset!r}, '
                "which does not use it; choose that reset"
            )
        # An upstroke that runs away reaches any threshold all the same.
        counted = self.membrane is not None and bool(self.membrane().upstroke)
        for name, term in self._terms():
            if term.on_threshold and (counted or not self.threshold.movable):
                raise ValueError(
                    f"{type(self).__name__}: expected no {name}, or one that acts as a current, got "
                    f"{type(term).__name__}, but its equation makes the spikes, which v_th only counts; use another"
                )

    def expect_above(self, upper: str, high: Real, lower: str, low: Real) -> None:
        """Raise unless one level of the potential lies above another."""
        if not readable(high, low) or (high.start > low.start).all():
            return
        raise ValueError(
            f"{type(self).__name__}: expected {upper} above {lower}, got {high.start.min().item():g} and "
            f"{low.start.max().item():g} mV; raise {upper}"
        )

    # What the constructor took for the threshold can be read and changed by the same names.
    surrogate = _of_threshold("surrogate", "Slope of the spike in the backward pass.")
    reset = _of_threshold("reset", "What a spike does to the potential.")
    t_ref = _of_threshold("t_ref", "Refractory period, ms.")
    detach_reset = _of_threshold("detach_reset", "Whether the gradient through the reset is cut.")

    def initial_terms(self, x_t: State, rest: float | Tensor | None = None) -> dict[str, State]:
        """The state fields of the potential, of what attaches and of the integrator, at the start.

        Args:
            x_t: one frame [B, *].
            rest: where the potential starts unless ``v_init`` is given.
        """
        fields = super().initial_terms(x_t)
        if rest is not None:
            fields["v"] = full_state(x_t, rest if self.v_init is None else self.v_init())
        elif self.v_init is not None:
            raise ValueError(
                f"{type(self).__name__}: expected no v_init, for the cell starts its potential by itself, got one; "
                "start it in initial_state with **self.initial_terms(x_t, rest)"
            )
        if self.integrator.crossings:
            # The time that is left, ms; below zero, how long ago the period ended.
            fields["refractory"] = full_state(x_t, -self.dt)
        elif self.refractory_steps:
            fields["refractory"] = zeros_state(x_t)
        return fields

    @property
    def _own_fields(self) -> tuple[str, ...]:
        held = ("refractory",) if self.refractory_steps or self.integrator.crossings else ()
        return (*held, *self.terms)

    def _check_linear_input(self) -> None:
        if self.arrive is not None:
            # What arrives is spikes, not a current that has values between frames.
            super(ODE, self)._check_linear_input()

    def vector_field(self, x_t: State, state: State) -> State:
        change = super().vector_field(x_t, state)
        if not self.threshold.t_ref:
            return change
        return change._replace(v=torch.where(state.refractory > 0, torch.zeros_like(state.v), change.v))

    def step(self, x_t: State | Drive, state: State) -> tuple[Tensor, State]:
        if isinstance(x_t, Tensor):
            dtype, drive = x_t.dtype, x_t.to(state.v.dtype)
        elif callable(x_t):
            dtype, drive = state.v.dtype, x_t
        else:
            dtype, drive = first_leaf(x_t).dtype, widen(x_t)
        if self.terms:
            state = self.begin_terms(state)
        if self.integrator.crossings:
            spikes, after = self.integrator.cross(self, drive, state)
            if self.arrive is not None:
                after = self.arrive(drive(1.0, after) if callable(drive) else drive, after)
            return spikes.to(dtype), after
        path = self.integrator.path(self, drive, state, self.dt)
        if self.refractory_steps:
            path[-1] = path[-1]._replace(v=torch.where(state.refractory > 0, state.v, path[-1].v))
        if self.arrive is not None:
            path[-1] = self.arrive(drive(0.0, state) if callable(drive) else drive, path[-1])
        spikes, after = self.fire(state, path)
        return spikes.to(dtype), after

    def fire(self, before: State, path: Sequence[State]) -> tuple[Tensor, State]:
        """Spike where the threshold is met; reset; start the refractory period.

        Args:
            before: the state at the start of the step.
            path: the states after each of its substeps, the last one with arrivals.
        """
        spikes, state = self.threshold.meet(self, before, path), path[-1]
        if self.refractory_steps:
            spikes = spikes * (state.refractory <= 0).to(spikes.dtype)
            left = torch.clamp(state.refractory - 1, min=0)
            state = state._replace(refractory=left + self.refractory_steps * spikes.detach())
        return spikes, self.settle(spikes.detach() if self.threshold.apart else spikes, state)

    def settle(self, spikes: Tensor, state: State) -> State:
        """The state after spikes: the potential reset, adaptation raised, and what else they change."""
        state = state._replace(v=self.threshold.apply(self, spikes, state.v))
        if self.terms:
            jumps = {name: term.jump(getattr(state, name), spikes) for name, term in self._terms()}
            state = state._replace(**jumps)
        return self.on_spike(spikes, state)

    def on_spike(self, spikes: Tensor, state: State) -> State:
        """What a spike changes beside the potential, such as an adaptation current; nothing in this base."""
        return state

    def extra_repr(self) -> str:
        parts = [f"reset={self.reset!r}", f"surrogate={self.surrogate!r}", f"integrator={self.integrator!r}"]
        if self.t_ref:
            parts.append(f"t_ref={self.t_ref:g} ms")
        return ", ".join([*parts, super().extra_repr()])
