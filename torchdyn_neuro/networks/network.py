"""A network of populations and projections."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from ..core.uncompiled import uncompiled
from .crossing import check_timed
from .cuda.kept import give_back
from .progress import shown
from .ready import Ready
from .running import Piece, Run, Running, SpikingNetworkState
from .simulating import Simulate, Simulated, Simulation, check_support, check_unchanging, detached, record_cells
from .watching import watched_in


class SpikingNetwork(Ready):
    r"""Named populations of spiking neurons and sparse projections between them; thousands of steps are one call.

    .. math:: x_i[n] = \sum_{k : i_k = i} w_k\, y_{j_k}[n - d_k] + \text{drive}_i[n], \qquad
        (y[n], s[n]) = \mathrm{step}(x[n], s[n-1])

    for the synapses k, each from :math:`j_k` to :math:`i_k` with a delay of :math:`d_k \ge 1` steps. The step is that
    of the cells, recorded and compiled as in a fused loop; what is drawn (synapses, drives, first states) comes from
    counters. A spike is carried from chunk to chunk of its row: those synapses that it reaches in one step. Sums are
    taken in one order, so the spikes are bit for bit the same for any number of threads, and for a run in pieces.

    A synapse takes 6 to 8 bytes (weights in float32), 4 to 6 once they are frozen. :meth:`run` has no gradients,
    :meth:`simulate` has: those of a ``Network`` with dense weights.

    Synapses may change with activity (``Projection(release=...)``, ``Projection(plasticity=...)``): what is released
    and learned is that of a ``Chain(TsodyksMarkram, SparseLinear)`` and of a ``Plastic(SparseLinear, rule)``. Weights
    that learn are part of the state, 20 bytes a synapse in all (in float32), and 80 while they are laid out.

    ``net.to("cuda")`` lets :meth:`run` take its steps as Triton kernels on a GPU: what is drawn is the same, sums are
    of whole numbers and so the same in every run; states, spikes and traces are handed over on the CPU. A synapse takes
    8 bytes there, 6 frozen. :meth:`simulate`, synapses that change and ``group`` are for CPUs.

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

    Attributes:
        weights: the parameters of the projections that are ``learned``, by ``"source->target"`` (``"source->target:k"``
            if it is the k-th of several), in the order of the presynaptic neurons; as :meth:`synapses` lists them.

    Raises:
        TypeError: if a population or a projection is none.
        ValueError: if steps differ in length, a name is unknown, there is no such connectivity, a delay is shorter than
            a step or no whole number of them, there are too many neurons to count in 32 bits, or the processes of a
            group were given different things.
        MemoryError: if there is no room for the synapses; before any is drawn.
        NotPointwise: from :meth:`run`, if the step of a cell does not act on each neuron by itself.
        CompilerUnavailableError: without a C++ compiler; on a GPU, without Triton.

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
                is to be watched is not there, the state is that of another network, NaN arises in one, or a network is
                to run on a GPU whose synapses change or that processes share.
            MemoryError: if a GPU has no room for the synapses.
        """
        steps, state = self._begin(duration, state)
        interval = positive_number("SpikingNetwork", "interval", interval, unit="ms") / self.dt
        watched = watched_in(self.populations, state.cells, self.dtype, watch or {})
        engine = self._engine(state, list(watched.values()))
        counts = {name: each.neurons for name, each in self.populations.items()}
        running = Running(self.dt, counts, list(watched), self.packed.delays[0])
        checkpoint = None if checkpoint is None else Path(checkpoint)
        progress = engine.first if progress is True else progress
        with shown(progress, duration) as tell:
            found = running.run(engine, state, steps, record, tell, checkpoint, max(1, round(interval)))
        give_back(self.packed, engine)
        return found

    @uncompiled
    def simulate(
        self,
        duration: float,
        state: SpikingNetworkState | None = None,
        *,
        bin: float | None = None,
        tau: float | None = None,
        watch: Mapping[str, Mapping[str, Sequence[int] | Tensor]] | None = None,
        progress: bool | Callable[[float, float], None] = False,
        gradient: str = "surrogate",
        times: bool = False,
        slowest: float | None = None,
    ) -> Simulated:
        r"""Simulate for a time, differentiably: spike counts, filtered trains and watched states have gradients.

        They lead to ``weights``, to what the cells learn (``Learned``), to numbers of drives that are tensors (that of
        a rate as :class:`Poisson` says) and to the first states, and are those of a dense ``Network``, in which the
        surrogate of a cell is the slope of its spikes. Reverse time walks the rows that the run walks:

        .. math:: \frac{\partial L}{\partial y_j[n]} = \sum_k w_k \frac{\partial L}{\partial x_{i_k}[n + d_k]}, \qquad
            \frac{\partial L}{\partial w_k} = \sum_n y_j[n] \frac{\partial L}{\partial x_{i_k}[n + d_k]}

        over the synapses k of neuron j: the first for those neurons alone whose surrogate has a slope in a step, the
        second for those that spike. No result depends on the number of threads; the last bits of a gradient depend on
        ``owners``.

        Cost: one run more for the states, which are kept every :math:`\sqrt T` of T steps only (4,000 neurons, 10,000
        steps: some 20 MB), a step back of all cells, and about a nanosecond for each synapse of each neuron near its
        threshold in each step; ``work`` counts these after the backward pass. A surrogate that is twice as wide costs
        twice as much, one that is zero nowhere walks all rows in all steps, and is refused above 10,000 neurons: take
        ``Triangular`` or ``Rectangular``, a few times as wide as the potential moves in a step.

        With ``gradient="spike_times"`` the derivative is not that of a surrogate but of the moments of the spikes,
        whatever the surrogate and ``detach_reset`` of a cell are. On a grid that means: a spike is fired where the line
        through the distances of the potential from the threshold, before and after the step, meets zero, and

        .. math:: \delta t_k = -\frac{\delta v}{\dot v}, \qquad \frac{\partial L}{\partial t_k} = \sum_s w_s \dot
            \lambda_s + \lambda(t_k^-)^T \dot s(t_k^-) - \lambda(t_k^+)^T \dot s(t_k^+) + \frac{\partial \ell}{\partial
            t_k}

        with the gradients :math:`\lambda` of the state, :math:`\lambda_s` of what arrives through synapse s, and the
        rates :math:`\dot s` of the differential equation on either side of the reset (the middle part is that of the
        saltation matrix; the end of a refractory period moves with the spike, and adds as much). Between spikes the
        recorded steps are gone back. So only rows of spikes are walked. A first spike is second order in ``dt``, what
        follows from spikes first order, for they arrive on the grid. A loss that jumps where a spike moves past a step
        has that jump as its derivative, spread over the step; numbers of spikes have none. That a spike appears or
        goes is not seen. Where the potential hardly rises the derivative grows beyond all bounds: see ``slowest``.
        Needed are cells that are reset at a threshold, without noise, in which spikes arrive in a current or a
        conductance that lasts and adds up.

        Limits: the state handed back has no gradient, so one call after another truncates time; delays have none; there
        are no second derivatives.

        Args:
            duration, state, watch, progress: as in :meth:`run`; the fields of ``state`` may want a gradient.
            bin: ms, in which spikes are counted, whole steps of which the duration is a multiple; all of it if omitted.
            tau: time constant, ms, with which spikes are filtered; the value at the end of each bin is returned.
            gradient: ``"surrogate"`` or ``"spike_times"``.
            times: whether the times of spikes are returned, with a gradient; see :meth:`Simulated.spike_times`. Costs
                one run more.
            slowest: a potential that crosses the threshold more slowly, in its unit per ms, counts as that slow; 0 if
                omitted. Where it is not found to rise there is no derivative: ``work["grazing"]`` counts these spikes.

        Raises:
            ValueError: as in :meth:`run`; if weights are frozen, bins do not fit, surrogates are too wide, synapses
                change where a gradient is wanted, processes share the network, it is on a GPU, or spikes of a cell have
                no times that move smoothly.

        Source: Wunderlich & Pehle (2021), Sci. Rep. 11:12829 (EventProp); Müller (1995), Chaos Solitons Fractals 5:1671
        (saltation matrices).

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
        self._check_gradients()
        steps, start = self._begin(duration, state)
        if self.packed.scale is not None:
            raise ValueError(
                "SpikingNetwork: expected weights with a gradient, got frozen ones; build the network anew for that"
            )
        readouts = self._readouts(steps, duration if bin is None else bin, tau)
        exact = one_of("SpikingNetwork", "gradient", gradient, "surrogate", "spike_times") == "spike_times"
        if not exact and (times or slowest is not None):
            raise ValueError(
                f"SpikingNetwork: expected times= and slowest= with gradient='spike_times', got {gradient!r}; leave "
                "them out, or choose that gradient"
            )
        slowest = positive_number("SpikingNetwork", "slowest", slowest or 0.0, zero=True)
        if exact:
            check_timed(self.populations, self.projections, self.dtype)
        states, cells, crossings = record_cells(self.populations, start, self.dtype, exact, times)
        start = start._replace(cells=tuple(states))
        watched = watched_in(self.populations, states, self.dtype, watch or {})
        counts = {name: each.neurons for name, each in self.populations.items()}
        with shown(progress, duration) as tell:
            job = Simulation(
                engine=lambda cells: self._made(
                    [None if cell is None else cell.step() for cell in job.cells], cells, start, list(watched.values())
                ),
                running=Running(self.dt, counts, list(watched), self.packed.delays[0]),
                populations=list(self.populations.values()),
                cells=cells,
                state=start,
                steps=steps,
                readouts=readouts,
                watched=list(watched.values()),
                learned=[(number, self.weights[name]) for name, number in self._learned.items()],
                training=False,
                tell=tell,
                crossings=crossings,
                slowest=slowest,
                times=times,
            )
            operands = job.operands()
            job.training = torch.is_grad_enabled() and any(operand.requires_grad for operand in operands)
            if job.training:
                if not exact:
                    check_support(self.populations)
                check_unchanging(self.projections)
            work: dict[str, int] = {}
            results = iter(Simulate.apply(job, work, *operands))
        names = list(self.populations)
        groups: list[dict[str, Tensor]] = [{}, {}]
        for readout in readouts:
            groups[readout.decay is not None][names[readout.population]] = next(results)
        traces: dict[str, dict[str, Tensor]] = {}
        for population, field in watched:
            traces.setdefault(population, {})[field] = next(results)
        return Simulated(*groups, traces, job.after.spikes, detached(job.after.state), work, next(results))
