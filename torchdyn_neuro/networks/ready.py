"""A network made ready for a run, on a CPU or on a GPU."""

from collections.abc import Sequence

from torch import Tensor

from ..core.state import State
from ..fused.stepper import Recorded, Stepper, recorded
from .built import DRIVES, Built
from .cuda.engine import CudaEngine
from .cuda.kept import taken
from .cuda.loaded import load
from .engine import Engine
from .on_cpu import on_cpu
from .running import SpikingNetworkState


class Ready(Built):
    """What takes the steps of a :class:`~torchdyn_neuro.networks.SpikingNetwork`, whose arguments these are."""

    def _engine(self, state: SpikingNetworkState, watched: Sequence[tuple[int, int, Tensor]]) -> Engine | CudaEngine:
        cells, steps = [], []
        for each, cell in zip(self.populations.values(), state.cells, strict=True):
            if each.cell is None:
                cells.append(())
                steps.append(None)
                continue
            each.check(self.dtype)
            frame = each.frame(self.dtype)
            with on_cpu(each.cell) as module:
                cells.append(module.take_state(frame, cell))
                steps.append(recorded(module, frame, cells[-1]))
        if self._on_card:
            return self._made_on_card(steps, cells, watched)
        return self._made([step and step.step() for step in steps], cells, state, watched)

    def _made(
        self,
        steppers: Sequence[Stepper | None],
        cells: Sequence[State],
        state: SpikingNetworkState,
        watched: Sequence[tuple[int, int, Tensor]],
    ) -> Engine:
        populations = list(self.populations.values())
        changing = [rows.held(own) for rows, own in zip(self.changing, state.synapses, strict=True)]
        rest = self.dt, self.dtype, changing, self.processes
        return Engine(self.layout, self.packed, populations, steppers, self._drawn_drives, cells, watched, *rest)

    def _made_on_card(
        self, steps: Sequence[Recorded | None], cells: Sequence[State], watched: Sequence[tuple[int, int, Tensor]]
    ) -> CudaEngine:
        if self.processes is not None or self.changing:
            got = "one that processes share" if self.processes is not None else "release= or plasticity="
            raise ValueError(
                f"SpikingNetwork: expected a network of one process and synapses that stay on a GPU, got {got}; call "
                "net.cpu() to run it there"
            )
        parts = list(self.populations.values()), steps, self._drawn_drives, cells, watched
        loaded = load(self.layout, *parts, self.dt, self.dtype, on_card=self.device.type == "cuda")
        return taken(self.packed, self.layout, loaded, self.dtype, self.device)

    @property
    def _drawn_drives(self) -> list[list[int]]:
        """What tells the drives of each population apart."""
        return [self._streams(DRIVES, k, len(each.drives)) for k, each in enumerate(self.populations.values())]

    def _check_gradients(self) -> None:
        """Raise if there are none where it runs."""
        if self.processes is not None:
            raise ValueError(
                "SpikingNetwork: expected a network of one process for gradients, got one that processes share; leave "
                "out group=, or call run()"
            )
        if self._on_card:
            raise ValueError(
                f"SpikingNetwork: expected a network on the CPU for gradients, got one on {self.device}; call "
                "net.cpu() first, or run()"
            )
