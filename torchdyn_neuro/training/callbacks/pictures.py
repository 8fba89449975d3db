"""Spike rasters and voltage traces of one fixed sample."""

from typing import TYPE_CHECKING

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from ...activity.layers import spikes, spiking_cell
from ...core.checks import whole_number
from ...core.context import padded, without_drawing
from ...core.dynamics import Dynamics
from ...core.quantities import Constrained
from ...core.record import record
from ...core.recurrent import Recurrent
from .fixed_sample import FixedSample
from .layers import outermost_dynamics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Pictures(FixedSample):
    """Draws what the neurons do for the first samples of the validation data.

    Tags: ``raster/<layer>``, all neurons of each spiking layer; ``voltage/<layer>``, a few neurons of each layer with
    a potential, by number, with the threshold of those that have one (before any adaptation of it).

    Args:
        every: number of epochs from one picture to the next.
        samples: number of samples that are run; the first one is drawn.
        traces: number of neurons whose potential is drawn.
        neurons: number of neurons at most in a raster.
    """

    def __init__(self, every: int = 10, samples: int = 8, traces: int = 5, neurons: int = 128):
        super().__init__(every, samples)
        self.traces = whole_number("Pictures", "traces", traces, 1)
        self.neurons = whole_number("Pictures", "neurons", neurons, 1)

    def show(self, trainer: Trainer, pl_module: LightningModule, boards: list[TensorBoardLogger]) -> None:
        pictures = self.draw(pl_module)
        if trainer.is_global_zero:
            for tag, figure in pictures.items():
                for board in boards:
                    board.experiment.add_figure(tag, figure, trainer.global_step)

    @torch.no_grad()
    def draw(self, task: LightningModule) -> dict[str, "Figure"]:
        """The figures by tag."""
        x = task.encode(self.batch, self.lengths)
        layers = dict(outermost_dynamics(task.model))
        rasters = {f"{name}.output": name for name, layer in layers.items() if spikes(layer)}
        traces = {f"{name}.{field}": name for name, layer in layers.items() if (field := potential(layer)) is not None}
        with padded(self.lengths):
            paths = record(task.model, x, [*rasters, *traces])
        if self.lengths is not None:
            paths = {path: values[: self.lengths[0]] for path, values in paths.items()}
        figures = {}
        for path, name in rasters.items():
            figures[f"raster/{name}"] = raster(paths[path], layers[name].dt, self.neurons)
        for path, name in traces.items():
            figures[f"voltage/{name}"] = voltage(paths[path], layers[name], self.traces)
        return figures


def potential(layer: Dynamics) -> str | None:
    """The path to the membrane potential in the state of a layer, if it has one."""
    if isinstance(layer, Recurrent):
        inner = potential(layer.neuron)
        return None if inner is None else f"neuron.{inner}"
    template = torch.zeros(1, 1)
    try:
        with without_drawing():
            fields = getattr(layer.initial_state(template), "_fields", ())
    except (ValueError, RuntimeError):
        # Equations whose input is no plain tensor have no potential to show here.
        return None
    return "v" if "v" in fields else None


def raster(spikes: Tensor, dt: float, neurons: int) -> "Figure":
    """Spikes [T, B, \\*] of the first sample."""
    from matplotlib.figure import Figure

    first = spikes[:, 0].flatten(1)[:, :neurons].cpu()
    steps, neuron = torch.nonzero(first, as_tuple=True)
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot(xlabel="time (ms)", ylabel="neuron", xlim=(0, len(first) * dt), ylim=(-1, first.shape[1]))
    axes.plot((steps + 1).numpy() * dt, neuron.numpy(), "|", color="black", markersize=3)
    return figure


def voltage(v: Tensor, layer: Dynamics, traces: int) -> "Figure":
    """Potentials [T, B, \\*] of a few neurons for the first sample."""
    from matplotlib.figure import Figure

    first = v[:, 0].flatten(1)[:, :traces].float().cpu()
    level = getattr(spiking_cell(layer), "v_th", None)
    unit = level.unit if isinstance(level, Constrained) else ""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot(xlabel="time (ms)", ylabel=f"v ({unit})" if unit else "v")
    time = torch.arange(1, len(first) + 1).numpy() * layer.dt
    for neuron, trace in enumerate(first.unbind(1)):
        axes.plot(time, trace.numpy(), label=f"neuron {neuron}", color=f"C{neuron}")
    for neuron, height in enumerate(_levels(level, v.shape[2:], first.shape[1])):
        # One line for all, or each in the colour of its neuron.
        axes.axhline(height, linestyle="--", linewidth=1, **_looks(neuron, level))
    axes.legend(fontsize=6, loc="upper right")
    return figure


def _levels(level: object, neurons: torch.Size, traces: int) -> list[float]:
    if not isinstance(level, Constrained):
        return []
    value = level().detach().float().cpu()
    return [value.item()] if value.ndim == 0 else value.expand(neurons).flatten()[:traces].tolist()


def _looks(neuron: int, level: Constrained) -> dict[str, str]:
    if level.start.ndim == 0:
        return {"color": "black", "label": "threshold"}
    return {"color": f"C{neuron}"} | ({"label": "threshold"} if neuron == 0 else {})
