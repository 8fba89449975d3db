"""Which classes are taken for which."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from ...core.checks import whole_number
from ..classification import Judged
from .judgement import Judgement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 20
"""Number of classes up to which the counts are written into the picture."""


class ConfusionMatrix(Judgement):
    """Draws how often each class was taken for each other one; a row is a true class.

    Tags: ``confusion/val``, from time to time, and ``confusion/test``.

    Args:
        every: number of epochs from one picture to the next; the last epoch is always shown.
    """

    def __init__(self, every: int = 10):
        super().__init__()
        self.every = whole_number("ConfusionMatrix", "every", every, 1)
        self.matrix: MulticlassConfusionMatrix | None = None

    def begin(self, task: LightningModule, stage: str) -> None:
        self.matrix = MulticlassConfusionMatrix(task.classes).to(task.device)

    def see(self, judged: Judged) -> None:
        self.matrix.update(judged.decoded, judged.labels)

    def end(self, trainer: Trainer, task: LightningModule, stage: str) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if stage == "val" and not last and trainer.current_epoch % self.every:
            return
        counts = self.matrix.compute()  # on every rank, for they put theirs together
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if trainer.is_global_zero:
            for board in boards:
                board.experiment.add_figure(f"confusion/{stage}", picture(counts, task.names), trainer.global_step)


def picture(counts: Tensor, names: Sequence[str] = ()) -> "Figure":
    """Counts [true class, class said] as a picture, with the names of the classes if they have any."""
    from matplotlib.figure import Figure

    values, classes = counts.cpu().numpy(), len(counts)
    size = min(4 + 0.2 * classes, 12)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot(xlabel="said", ylabel="true class")
    axes.imshow(values, cmap="Blues")
    if classes <= MOST_NUMBERS:
        axes.set(xticks=range(classes), yticks=range(classes))
        if names:
            axes.set_xticklabels(names, rotation=90)
            axes.set_yticklabels(names)
        for row in range(classes):
            for column in range(classes):
                dark = values[row, column] > values.max() / 2
                color = "white" if dark else "black"
                axes.text(column, row, values[row, column], ha="center", va="center", color=color)
    return figure
