"""Where the rhythms of a recurrent network go while it learns."""

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from ...core.context import padded
from ...core.lengths import padding
from ...core.network import Network
from ...core.spiking import Spiking
from .fixed_sample import FixedSample
from .layers import outermost_dynamics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Eigenvalues(FixedSample):
    """Draws the eigenvalues of each rate network, where it rests under its mean input for the first validation samples.

    Tags: ``eigenvalues/<layer>``, the plane; ``growth_rate/<layer>``, the largest real part, per ms;
    ``oscillation_hz/<layer>``, the frequency of that pair. Where no rest is found the picture says so.

    Args:
        every: number of epochs from one picture to the next.
        samples: number of samples whose input is averaged.
    """

    def __init__(self, every: int = 10, samples: int = 8):
        super().__init__(every, samples)

    def show(self, trainer: Trainer, pl_module: LightningModule, boards: list[TensorBoardLogger]) -> None:
        inputs = mean_inputs(pl_module, self.batch, self.lengths)
        if not trainer.is_global_zero:
            return
        for name, (network, x, state) in inputs.items():
            figure, numbers = plane(network, x, state)
            for board in boards:
                board.experiment.add_figure(f"eigenvalues/{name}", figure, trainer.global_step)
                for tag, value in numbers.items():
                    board.experiment.add_scalar(f"{tag}/{name}", value, trainer.global_step)


@torch.no_grad()
def mean_inputs(
    task: LightningModule, batch: Tensor, lengths: Tensor | None = None
) -> dict[str, tuple[Network, Tensor, Any]]:
    """Of each rate network of a model: itself, its mean input [1, \\*], and the state that this leads to."""
    found: dict[str, tuple[Network, Tensor, Any]] = {}
    handles = []
    for name, layer in outermost_dynamics(task.model):
        if not isinstance(layer, Network) or layer.steps or isinstance(layer.neuron, Spiking):
            continue

        def see(layer: nn.Module, arguments: tuple[Any, ...], name: str = name) -> None:
            x = arguments[0]
            if isinstance(x, Tensor):
                frames = x.flatten(0, 1) if lengths is None else x[~padding(lengths, len(x))]
                mean = frames.mean(0, keepdim=True)
                _, state = layer.scan(mean.expand(len(x), *mean.shape))
                found[name] = layer, mean, state

        handles.append(layer.register_forward_pre_hook(see))
    try:
        with padded(lengths):
            task.model(task.encode(batch, lengths))
    finally:
        for handle in handles:
            handle.remove()
    return found


def plane(network: Network, x: Tensor, state: Any) -> tuple["Figure", dict[str, float]]:
    """The eigenvalues of a network at rest under a constant input, and what they say."""
    from matplotlib.figure import Figure

    from ...analysis import eigenvalues, fixed_point, oscillation_frequency
    from ...plotting import eigenvalue_plane

    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot()
    try:
        rest = fixed_point(network, state, input=x)
        found = eigenvalues(network, rest, input=x).detach().flatten()
    except (TypeError, ValueError) as error:
        axes.set_title(str(error), fontsize=6, wrap=True)
        return figure, {}
    eigenvalue_plane(found, ax=axes)
    return figure, {
        "growth_rate": found.real.max().item(),
        "oscillation_hz": oscillation_frequency(found).item(),
    }
