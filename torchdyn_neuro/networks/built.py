"""Populations and projections, checked, drawn and packed."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from ..core.checks import is_whole, positive_number, whole_number
from ..core.state import map_state
from ..wiring.draw import draw, stream_of
from .backward import Readout
from .changing import ROOM, lay_out
from .cuda.kept import forget
from .layout import Layout
from .packed import check_memory, pack
from .population import Population
from .processes import largest_of, place_of, share, together
from .projection import Projection, titles_of
from .running import SpikingNetworkState, check_state
from .spike_source import SpikeSource

_SYNAPSES, DRIVES, _STARTS = range(1, 4)


class Built(nn.Module):
    """What a :class:`~torchdyn_neuro.networks.SpikingNetwork` is made of; arguments and attributes are its own."""

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
        # Goes where the network goes, of which all else may be plain numbers.
        self.register_buffer("_where", torch.empty(0), persistent=False)
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
        named = zip(titles_of(self.projections), range(len(found)), strict=True)
        self._learned = {name: number for name, number in named if self.projections[number].learned}
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(self.packed.weights[self.packed.listed[k]]) for name, k in self._learned.items()}
        )

    @property
    def device(self) -> torch.device:
        """Where it runs; ``net.to("cuda")`` takes it there."""
        return self._where.device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if not self._on_card:
            forget(self.packed)
        return self

    @property
    def _on_card(self) -> bool:
        return self.device.type == "cuda"

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
    def freeze(self) -> Self:
        """Round all weights to 16 bits, in place: whole numbers of the largest one over 32,767.

        None is learned any more. A synapse then takes a third less memory, and sums are exact, in whatever order. It is
        no quicker (a tenth of the cortical microcircuit, one busy core: 2.3 ns a synapse against 2.1, .94 ns a step of
        a neuron against .86): places and weights still are two arrays, and sums become numbers of the network in every
        step. There is no way back but to build the network anew.

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
            self._take_weights()
            largest = largest_of(self.processes, self.packed.largest)
            with together(self.processes):
                self.packed = self.packed.frozen(largest)
            self.weights.clear()
            self._learned = {}
        return self

    def _begin(self, duration: float, state: SpikingNetworkState | None) -> tuple[int, SpikingNetworkState]:
        self._check_unchanged()
        steps = positive_number("SpikingNetwork", "duration", duration, unit="ms") / self.dt
        if not is_whole(steps):
            raise ValueError(
                f"SpikingNetwork: expected a duration of whole steps of {self.dt:g} ms, got {duration} ms; choose one"
            )
        state = self.initial_state() if state is None else state
        state = check_state(state, len(self.populations), self.layout.total, self.packed.delays[0], self.changing)
        if int(state.step) + round(steps) >= 2**31:
            raise ValueError(
                f"SpikingNetwork: expected fewer than 2^31 steps in all, got {int(state.step) + round(steps)}; start a "
                "new simulation"
            )
        self._take_weights()
        return round(steps), map_state(lambda leaf: leaf.cpu(), state)

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

    def _check_unchanged(self) -> None:
        for each in self.populations.values():
            if each.cell is not None:
                self.dt = each.cell.dt
        devices = {x.device for x in (*self.parameters(), *self.buffers())}
        if len(devices) > 1 or self.device.type not in ("cpu", "cuda"):
            raise ValueError(
                f"SpikingNetwork: expected a network on the CPU or on one CUDA device, got one on "
                f"{', '.join(sorted(map(str, devices)))}; call net.cpu() or net.to('cuda') first"
            )

    @torch.no_grad()
    def _take_weights(self) -> None:
        """Put the weights that are learned where they are read."""
        for name, number in self._learned.items():
            weight = self.weights[name]
            if weight.dtype != self.dtype:
                raise ValueError(
                    f"SpikingNetwork: expected weights of {self.dtype}, got {weight.dtype} from {name}; build the "
                    "network with that dtype"
                )
            held, weight = self.packed.listed[number], weight.cpu()
            # What has not changed stays where it is on a device.
            if not torch.equal(self.packed.weights[held], weight):
                self.packed.weights[held] = weight

    def extra_repr(self) -> str:
        return f"{self.layout.total} neurons, {self.packed.synapses} synapses, dt={self.dt:g} ms"
