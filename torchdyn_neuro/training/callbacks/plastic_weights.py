"""What plastic connections make of their weights while a sample runs."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from ...core.commit import map_plastic
from ...core.context import padded
from ...core.plastic import Plastic
from ...core.state import State
from ...core.streaming import Streaming
from .fixed_sample import FixedSample


class PlasticWeights(FixedSample):
    """Shows the weights of each plastic connection after the first validation samples; a model without any is left out.

    Tags: ``plastic/<layer>``, histogram of the weights after the last step; ``plastic_change/<layer>``, the length of
    their change relative to the length of the weights that the module holds, which :class:`Histograms` shows.

    Args:
        every: number of epochs from one histogram to the next.
        samples: number of samples that run.
    """

    def __init__(self, every: int = 5, samples: int = 8):
        super().__init__(every, samples)

    def show(self, trainer: Trainer, pl_module: LightningModule, boards: list[TensorBoardLogger]) -> None:
        found = weights_after(pl_module, self.batch, self.lengths)
        if not trainer.is_global_zero:
            return
        for name, (before, after) in found.items():
            change = (after - before).norm() / before.expand_as(after).norm().clamp(min=1e-30)
            for board in boards:
                board.experiment.add_histogram(f"plastic/{name}", after.cpu(), trainer.global_step)
                board.experiment.add_scalar(f"plastic_change/{name}", change.item(), trainer.global_step)


def weights_after(
    task: LightningModule, batch: Tensor, lengths: Tensor | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Of each plastic connection by name: the weights that it starts with, and those after a batch."""
    names = {module: name for name, module in task.model.named_modules() if isinstance(module, Plastic)}
    if not names:
        return {}
    live, found = Streaming(task.model), {}

    def note(plastic: Plastic, state: State) -> State:
        found[names[plastic]] = plastic.connection.weight.detach(), state.weight
        return state

    with padded(lengths):
        live(task.encode(batch, lengths))
    live.map_states(lambda module, initial, last: (initial, map_plastic(module, last, note)))
    return found
