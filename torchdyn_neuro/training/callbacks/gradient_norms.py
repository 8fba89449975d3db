"""How large the gradients are."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from ...core.checks import whole_number


class GradientNorms(Callback):
    """Logs the norm of the gradient of each layer: tags ``gradient_norm/<layer>``.

    Args:
        every: number of training steps from one logging to the next, whatever ``trainer.log_every_n_steps`` is.
    """

    def __init__(self, every: int = 10):
        super().__init__()
        self.every = whole_number("GradientNorms", "every", every, 1)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if trainer.global_step % self.every:
            return
        norms = {}
        for name, layer in pl_module.model.named_children():
            squares = [parameter.grad.square().sum() for parameter in layer.parameters() if parameter.grad is not None]
            if squares:
                norms[f"gradient_norm/{name}"] = sum(squares).sqrt().item()
        for logger in trainer.loggers:
            logger.log_metrics(norms, step=trainer.global_step)
