"""Classification as a Lightning task, for any model from sequences to logits over time."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from ..core.context import padded
from ..core.lengths import check_lengths, fill_padding
from ..core.ode import ODE
from ..core.quantities import Constrained
from ..encoding.encoder import Encoder
from ..learning import BPTT, LearningMethod, Outcome
from ..learning.method import judged
from ..losses import ActivityPenalty, watching
from .parameter_groups import ParameterGroup, grouped, named
from .samples import dense

STAGES = ("train", "val", "test")


Batch = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
"""Samples [B, \\*], labels [B], and the lengths [B] of samples that are padded sequences [B, T, \\*].

Sequences may be of any real type, counts in integers for example, and sparse.
"""


def parts_of_batch(batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
    """Samples, labels and lengths, if there are any, of a batch.

    Raises:
        ValueError: if it is no such batch.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ValueError(
            f"Classification: expected batches (samples, labels) or (samples, labels, lengths), got {got}; let the "
            "data module give these"
        )
    samples, labels, *rest = batch
    samples = dense(samples)
    if not rest:
        return samples, labels, None
    if samples.ndim < 2:
        raise ValueError(
            f"Classification: expected sequences [B, T, *] beside lengths, got samples of shape "
            f"{tuple(samples.shape)}; leave the lengths out, or give the samples their time axis"
        )
    return samples, labels, check_lengths("Classification", rest[0], len(samples), samples.shape[1])


class Judged(NamedTuple):
    """What callbacks are given of a batch of the validation or test data.

    loss: scalar; decoded: logits [B, classes]; labels: [B]; y: outputs [T, B, classes]; lengths: real steps [B] of
    padded sequences, or None.
    """

    loss: Tensor
    decoded: Tensor
    labels: Tensor
    y: Tensor | None
    lengths: Tensor | None


class NonFiniteError(ValueError):
    """The loss is NaN or infinite; the message names the first module that put out such values."""


class Classification(LightningModule):
    r"""Trains any model that maps [T, B, \*] to outputs over time [T, B, classes].

    Args:
        model: the network.
        classes: number of classes.
        loss: maps outputs [T, B, classes] and labels [B] to a scalar; its ``decoder`` gives the logits.
            Batches are ``(samples, labels)`` or, of padded sequences, ``(samples, labels, lengths)``, and then the loss
            and its decoder are given the lengths [B] too.
        penalties: prices on the activity of the model, by name, which are added to the loss in training;
            :class:`~torchdyn_neuro.losses.RateBounds` for example.
        learning: how the gradients are found; ``BPTT()`` if omitted. Parameters of its own go to the optimiser too.
        encoder: maps samples [B, \*] to [T, B, \*]; omit it if the data are sequences, which then come as [B, T, \*].
        optimizer: makes the optimiser from groups of parameters: a class, or a partial call of one.
        groups: which parameters have a learning rate and a weight decay of their own, by name; none if omitted.
        scheduler: makes the schedule of the learning rate, stepped per batch, from the optimiser and the number of
            steps; constant if omitted.
        config: plain values that go into the checkpoints, so that they can be rebuilt.

    Raises:
        ValueError: if a group of parameters takes none.
        NonFiniteError: in training, as soon as the loss is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        classes: int,
        *,
        loss: nn.Module,
        penalties: Mapping[str, ActivityPenalty] | None = None,
        learning: LearningMethod | None = None,
        encoder: nn.Module | None = None,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer] = torch.optim.AdamW,
        groups: Mapping[str, ParameterGroup] | None = None,
        scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
        config: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.model, self.encoder, self.loss, self.classes = model, encoder, loss, classes
        self.learning = BPTT() if learning is None else learning
        self.learning.prepare(model)
        self.penalties = nn.ModuleDict(penalties or {})
        whole = isinstance(self.learning, BPTT) and self.learning.recompute != "time" and not self.learning.compiled
        if self.penalties and not whole:
            raise ValueError(
                f"Classification: expected BPTT() where spikes have a price, got {described(self.learning)}, which "
                "keeps no gradient of them for the whole sequence; leave the penalties out, or use learning=bptt"
            )
        self.optimizer, self.groups, self.scheduler, self.config = optimizer, groups or {}, scheduler, config or {}
        self.names = tuple(self.config.get("data", {}).get("names", ()))  # of the classes, if the data have some
        self.parameter_groups()  # which tells at once of one that takes nothing
        # By the epoch, for Lightning takes longer to log a number than a small network to learn from a batch.
        self.averages = nn.ModuleDict(
            {
                # A module has a method of the name "train".
                f"of_{stage}": nn.ModuleDict(
                    {
                        "loss": MeanMetric(),
                        "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
                    }
                )
                for stage in STAGES
            }
        )

    def setup(self, stage: str) -> None:
        if not isinstance(self.trainer.strategy, FSDPStrategy):
            return
        single = [name for name, parameter in self.named_parameters() if parameter.ndim == 0]
        if single:
            raise ValueError(
                f"trainer.strategy: expected parameters with an axis to share out by FSDP, got {len(single)} without, "
                f"{', '.join(single[:3])}; give each neuron its own value, Learned(torch.full((neurons,), value)), "
                "keep it fixed, or use trainer=ddp"
            )

    def encode(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The input sequence [T, B, \\*] of a batch of samples; zero behind the ``lengths`` of padded ones."""
        if self.encoder is None or samples.is_floating_point():
            # Also of float64, as arrays of numpy are.
            samples = samples.to(self._floats())
        if self.encoder is None:
            return fill_padding(samples.transpose(0, 1), lengths)
        if lengths is not None and isinstance(self.encoder, Encoder):
            raise ValueError(
                f"Classification: expected samples without lengths for {type(self.encoder).__name__}, which makes the "
                "sequences itself, got lengths; leave the encoder out (encoder=none) if the data are sequences"
            )
        return fill_padding(self.encoder(samples), lengths)

    def _floats(self) -> torch.dtype:
        """The type that the model computes in."""
        floats = (each.dtype for each in self.model.parameters() if each.is_floating_point())
        return next(floats, torch.get_default_dtype())

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits [B, classes] of a batch of samples."""
        with padded(lengths):
            y = self.model(self.encode(samples, lengths))
        return self.loss.decoder(y) if lengths is None else self.loss.decoder(y, lengths)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        return self._share_step("train", batch).loss

    def validation_step(self, batch: Batch, index: int) -> Judged:
        return self._share_step("val", batch)

    def test_step(self, batch: Batch, index: int) -> Judged:
        return self._share_step("test", batch)

    def _share_step(self, stage: str, batch: Batch) -> Judged:
        samples, labels, lengths = parts_of_batch(batch)
        x = self.encode(samples, lengths)
        (loss, decoded), y = self._outcome(stage, x, labels, lengths)
        if not torch.isfinite(loss):
            with padded(lengths):
                raise NonFiniteError(describe_non_finite(self.model, x, float(loss.detach())))
        averages = self.averages[f"of_{stage}"]
        averages["loss"].update(loss.detach(), len(labels))
        averages["accuracy"].update(decoded, labels)
        return Judged(loss, decoded, labels, y, lengths)

    def _outcome(self, stage: str, x: Tensor, labels: Tensor, lengths: Tensor | None) -> tuple[Outcome, Tensor | None]:
        if stage == "train":
            with watching(self.model) if self.penalties else nullcontext([]) as activity:
                # A method of the user's own need not know lengths where there are none.
                found = self.learning(self.model, x, labels, self.loss, *(() if lengths is None else (lengths,)))
            prices = {name: penalty(activity) for name, penalty in self.penalties.items()}
            for name, price in prices.items():
                self.log(
                    f"penalty/{name}",
                    price.detach(),
                    on_step=False,
                    on_epoch=True,
                    sync_dist=True,
                    batch_size=len(labels),
                )
            return found._replace(loss=found.loss + sum(prices.values())) if prices else found, None
        with padded(lengths):
            y = self.model(x)
        return judged(self.loss, y, labels, lengths), y

    def _log_averages(self, stage: str) -> None:
        """Say what has come of an epoch, unless it is said; on all processes, which sum up theirs."""
        for name, average in self.averages[f"of_{stage}"].items():
            if average.update_called:
                self.log(f"{stage}/{name}", average.compute(), prog_bar=True, on_step=False, on_epoch=True)
                average.reset()

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        # Before the callbacks that come at the end of the epoch.
        if self.trainer.is_last_batch:
            self._log_averages("train")

    def on_validation_epoch_end(self) -> None:
        self._log_averages("val")

    def on_test_epoch_end(self) -> None:
        self._log_averages("test")

    def on_train_epoch_end(self) -> None:
        # Of an epoch that was cut short.
        self._log_averages("train")
        for module in self.model.modules():
            if isinstance(module, ODE):
                module.check_stability()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, of the model and of the way it learns, as the optimiser gets them."""
        own = [each for each in named(self.learning) if each[-1].requires_grad]
        return grouped([*named(self.model), *own], self.groups, self.optimizer)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameter_groups())
        # A fused one undoes the scaling of 16-bit training by itself, which Lightning takes for a reason not to clip.
        optimizer._step_supports_amp_scaling = False
        if self.scheduler is None:
            return optimizer
        schedule = self.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.update(self.config)


def described(learning: LearningMethod) -> str:
    """A method of learning with what was chosen of it."""
    chosen = {name: getattr(learning, name, None) for name in ("recompute", "compiled")}
    listed = ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value is not None)
    return f"{type(learning).__name__}({listed})"


@torch.no_grad()
def describe_non_finite(model: nn.Module, x: Tensor, loss: float) -> str:
    """Which module first puts out, or which parameter holds, a value that is not finite."""
    advice = "lower optimizer.lr, clip the gradients (trainer.gradient_clip_val=1) or shorten dt"
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"expected a finite loss, got {loss}: the parameter {name} holds NaN or infinity; {advice}"
    if not torch.isfinite(x).all():
        return f"expected a finite loss, got {loss}: the input holds NaN or infinity; clean the data"
    culprits: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                culprits.append(f"{name} ({type(module).__name__})")

        return note

    layers = {name: module for name, module in model.named_modules() if name and not isinstance(module, Constrained)}
    hooks = [module.register_forward_hook(watch(name)) for name, module in layers.items()]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    where = f"first in the output of {culprits[0]}" if culprits else "only in the loss itself"
    return f"expected a finite loss, got {loss}: it is not finite {where}; {advice}"
