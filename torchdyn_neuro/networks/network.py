"""A network of populations and projections."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.checks import is_whole, positive_number, whole_number
from ..core.state import State, map_state
from ..fused.stepper import Stepper, recorded, stepper
from ..wiring.draw import stream_of
from .backward import Readout, check_room
from .engine import Engine
from .layout import Layout
from .packed import check_memory, pack
from .population import Population
from .progress import shown
from .projection import Projection, titles_of
from .running import Piece, Run, Running, SpikingNetworkState, check_state
from .simulating import Simulate, Simulated, Simulation, check_support, detached
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

    A synapse takes 6 to 8 bytes (weights in float32), 4 to 6 once they are frozen. :meth:`run` has no gradients,
    :meth:`simulate` has: those of a ``Network`` with dense weights.

    Args:
        populations: by name, :class:`Population` or :class:`SpikeSource`.
        projections: from one of them to another.
        seed: of all that is drawn.
        dtype: of weights and inputs, float32 or float64.
        owners: into how many parts the neurons are divided, of which each thread takes some; as many as torch has
            threads if omitted. Nothing but speed depends on it.

    Attributes:
        weights: the parameters of the projections that are ``learned``, by ``"source->target"`` (``"source->target:k"``
            if it is the k-th of several), in the order of the presynaptic neurons; see :meth:`synapses`.

    Raises:
        TypeError: if a population or a projection is none.
        ValueError: if steps differ in length, a name is unknown, there is no such connectivity, a delay is shorter than
            a step or no whole number of them, or there are too many neurons to count in 32 bits.
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
            projection.steps(self.dt)
        check_memory(expected, expected * (2 + dtype.itemsize))
        self.layout = Layout.for_threads(neurons, inputs, threads)
        self.packed = pack(self.layout, found, self._streams(_SYNAPSES, len(found)), self.dt, dtype)
        named = zip(titles_of(self.projections), range(len(found)), strict=True)
        self._learned = {name: number for name, number in named if self.projections[number].learned}
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(self.packed.weights[self.packed.listed[k]]) for name, k in self._learned.items()}
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
        return SpikingNetworkState(torch.tensor(0), torch.zeros(0, 2, dtype=torch.int32), tuple(cells))

    @torch.no_grad()
    def freeze(self) -> "SpikingNetwork":
        """Round all weights to 16 bits, in place: whole numbers of the largest one over 32,767; none is learned any more.

        A synapse then takes a third less memory, and sums are exact, in whatever order. There is no way back but to
        build the network anew.

        Returns:
            The network.

        Raises:
            ValueError: if a weight is not finite, or what may arrive at a neuron together is beyond 32 bits.
        """
        if self.packed.scale is None:
            self._take_weights()
            self.packed = self.packed.frozen()
            self.weights.clear()
            self._learned = {}
        return self

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
                come, so that memory stays bounded, such as a :class:`SpikeFile`.
            watch: by population, fields of the state and the neurons of which they are kept after each step, e.g.
                ``{"E": {"v": [0, 1]}}``.
            progress: whether a bar shows what is over and the real-time factor; or a function that is told after each
                piece how much of the duration is over, ms, and how many seconds one of the model takes.
            checkpoint: a file in which the state is kept, at the end too; ``torch.load`` reads it.
            interval: between two writings of it, ms of the model.

        Raises:
            TypeError: if ``state`` or ``watch`` is something else.
            ValueError: if the duration is no whole number of steps, steps would no longer be counted in 32 bits, what
                is to be watched is not there, the state is that of another network, or NaN arises in one.
        """
        steps, state = self._begin(duration, state)
        interval = positive_number("SpikingNetwork", "interval", interval, unit="ms") / self.dt
        watched = watched_in(self.populations, state.cells, self.dtype, watch or {})
        engine = self._engine(state, list(watched.values()))
        counts = {name: each.neurons for name, each in self.populations.items()}
        running = Running(self.dt, counts, list(watched), self.packed.delays[0])
        checkpoint = None if checkpoint is None else Path(checkpoint)
        with shown(progress, duration) as tell:
            return running.run(engine, state, steps, record, tell, checkpoint, round(interval))

    def simulate(
        self,
        duration: float,
        state: SpikingNetworkState | None = None,
        *,
        bin: float | None = None,
        tau: float | None = None,
        watch: Mapping[str, Mapping[str, Sequence[int] | Tensor]] | None = None,
        progress: bool | Callable[[float, float], None] = False,
    ) -> Simulated:
        r"""Simulate for a time, differentiably: spike counts, filtered trains and watched states have gradients.

        They lead to ``weights``, to what the cells learn (``Learned``), to numbers of drives that are tensors (that of a
        rate as :class:`Poisson` says), and to the first states, and are those of a dense ``Network`` whose slope of a
        spike is the surrogate of the cell. Reverse time walks the rows that the run walks:

        .. math:: \frac{\partial L}{\partial y_j[n]} = \sum_k w_k \frac{\partial L}{\partial x_{i_k}[n + d_k]}, \qquad
            \frac{\partial L}{\partial w_k} = \sum_n y_j[n] \frac{\partial L}{\partial x_{i_k}[n + d_k]}

        over the synapses k of neuron j: the first for those neurons alone whose surrogate has a slope in a step, the
        second for those that spike. **Cost:** one run more for the states, which are kept every :math:`\sqrt T` of T
        steps only (4,000 neurons, 10,000 steps: some 20 MB), a step back of all cells, and about a nanosecond for each
        synapse of each neuron near its threshold in each step; ``work`` counts these after the backward pass. A
        surrogate that is twice as wide costs twice as much, one that is zero nowhere walks all rows in all steps, and is
        refused above 10,000 neurons: take ``Triangular`` or ``Rectangular``, a few times as wide as the potential moves
        in a step. **Limits:** the state handed back has no gradient, so a call after another truncates time; delays have
        none; there are no second derivatives, and no exact gradients of spike times.

        Args:
            duration, state, watch, progress: as in :meth:`run`; the fields of ``state`` may want a gradient.
            bin: ms, in which spikes are counted, whole steps of which the duration is a multiple; all of it if omitted.
            tau: time constant, ms, with which spikes are filtered; the value at the end of each bin is returned.

        Raises:
            ValueError: as in :meth:`run`; if weights are frozen, bins do not fit, or surrogates are too wide.

        Example:
            >>> import torch, torchdyn_neuro as tdn
            >>> from torchdyn_neuro import networks, wiring
            >>> cell = tdn.SynapticLIF(20.0, 5.0, dt=0.5, surrogate=tdn.Triangular(0.3))
            >>> driven = networks.Population(100, cell, drives=[networks.Poisson(500.0, 0.3)])
            >>> back = networks.Projection("E", "E", wiring.FixedInDegree(10), weight=0.05, delay=1.5, learned=True)
            >>> net = networks.SpikingNetwork({"E": driven}, [back])
            >>> net.simulate(100.0).rates("E").mean().backward()
            >>> net.weights["E->E"].grad.shape
            torch.Size([1000])
        """
        steps, start = self._begin(duration, state)
        if self.packed.scale is not None:
            raise ValueError(
                "SpikingNetwork: expected weights with a gradient, got frozen ones; build the network anew for that"
            )
        readouts = self._readouts(steps, duration if bin is None else bin, tau)
        populations, cells, states = list(self.populations.values()), [], []
        for (name, each), cell in zip(self.populations.items(), start.cells, strict=True):
            if each.cell is None:
                cells.append(None)
                states.append(())
                continue
            each.check(self.dtype)
            frame = map_state(lambda part: part.requires_grad_(), each.frame(self.dtype))
            states.append(each.cell.take_state(frame, cell))
            cells.append(recorded(each.cell, frame, states[-1]))
            check_room(cells[-1], name)
        start = start._replace(cells=tuple(states))
        watched = watched_in(self.populations, states, self.dtype, watch or {})
        counts = {name: each.neurons for name, each in self.populations.items()}
        with shown(progress, duration) as tell:
            job = Simulation(
                engine=lambda cells: self._made(
                    [None if cell is None else cell.step() for cell in job.cells], cells, list(watched.values())
                ),
                running=Running(self.dt, counts, list(watched), self.packed.delays[0]),
                populations=populations,
                cells=cells,
                state=start,
                steps=steps,
                readouts=readouts,
                watched=list(watched.values()),
                learned=[(number, self.weights[name]) for name, number in self._learned.items()],
                training=False,
                tell=tell,
            )
            operands = job.operands()
            job.training = torch.is_grad_enabled() and any(operand.requires_grad for operand in operands)
            if job.training:
                check_support(self.populations)
            work: dict[str, int] = {}
            results = iter(Simulate.apply(job, work, *operands))
        names = list(self.populations)
        groups: list[dict[str, Tensor]] = [{}, {}]
        for readout in readouts:
            groups[readout.decay is not None][names[readout.population]] = next(results)
        traces: dict[str, dict[str, Tensor]] = {}
        for population, field in watched:
            traces.setdefault(population, {})[field] = next(results)
        return Simulated(*groups, traces, job.after.spikes, detached(job.after.state), work)

    def _readouts(self, steps: int, bin: float, tau: float | None) -> list[Readout]:
        width = positive_number("SpikingNetwork", "bin", bin, unit="ms") / self.dt
        if not is_whole(width) or round(width) < 1 or steps % round(width):
            raise ValueError(
                f"SpikingNetwork: expected bins of whole steps of {self.dt:g} ms that divide the {steps} steps of the "
                f"duration, got {bin:g} ms; choose such"
            )
        decays = [None]
        if tau is not None:
            decays.append(math.exp(-self.dt / positive_number("SpikingNetwork", "tau", tau, unit="ms")))
        own = [number for number, each in enumerate(self.populations.values()) if each.cell is not None]
        return [Readout(number, round(width), decay) for decay in decays for number in own]

    def _begin(self, duration: float, state: SpikingNetworkState | None) -> tuple[int, SpikingNetworkState]:
        self._check_unchanged()
        steps = positive_number("SpikingNetwork", "duration", duration, unit="ms") / self.dt
        if not is_whole(steps):
            raise ValueError(
                f"SpikingNetwork: expected a duration of whole steps of {self.dt:g} ms, got {duration} ms; choose one"
            )
        state = self.initial_state() if state is None else state
        state = check_state(state, len(self.populations), self.layout.total)
        if int(state.step) + round(steps) >= 2**31:
            raise ValueError(
                f"SpikingNetwork: expected fewer than 2^31 steps in all, got {int(state.step) + round(steps)}; start a "
                "new simulation"
            )
        self._take_weights()
        return round(steps), state

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
        return self._made(steppers, cells, watched)

    def _made(
        self,
        steppers: Sequence[Stepper | None],
        cells: Sequence[State],
        watched: Sequence[tuple[int, int, Tensor]],
    ) -> Engine:
        populations = list(self.populations.values())
        streams = [self._streams(_DRIVES, k, len(each.drives)) for k, each in enumerate(populations)]
        return Engine(self.layout, self.packed, populations, steppers, streams, cells, watched, self.dt, self.dtype)

    @torch.no_grad()
    def _take_weights(self) -> None:
        """Put the weights that are learned where they are read."""
        for name, number in self._learned.items():
            weight = self.weights[name]
            if weight.dtype != self.dtype:
                raise ValueError(
                    f"SpikingNetwork: expected weights of {self.dtype}, got {weight.dtype} from {name}; build the network "
                    "with that dtype"
                )
            self.packed.weights[self.packed.listed[number]] = weight

    def extra_repr(self) -> str:
        return f"{self.layout.total} neurons, {self.packed.synapses} synapses, dt={self.dt:g} ms"
