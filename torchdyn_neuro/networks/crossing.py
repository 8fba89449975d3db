"""Spikes as crossings of a threshold: what a step of a cell says about the moment of a spike."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.layers import step_layer
from ..core.spiking import Spiking, Threshold
from ..core.state import State, leaves, map_state, widen
from ..core.upstroke import ExponentialUpstroke
from ..fused.stepper import WIDEST, Recorded, Stepper, recorded
from .arriving import adds_up, lasts
from .drives import Current, Poisson
from .population import Population
from .projection import Projection
from .watching import fields_of


class _Fired(torch.autograd.Function):
    """Spikes, from the distances to the threshold at both ends of a step.

    Their gradient is handed to both as they share the moment at which the line between them meets zero. It is divided,
    for what is multiplied by a number that may be zero is asked for that number, also where there are no spikes.
    """

    @staticmethod
    def forward(ctx: Any, start: Tensor, end: Tensor) -> Tensor:
        fired = torch.where(end != end, end, (end >= 0).to(end.dtype))
        ctx.save_for_backward(start, end, fired)
        return fired

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        start, end, fired = ctx.saved_tensors
        gradient, one = gradient * fired, torch.ones_like(end)
        below = (start < 0) & (end > start)
        later = gradient / torch.where(below, (end - start) / torch.where(below, -start, one), one)
        return gradient - later, later


@dataclass(frozen=True)
class _Timed(Threshold):
    """The same spikes; a gradient of one is handed to the potential where it crosses, as it is, and to nothing else."""

    apart: ClassVar[bool] = True

    def meet(self, cell: Spiking, before: State, path: Sequence[State]) -> Tensor:
        return _Fired.apply(*(state.v - self.level(cell, state) for state in (before, path[-1])))


def _share(start: Tensor, end: Tensor) -> Tensor:
    """How much of the way from one distance to another lies before zero; all of it where the second is no larger."""
    rises = end > start
    return torch.where(rises, -start / torch.where(rises, end - start, torch.ones_like(end)), torch.ones_like(end))


@dataclass(frozen=True)
class _Silent(Threshold):
    """No spikes."""

    def meet(self, cell: Spiking, before: State, path: Sequence[State]) -> Tensor:
        return torch.zeros_like(path[-1].v)


_VARIED: dict[type[Threshold], WeakKeyDictionary[Dynamics, Dynamics]] = {
    kind: WeakKeyDictionary() for kind in (_Timed, _Silent)
}
_OWN = "_recordings", "_around", "threshold", "_modules"


def timed(cell: Dynamics) -> Dynamics:
    """A cell whose spikes have a slope to the potential that crosses, and no other.

    It shares all quantities and children with the cell. What a spike does to the state stays; what it changes that it
    comes sooner or later is left to who knows the moment.
    """
    return _varied(cell, _Timed)


def _varied(cell: Dynamics, kind: type[Threshold]) -> Dynamics:
    """A cell with another threshold; the same object for the same cell, for what was recorded hangs on it."""
    new = _VARIED[kind].get(cell)
    if new is None:
        new = _VARIED[kind][cell] = type(cell).__new__(type(cell))
        new.__dict__["_modules"] = {}
    own, given = new.__dict__, vars(cell)
    for gone in [key for key in own if key not in given and key not in _OWN]:
        del own[gone]
    own.update((key, value) for key, value in given.items() if key not in _OWN)
    if isinstance(cell, Chain):
        *_, last = given["_modules"]
        children = {**given["_modules"], last: _varied(given["_modules"][last], kind)}
        if list(own["_modules"].items()) != list(children.items()):
            own["_modules"].clear()
            own["_modules"].update(children)
        return new
    own["_modules"] = given["_modules"]
    threshold = kind(**vars(cell.threshold))
    if own.get("threshold") != threshold:
        own["threshold"] = threshold
    return new


class Crossing(Dynamics):
    r"""What is looked at in a step of a cell.

    Input: what the cell is given; of that what comes in every step; what has arrived at the end of the step before and
    is left out of how the state moves. State: that of the cell, after a step without a spike; the share of the step
    after which the potential crosses the threshold; how the state moves in a step in which nothing arrives,
    :math:`\dot s\,dt`, as the differential equation says at its start.
    """

    def __init__(self, cell: Dynamics):
        super().__init__(dt=cell.dt)
        self.cell = cell

    def step(self, x_t: State, state: State) -> tuple[Tensor, State]:
        given, *rest = x_t
        _, after = self.cell.step(given, state[0])
        change, share = _change(self.cell, given, *rest, state[0], after)
        return share, (after, share, change)


def _change(
    cell: Dynamics, given: State, always: State, arrived: State, state: State, after: State
) -> tuple[State, Tensor]:
    """How a state moves in a step, and after what share of it the potential crosses on the way to another state."""
    if not isinstance(cell, Chain):
        return _own_change(cell, always, arrived, state, after)
    changes: list[State] = []
    *before, last = list(cell)
    for layer, own in zip(before, state, strict=False):
        # What arrives in front of the cell arrives at the start of the step.
        out, now = step_layer(layer, given, own)
        _, later = step_layer(layer, always, now)
        changes.append(map_state(lambda a, b: a - b, later, now))
        given = always = out
        arrived = map_state(torch.zeros_like, out)
    change, share = _change(last, given, always, arrived, state[-1], after[-1])
    return (*changes, change), share


def _own_change(cell: Spiking, always: State, arrived: State, state: State, after: State) -> tuple[State, Tensor]:
    drive, came = (widen(cell._read(x, axis=1) if isinstance(x, tuple) else x) for x in (always, arrived))
    if cell.arrive is not None:
        state = map_state(lambda now, more: now - (more - now), state, cell.arrive(came, state))
    rate = cell.vector_field(drive, state)
    change = map_state(lambda still, slope: still + cell.dt * slope, map_state(torch.zeros_like, state), rate)
    if cell.refractory_steps:
        change = change._replace(refractory=-(state.refractory > 0).to(change.refractory.dtype))
    if cell.arrive is not None:
        change = map_state(lambda moved, later, now: moved + (later - now), change, cell.arrive(drive, state), state)
    start, end = (each.v - cell.threshold.level(cell, each) for each in (state, after))
    upstroke = cell.membrane().upstroke if cell.membrane is not None else ()
    if upstroke:
        # Behind the threshold it would be anywhere; in a straight coordinate it goes on as at the start.
        start = upstroke.straighten(state.v) - upstroke.straighten(upstroke.top(cell.threshold.level(cell, state)))
        end = start + change.v * upstroke.stretch(state.v)
    return change, torch.clamp(_share(start, end), 0, 1)


_CROSSING: WeakKeyDictionary[Dynamics, Crossing] = WeakKeyDictionary()


def _crossing(cell: Dynamics) -> Crossing:
    found, silent = _CROSSING.get(cell), _varied(cell, _Silent)
    if found is None or found.dt != cell.dt:
        found = _CROSSING[cell] = Crossing(silent)
    return found


def _layers(cell: nn.Module) -> list[nn.Module]:
    """Those of a chain and of chains inside, in order."""
    return [each for layer in cell for each in _layers(layer)] if isinstance(cell, Chain) else [cell]


def _spiking(cell: Dynamics) -> Spiking | None:
    last = _layers(cell)[-1]
    return last if isinstance(last, Spiking) else None


def check_timed(populations: Mapping[str, Population], projections: Sequence[Projection], dtype: torch.dtype) -> None:
    """Raise if spikes are no crossings that move smoothly with what a network learns."""
    for name, population in populations.items():
        if population.cell is None:
            continue
        last = _spiking(population.cell)
        sources = [populations[each.source] for each in projections if each.target == name]
        reached = bool(sources) or any(isinstance(drive, Poisson) for drive in population.drives)
        frame = population.frame(dtype) if reached else None
        moves = any(source.cell is not None for source in sources)
        for wrong, expected, fix in _wrong(population.cell, last, frame, moves):
            if wrong:
                raise ValueError(
                    f"SpikingNetwork: expected {expected} for the gradient of spike times, got "
                    f"{type(last or population.cell).__name__} in {name}; {fix}, or take gradient='surrogate'"
                )


def _wrong(
    cell: Dynamics, last: Spiking | None, arriving: State | None, moves: bool
) -> Iterator[tuple[bool, str, str]]:
    *before, _ = _layers(cell)
    alone = last is not None and not any(isinstance(layer, Spiking) for layer in before)
    yield not alone, "a spiking cell, or a Chain that ends in the only one", "make others populations of their own"
    other = type(last.threshold) is not Threshold or last.reset == "none" or getattr(last, "scheme", "ode") != "ode"
    yield other, "cells that are reset where their potential crosses a threshold", "take e.g. SynapticLIF"
    yield last.integrator.crossings, "cells whose spikes lie on the grid (not Interpolated)", "take its method alone"
    highest = _highest_peak(last)
    yield (
        highest is not None and bool((last.v_th() > highest).any()),
        "an upstroke that is cut where steps still follow it",
        f"lower v_peak to {math.inf if highest is None else highest.min().item():.1f} mV or dt",
    )
    yield last.noise is not None, "cells without noise, of whose path a crossing has no slope", "leave it out"
    yield (
        arriving is not None and last.arrive is None and not lasts(before, arriving),
        "spikes that arrive in a current (where they move the potential at once the spikes that they cause are no "
        "sooner with a larger weight)",
        "put an ExponentialSynapse in front of it in a Chain, or take SynapticLIF or TwoSynapseLIF",
    )
    yield (
        moves and not adds_up(before, arriving),
        "layers in front of it behind which spikes that move add up",
        "leave out what answers to them otherwise, such as TsodyksMarkram",
    )


def _highest_peak(cell: Spiking) -> Tensor | None:
    """Up to where an exponential upstroke does not outrun the steps, whose derivative is then none of its moment."""
    with torch.no_grad():
        upstroke = cell.membrane().upstroke if cell.membrane is not None else ()
        if not isinstance(upstroke, ExponentialUpstroke):
            return None
        return upstroke.V_T + upstroke.Delta_T * torch.log(2 * upstroke.tau * cell.integrator.substeps / cell.dt)


@dataclass(frozen=True, eq=False)
class Crossings:
    """What the kernels look at in a population.

    Args:
        stepper: the step of a :class:`Crossing`.
        sizes: bytes of a number of each field of the state.
        potential: which of them is the potential.
        hold: steps for which it is held after a spike.
        always: what comes in every step to each input, [inputs, length].
    """

    stepper: Stepper
    sizes: Sequence[int]
    potential: int
    hold: int
    always: Tensor

    @classmethod
    def of(cls, population: Population, state: State, dtype: torch.dtype) -> "Crossings":
        """Of a population in a state."""
        cell, last = population.cell, _spiking(population.cell)
        with torch.no_grad():
            state = map_state(torch.detach, state)
            places = fields_of(state)
            potential = max(place for name, place in places.items() if name.split(".")[-1] == "v")
            v = list(leaves(state))[potential]
            frame = tuple(population.frame(dtype) for _ in range(3))
            made = recorded(_crossing(cell), frame, (state, v, state)).step()
        length = -(-population.neurons // WIDEST) * WIDEST
        always = torch.zeros(len(population.inputs), length, dtype=dtype)
        for drive in population.drives:
            if isinstance(drive, Current):
                always[population.place(drive.receptor), : population.neurons] += drive.values(
                    population.neurons, dtype
                )
        sizes = [leaf.element_size() for leaf in leaves(state)]
        return cls(made, sizes, potential, int(last.refractory_steps), always)

    def words(self, cell: Recorded) -> list[int]:
        """As the kernels take them."""
        plan = cell.plan
        learned = [plan.graph.summed_as(k).itemsize for k in cell.learned]
        return [
            len(self.sizes),
            self.potential,
            self.hold,
            len(self.stepper.held),
            *(*self.sizes, *plan.states, *plan.carried, *learned),
        ]

    def tensors(self) -> list[Tensor]:
        """As the kernels take them, with room for a number of each neuron."""
        return [*self.stepper.held, *self.always, torch.zeros(self.always.shape[1], dtype=torch.float64)]
