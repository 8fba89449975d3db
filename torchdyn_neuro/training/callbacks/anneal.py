"""What changes step by step in the course of a training, beside the learning rate."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from ...core.checks import positive_number, whole_number
from ...core.surrogate import Surrogate
from ...synapses.delay_line import DelayLine


class Annealing(Callback, ABC):
    """Base of what follows the progress of a training, which is a function of the step: a resumed run goes on with it.

    Args:
        until: share of all steps after which the end is reached.
    """

    def __init__(self, until: float):
        super().__init__()
        self.until = positive_number(type(self).__name__, "until", until)
        self.steps = 1.0

    @abstractmethod
    def set(self, model: nn.Module, progress: float) -> None:
        """Bring a model to a progress from 0 to 1."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps = float(trainer.estimated_stepping_batches)
        if self.steps == float("inf"):
            raise ValueError(
                f"{type(self).__name__}: expected a training with an end, got one without; set trainer.max_epochs"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.set(pl_module.model, min(trainer.global_step / (self.until * self.steps), 1.0))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.set(pl_module.model, min(trainer.global_step / (self.until * self.steps), 1.0))


class AnnealDelays(Annealing):
    """Narrows the Gaussians of all delays with ``kernel="gaussian"``, from ``width`` to ``final_width``.

    Args:
        until: share of all steps after which they are narrow.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier (2024), ICLR.
    """

    def __init__(self, until: float = 0.8):
        super().__init__(until)

    def set(self, model: nn.Module, progress: float) -> None:
        for module in model.modules():
            if isinstance(module, DelayLine) and module.width is not None:
                module.anneal(progress)


class AnnealSurrogate(Annealing):
    r"""Makes the surrogates of all spiking cells steeper, or flatter, geometrically from ``start`` to ``end``.

    .. math:: \alpha(p) = \alpha_0\, (\alpha_1 / \alpha_0)^p

    Args:
        start, end: the number at the start and at the end.
        number: which number of the surrogates, such as ``slope`` or ``width``.
        until: share of all steps after which the end is reached.
        levels: number of changes on the way: after each, a fused loop is recorded anew, which takes some ten
            milliseconds.

    Raises:
        ValueError: in ``fit``, if no cell has a surrogate with this number, or one has another.
    """

    def __init__(self, start: float, end: float, *, number: str = "slope", until: float = 0.8, levels: int = 20):
        super().__init__(until)
        self.start = positive_number("AnnealSurrogate", "start", start)
        self.end = positive_number("AnnealSurrogate", "end", end)
        self.number = number
        self.levels = whole_number("AnnealSurrogate", "levels", levels, 1)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        found = cells(pl_module.model)
        if not found or not all(self.number in _numbers(cell.surrogate) for _, cell in found):
            got = ", ".join(f"{type(cell.surrogate).__name__} in {name or 'the model'}" for name, cell in found[:3])
            raise ValueError(
                f"AnnealSurrogate: expected cells whose surrogates all have a {self.number}, got {got or 'none'}; "
                "choose another number=, or a surrogate that has it"
            )

    def set(self, model: nn.Module, progress: float) -> None:
        value = self.start * (self.end / self.start) ** (round(progress * self.levels) / self.levels)
        for _, cell in cells(model):
            if getattr(cell.surrogate, self.number) != value:
                cell.surrogate = dataclasses.replace(cell.surrogate, **{self.number: value})


def cells(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and cells of a model that have a surrogate."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(getattr(module, "surrogate", None), Surrogate)
    ]


def _numbers(surrogate: Surrogate) -> set[str]:
    return {each.name for each in dataclasses.fields(surrogate)} if dataclasses.is_dataclass(surrogate) else set()
