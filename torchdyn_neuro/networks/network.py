"""A network of populations and projections."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.checks import is_whole, positive_number, whole_number
from ..core.uncompiled import uncompiled
from ..fused.stepper import stepper
from ..wiring.draw import draw, stream_of
from .changing import ROOM, lay_out
from .engine import Engine
from .layout import Layout
from .packed import check_memory, pack
from .population import Population
from .processes import largest_of, place_of, share, together
from .progress import shown
from .projection import Projection
from .running import Piece, Run, Running, SpikingNetworkState, check_state
from .spike_source import SpikeSource
from .watching import watched_in

_SYNAPSES, _DRIVES, _STARTS = range(1, 4)


class SpikingNetwork(nn.Module):
    r"""Named populations of spiking neurons and sparse projections between them; thousands of steps are one call.

    .. math:: x_i[n] = \sum_{k : i_k = i} w_k\, y_{j_k}[n - d_k] + \text{drive}_i[n], \qquad
        (y[n], s[n]) = \mathrm{step}(x[n], s[n-1])

    for the synapses k, each from :math:`j_k` to :math:`i_k` with a delay of :math:`d_k \ge 1` steps. The step is that
    of the cells, recorded and compiled as in a fused loop; what is drawn (synapses, drives, first states) comes from
    counters. A spike is carried from chunk to chunk of its row: those synapses that it reaches in one step. Sums are
    taken in one order, so the spikes are bit for bit the same for any number of threads, and for a run in pieces.

    A synapse takes 6 to 8 bytes (weights in float32), 4 to 6 once they are frozen. There are no gradients; for those,
    use a ``Network`` with a :class:`~torchdyn_neuro.SparseLinear`, whose values are these.

    Synapses may change with activity (``Projection(release=...)``, ``Projection(plasticity=...)``): what is released
    and learned is that of a ``Chain(TsodyksMarkram, SparseLinear)`` and of a ``Plastic(SparseLinear, rule)``. Weights
    that learn are part of the state, 20 bytes a synapse in all (in float32), and 80 while they are laid out.

    Args:
        populations: by name, :class:`Population` or :class:`SpikeSource`.
        projections: from one of them to another.
        seed: of all that is drawn.
        dtype: of weights and inputs, float32 or float64.
        owners: into how many parts the neurons are divided, of which each thread takes some; as many as torch has
            threads if omitted. Nothing but speed depends on it.
        group: of ``torch.distributed``, with gloo, e.g. ``torch.distributed.group.WORLD``, whose processes share the
            neurons; each holds the synapses of its own and has so many owners. All call the same methods with the same
            arguments, and exchange spikes once in the shortest delay. What comes out is bit for bit that of one
            process. If one is lost the others raise a ``RuntimeError``, after the timeout of the group at the latest.

    Raises:
        TypeError: if a population or a projection is none.
        ValueError: if steps differ in length, a name is unknown, there is no such connectivity, a delay is shorter than
            a step or no whole number of them, there are too many neurons to count in 32 bits, or the processes of a
            group were given different things.
        MemoryError: if there is no room for the synapses; before any is drawn.
        NotPointwise: from :meth:`run`, if the step of a cell does not act on each neuron by itself.
        CompilerUnavailableError: without a C++ compiler.

    Source: Morrison et al. (2005), Neural Comput. 17:1776 (simulation on a grid, in parallel).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> from torchdyn_neuro import networks, wiring
        >>> cell = tdn.SynapticLIF(20.0, 5.0, dt=0.5)
        >>> driven = networks.Population(100, cell, drives=[networks.Poisson(500.0, 0.3)])
        >>> back = networks.Projection("E", "E", wiring.FixedInDegree(10), weight=0.05, delay=1.5)
        >>> net = networks.SpikingNetwork({"E": driven}, [back], seed=1)
        >>> first = net.run(100.0)
        >>> len(net.run(100.0, first.state).spikes) > 0
        True
    """

    def __init__(
        self,
        populations: Mapping[str, Population | SpikeSource],
        projections: Sequence[Projection] = (),
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        owners: int | None = None,
        group: torch.distributed.ProcessGroup | None = None,
    ):
        super().__init__()
        self.seed = whole_number("SpikingNetwork", "seed", seed, 0)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"SpikingNetwork: expected float32 or float64, got {dtype}; pass one of them")
        self.dtype = dtype
        if not isinstance(populations, Mapping | nn.ModuleDict):
            populations = {}
        if not populations or not all(isinstance(each, (Population, SpikeSource)) for each in populations.values()):
            raise TypeError("SpikingNetwork: expected populations by name, got others; pass {name: Population(...)}")
        for name in populations:
            if not isinstance(name, str) or not name or "." in name or hasattr(nn.ModuleDict, name):
                raise ValueError(
                    f"SpikingNetwork: expected names of populations without a dot, got {name!r}; choose e.g. 'E'"
                )
        self.populations = nn.ModuleDict(populations)
        self.projections = tuple(projections)
        steps = {each.cell.dt for each in populations.values() if each.cell is not None}
        if len(steps) != 1:
            got = f"steps of {sorted(steps)} ms; give all the same" if steps else "given spikes alone; add a Population"
            raise ValueError(f"SpikingNetwork: expected cells that share one dt, got {got}")
        self._dt = steps.pop()
        neurons = [each.neurons for each in populations.values()]
        if sum(neurons) >= 2**31:
            raise ValueError(
                f"SpikingNetwork: expected fewer than 2^31 neurons, got {sum(neurons)}; divide the network among "
                "processes"
            )
        threads = torch.get_num_threads() if owners is None else whole_number("SpikingNetwork", "owners", owners, 1)
        inputs = [len(each.inputs) for each in populations.values()]
        found = [self._place(projection) for projection in self.projections]
        expected = sum(p.wiring.expected(neurons[i], neurons[j], i == j) for p, i, j, _ in found)
        for projection, *_ in found:
            projection.check(self.dt)
        changes = sum(p.wiring.expected(neurons[i], neurons[j], i == j) for p, i, j, _ in found if p.changes)
        told = {"seed": seed, "dtype": dtype, "dt": self.dt, "neurons": neurons, "inputs": inputs, "owners": threads}
        self.processes = share(group, self.projections, told)
        shares, rank = place_of(self.processes)
        check_memory(expected / shares, expected / shares * (2 + dtype.itemsize) + changes * ROOM)
        self.layout = Layout.for_threads(neurons, inputs, threads, shares, rank)
        streams = self._streams(_SYNAPSES, len(found))
        self.packed = pack(self.layout, found, streams, self.dt, dtype)
        self.changing = tuple(
            lay_out(self.layout, projection, number, tuple(places), streams[number], self.dt, dtype)
            for number, (projection, *places) in enumerate(found)
            if projection.changes
        )

    @property
    def dt(self) -> float:
        """The time step of all cells, ms; it stays, for the delays are counted in it."""
        return self._dt

    @dt.setter
    def dt(self, dt: float) -> None:
        if dt != self._dt:
            raise ValueError(
                f"SpikingNetwork: expected steps of {self._dt:g} ms, in which the delays of the synapses are counted, "
                f"got dt={dt:g} ms; build the network anew"
            )

    def _streams(self, *numbers: int) -> list[int]:
        *numbers, count = numbers
        return [stream_of(self.seed, *numbers, k) for k in range(count)]

    def _place(self, projection: Projection) -> tuple[Projection, int, int, int]:
        """A projection and the numbers of its source, its target and the receptor."""
        if not isinstance(projection, Projection):
            raise TypeError(f"SpikingNetwork: expected projections, got {type(projection).__name__}; pass Projection")
        names = list(self.populations)
        for name in (projection.source, projection.target):
            if name not in names:
                raise ValueError(
                    f"SpikingNetwork: expected {projection.title} to name populations among {', '.join(names)}, got "
                    f"{name!r}; name those"
                )
        receptor = self.populations[projection.target].place(projection.receptor)
        return projection, names.index(projection.source), names.index(projection.target), receptor

    def initial_state(self) -> SpikingNetworkState:
        """The state before the first step."""
        streams = self._streams(_STARTS, len(self.populations))
        cells = [
            population.initial_state(self.dtype, stream)
            for population, stream in zip(self.populations.values(), streams, strict=True)
        ]
        recent, reach = torch.zeros(0, 2, dtype=torch.int32), torch.tensor(self.packed.delays[0])
        synapses = tuple(each.initial_state() for each in self.changing)
        return SpikingNetworkState(torch.tensor(0), recent, tuple(cells), reach, synapses)

    def synapses(self, projection: int) -> tuple[Tensor, Tensor, Tensor]:
        """Both neurons and the delay, in steps, of each synapse of a projection, int64 [synapses].

        They are in the order of the weights of a :class:`LearningState`, that of the presynaptic neurons.

        Args:
            projection: its number, from 0 on.
        """
        each, pre, post, _ = self._place(self.projections[projection])
        stream = self._streams(_SYNAPSES, len(self.projections))[projection]
        rule = each.rule(self.layout.neurons[pre], self.layout.neurons[post], stream, self.dt, self.dtype)
        rows = draw(rule, stream, *each.tables(self.dt), dtype=self.dtype)
        sources = torch.repeat_interleave(torch.arange(rule.pre), rows.start.diff())
        return sources, rows.place.to(torch.int64), rows.delay.to(torch.int64)

    @torch.no_grad()
    def freeze(self) -> "SpikingNetwork":
        """Round all weights to 16 bits, in place: whole numbers of the largest one over 32,767.

        A synapse then takes a third less memory, and sums are exact, in whatever order. It is no quicker (a tenth of
        the cortical microcircuit, one busy core: 2.3 ns a synapse against 2.1, .94 ns a step of a neuron against .86):
        places and weights still are two arrays, and sums become numbers of the network in every step. There is no way
        back but to build the network anew.

        Returns:
            The network.

        Raises:
            ValueError: if a weight is not finite, or what may arrive at a neuron together is beyond 32 bits.
        """
        if self.changing:
            raise ValueError(
                "SpikingNetwork: expected weights that stay to freeze them, got projections whose synapses change; "
                "leave out release= and plasticity="
            )
        if self.packed.scale is None:
            largest = largest_of(self.processes, self.packed.largest)
            with together(self.processes):
                self.packed = self.packed.frozen(largest)
        return self

    @uncompiled
    @torch.no_grad()
    def run(
        self,
        duration: float,
        state: SpikingNetworkState | None = None,
        *,
        record: bool | Callable[[Piece], None] = True,
        watch: Mapping[str, Mapping[str, Sequence[int] | Tensor]] | None = None,
        progress: bool | Callable[[float, float], None] = False,
        checkpoint: str | Path | None = None,
        interval: float = 10_000.0,
    ) -> Run:
        """Simulate for a time.

        Args:
            duration: ms, a whole number of steps.
            state: to start from, which stays as it is; the first one if omitted.
            record: whether spikes and traces are handed back; or a function that is given them piece by piece, as they
                come, so that memory stays bounded, such as a :class:`SpikeFile`. Each of several processes is handed
                those of all: let one of them write.
            watch: by population, fields of the state and the neurons of which they are kept after each step, e.g.
                ``{"E": {"v": [0, 1]}}``.
            progress: whether a bar shows what is over and the real-time factor, of several processes in the first one;
                or a function that is told after each piece how much of the duration is over, ms, and how many seconds
                one of the model takes.
            checkpoint: a file in which the state is kept, at the end too, by the first of several processes;
                ``torch.load`` reads it, and any number of processes goes on from it.
            interval: between two writings of it, ms of the model.

        Raises:
            TypeError: if ``state`` or ``watch`` is something else.
            ValueError: if the duration is no whole number of steps, steps would no longer be counted in 32 bits, what
                is to be watched is not there, the state is that of another network, or NaN arises in one.
        """
        self._check_unchanged()
        steps = positive_number("SpikingNetwork", "duration", duration, unit="ms") / self.dt
        if not is_whole(steps):
            raise ValueError(
                f"SpikingNetwork: expected a duration of whole steps of {self.dt:g} ms, got {duration} ms; choose one"
            )
        interval = positive_number("SpikingNetwork", "interval", interval, unit="ms") / self.dt
        state = self.initial_state() if state is None else state
        state = check_state(state, len(self.populations), self.layout.total, self.packed.delays[0], self.changing)
        if int(state.step) + round(steps) >= 2**31:
            raise ValueError(
                f"SpikingNetwork: expected fewer than 2^31 steps in all, got {int(state.step) + round(steps)}; start a "
                "new simulation"
            )
        watched = watched_in(self.populations, state.cells, self.dtype, watch or {})
        engine = self._engine(state, list(watched.values()))
        counts = {name: each.neurons for name, each in self.populations.items()}
        running = Running(self.dt, counts, list(watched), self.packed.delays[0])
        checkpoint = None if checkpoint is None else Path(checkpoint)
        progress = engine.first if progress is True else progress
        with shown(progress, duration) as tell:
            return running.run(engine, state, round(steps), record, tell, checkpoint, max(1, round(interval)))

    def _check_unchanged(self) -> None:
        for each in self.populations.values():
            if each.cell is not None:
                self.dt = each.cell.dt
        if any(x.device.type != "cpu" for x in (*self.parameters(), *self.buffers())):
            raise ValueError("SpikingNetwork: expected a network on the CPU, got one elsewhere; call net.cpu() first")

    def _engine(self, state: SpikingNetworkState, watched: Sequence[tuple[int, int, Tensor]]) -> Engine:
        populations, cells, steppers = list(self.populations.values()), [], []
        for each, cell in zip(populations, state.cells, strict=True):
            given = each.cell is None
            if not given:
                each.check(self.dtype)
            cells.append(() if given else each.cell.take_state(each.frame(self.dtype), cell))
            steppers.append(None if given else stepper(each.cell, each.frame(self.dtype), cells[-1]))
        streams = [self._streams(_DRIVES, k, len(each.drives)) for k, each in enumerate(populations)]
        changing = [rows.held(own) for rows, own in zip(self.changing, state.synapses, strict=True)]
        rest = self.dt, self.dtype, changing, self.processes
        return Engine(self.layout, self.packed, populations, steppers, streams, cells, watched, *rest)

    def extra_repr(self) -> str:
        return f"{self.layout.total} neurons, {self.packed.synapses} synapses, dt={self.dt:g} ms"
