"""A run of a network, piece by piece."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.state import State, register_state
from .changing import ChangingRows
from .engine import Engine, Figures
from .processes import together
from .spikes import Spikes


@register_state
class SpikingNetworkState(NamedTuple):
    """step: how many steps were taken, int64; recent: spikes (step, neuron) that may not have arrived everywhere, int32
    [spikes, 2]; cells: the state of each population, fields [1, neurons]; reach: how many steps ``recent`` goes back,
    int64; synapses: the state of each projection whose synapses change.
    """

    step: Tensor
    recent: Tensor
    cells: tuple[State, ...]
    reach: Tensor
    synapses: tuple[State, ...] = ()


Traces = Mapping[str, Mapping[str, Tensor]]


class Piece(NamedTuple):
    """spikes: those of a stretch of time; traces: the fields that are watched in it, [steps, neurons], by population
    and by name.
    """

    spikes: Spikes
    traces: Traces


class Run(NamedTuple):
    """spikes, traces: of the whole run, () if they went elsewhere; state: after it; seconds: how long it took;
    real_time_factor: seconds that pass for one of the model; figures: where they went.
    """

    spikes: Any
    traces: Any
    state: SpikingNetworkState
    seconds: float
    real_time_factor: float
    figures: Figures


class Running:
    """What goes along with a run.

    Args:
        dt: ms.
        neurons: of each population.
        names: of what is watched, (population, field).
        longest: delay, steps.
    """

    def __init__(self, dt: float, neurons: Mapping[str, int], names: list[tuple[str, str]], longest: int):
        self.dt, self.neurons, self.names, self.longest = dt, dict(neurons), names, longest

    def _check_numbers(self, engine: Engine, begin: int, end: int) -> None:
        # In the eager loop such a neuron puts out NaN, which a list of spikes cannot hold.
        for name, count in zip(self.neurons, engine.without_number(), strict=True):
            if count:
                raise ValueError(
                    f"SpikingNetwork: expected numbers in the state of {name}, got NaN in {count} of its neurons "
                    f"between steps {begin} and {end}; look at weights, drives and first values, or lower dt"
                )

    def _state(self, engine: Engine, at: int, recent: Tensor) -> SpikingNetworkState:
        synapses = tuple(each.now() for each in engine.changing)
        return SpikingNetworkState(torch.tensor(at), recent, engine.states(), torch.tensor(self.longest), synapses)

    def piece(self, spikes: Tensor, traces: list[Tensor], begin: int, end: int) -> Piece:
        """What was found from one step to another."""
        found: dict[str, dict[str, Tensor]] = {}
        for (population, field), trace in zip(self.names, traces, strict=True):
            found.setdefault(population, {})[field] = trace
        return Piece(Spikes(spikes[:, 0], spikes[:, 1], begin, end, self.dt, self.neurons), found)

    def run(
        self,
        engine: Engine,
        state: SpikingNetworkState,
        steps: int,
        record: bool | Callable[[Piece], None],
        progress: Callable[[float, float], None] | None,
        checkpoint: Path | None,
        interval: int,
    ) -> Run:
        """Take so many steps; see :meth:`~torchdyn_neuro.networks.SpikingNetwork.run`."""
        begin, recent, seconds = int(state.step), state.recent, 0.0
        at, saved = begin, begin
        if engine.processes is not None:
            seen = {key: neurons.tolist() for key, (*_, neurons) in zip(self.names, engine.watched, strict=True)}
            told = {"duration": steps, "state": (begin, recent.tolist()), "watch": seen}
            engine.processes.alike(told | {"checkpoint and interval": (checkpoint is not None, interval)})
        kept: list[Tensor] = []
        traces: list[list[Tensor]] = [[] for _ in self.names]
        while at < begin + steps:
            piece = min(engine.piece, begin + steps - at, steps if checkpoint is None else saved + interval - at)
            start = time.perf_counter()
            taken, spikes, found = engine.run(at, piece, recent)
            seconds += time.perf_counter() - start
            self._check_numbers(engine, at, at + taken)
            begun, at = at, at + taken
            recent = torch.cat([_since(recent, at - self.longest), _since(spikes, at - self.longest)])
            due = checkpoint is not None and (at - saved >= interval or at == begin + steps)
            after = self._state(engine, at, recent) if due else None
            factor = seconds * 1000 / ((at - begin) * self.dt)
            with together(engine.processes):
                if record is True:
                    kept.append(spikes)
                    for trace, piece in zip(traces, found, strict=True):
                        trace.append(piece)
                elif record:
                    record(self.piece(spikes, found, begun, at))
                if due:
                    saved = at
                    if engine.first:
                        save(after, checkpoint)
                if progress is not None:
                    progress((at - begin) * self.dt, factor)
        if after is None:
            after = self._state(engine, at, recent)
        whole = ((), ())
        if record is True:
            whole = self.piece(torch.cat(kept), [torch.cat(trace) for trace in traces], begin, at)
        return Run(*whole, after, seconds, factor, engine.figures)


def _since(spikes: Tensor, step: int) -> Tensor:
    """Those of a step or later; they are in order."""
    return spikes[int(spikes[:, 0].numpy().searchsorted(step)) :]


def check_state(
    state: SpikingNetworkState, populations: int, neurons: int, longest: int, changing: Sequence[ChangingRows]
) -> SpikingNetworkState:
    """The state as the kernels take it; raise if it is none of so many populations and neurons, delays and synapses."""
    if not isinstance(state, SpikingNetworkState):
        raise TypeError(
            f"SpikingNetwork: expected a SpikingNetworkState, got {type(state).__name__}; pass the state of a run"
        )
    step, recent, fits = int(state.step), state.recent, False
    if isinstance(recent, Tensor) and recent.dtype == torch.int32 and recent.ndim == 2 and recent.shape[1] == 2:
        at, neuron = recent.to(torch.int64).unbind(1)
        key = at * neurons + neuron
        fits = bool(((at < step) & (neuron >= 0) & (neuron < neurons)).all() and (key.diff() > 0).all())
    if step < 0 or not fits or len(state.cells) != populations:
        raise ValueError(
            f"SpikingNetwork: expected a state of {populations} populations of {neurons} neurons, with a step from 0 "
            "on and the spikes before it as int32 [spikes, 2] in their order, got another; pass the state of a run of "
            "this network"
        )
    if step and int(state.reach) < longest:
        raise ValueError(
            f"SpikingNetwork: expected a state with the spikes of the last {longest} steps, as long as a delay may be, "
            f"got those of {int(state.reach)}; pass the state of a run of this network"
        )
    if len(state.synapses) != len(changing) or not all(map(ChangingRows.fits, changing, state.synapses)):
        raise ValueError(
            f"SpikingNetwork: expected a state of {len(changing)} projections whose synapses change, got that of "
            "others; pass the state of a run of this network"
        )
    return state


def save(state: SpikingNetworkState, path: Path) -> None:
    """Write a state to a file, which holds the old one or the new one whole, whatever happens."""
    part = path.with_name(f"{path.name}.part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
