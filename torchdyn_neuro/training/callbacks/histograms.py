"""How weights and learned quantities are spread."""

from collections.abc import Iterator

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from ...core.checks import whole_number
from ...core.quantities import Constrained


def learned_quantities(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names, with their unit, and values of the learned quantities, in that unit."""
    for name, module in model.named_modules():
        if isinstance(module, Constrained) and module.learned:
            yield f"{name}_{module.unit}" if module.unit else name, module().detach()


def weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values of all other parameters."""
    quantities = {f"{name}.raw" for name, module in model.named_modules() if isinstance(module, Constrained)}
    for name, parameter in model.named_parameters():
        if name not in quantities:
            yield name, parameter.detach()


class Histograms(Callback):
    """Histograms of weights and of learned quantities in their unit, e.g. ``learned/neuron0.tau_mem_ms``.

    Args:
        every: number of epochs from one histogram to the next.
    """

    def __init__(self, every: int = 5):
        super().__init__()
        self.every = whole_number("Histograms", "every", every, 1)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not (last or trainer.current_epoch % self.every == 0):
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                for group, values in (("learned", learned_quantities), ("weights", weights)):
                    for name, value in values(pl_module.model):
                        logger.experiment.add_histogram(f"{group}/{name}", value.cpu(), trainer.global_step)
