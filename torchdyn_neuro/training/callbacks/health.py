"""Warnings of what keeps a network from learning."""

from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from ...activity.layers import spiking_layers
from ...activity.report import activity_report
from ...core.checks import positive_number, warn, whole_number
from ...core.context import padded
from ...core.network import Network
from ...core.state import first_leaf
from ..classification import parts_of_batch

FEW_HZ, MOST = 2.0, 0.5
"""A layer most of whose neurons are silent is said to be so if its mean rate is below this."""


class Health(Callback):
    r"""Warns, naming layer and cure, of layers that are silent or saturated at the start, and of exploding gradients.

    A gradient explodes on its way back through a recurrent layer if each step hands on more than it gets. Let
    :math:`g_t` be the norm of the gradient of the drive of step :math:`t`, and :math:`a_t` that of the output, as it
    comes from the layers behind. At the last step that any comes to, :math:`s`, nothing has run through time yet, and
    :math:`k = g_s / a_s` is what a single step makes of it. Were every step to add its share undiminished,
    :math:`g_t` would be :math:`T k \max a`. What is larger than ``factor`` times that grows from step to step.

    Args:
        every: number of training steps from one look at the gradients to the next; the first one is looked at.
        factor: how much larger than that. Spoken digits through two layers of LIF: up to 0.08 where it trains well, up
            to 26 in the first 60 steps with the arctangent and the mean of the potentials.

    Warns:
        UserWarning: once for each layer.
    """

    def __init__(self, every: int = 5, factor: float = 1.0):
        super().__init__()
        self.every = whole_number("Health", "every", every, 1)
        self.factor = positive_number("Health", "factor", factor)
        self.handles: list[Any] = []
        self.seen: dict[str, dict[str, Tensor]] = {}
        self.told: set[str] = set()
        self.looked = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not self.looked:
            self.looked = True
            self._look_at_activity(trainer, pl_module, batch)
        if trainer.global_step % self.every == 0:
            for name, layer in recurrent_layers(pl_module.model).items():
                self.handles.append(layer.register_forward_hook(partial(self._listen, name)))

    def _listen(self, name: str, layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        self.seen[name] = {}
        for key, tensor in (("drive", first_leaf(given[0])), ("output", first_leaf(output))):
            if tensor.requires_grad:
                # The same tensor may be an output here and a drive there.
                tensor.register_hook(partial(self._note, name, key))

    def _note(self, name: str, key: str, gradient: Tensor) -> None:
        self.seen[name][key] = gradient.detach().flatten(1).norm(dim=1)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        for name, norms in self.seen.items():
            growth = growth_through_time(norms.get("drive"), norms.get("output"))
            if growth > self.factor and name not in self.told:
                self.told.add(name)
                kind = type(pl_module.model.get_submodule(name)).__name__
                warn(
                    f"Health: the gradient explodes on its way back through {name or 'the model'} ({kind}), at step "
                    f"{trainer.global_step} to {growth:.2g} times what all steps together would add; clipping does "
                    "not mend its direction: give the neurons a Damped surrogate (surrogate=damped_triangular), make "
                    "the recurrent weights smaller at the start (orthogonal, times 0.2), or read the largest "
                    "potential (MaxMembrane)"
                )
        self.seen.clear()

    def _look_at_activity(self, trainer: Trainer, task: LightningModule, batch: Any) -> None:
        if not spiking_layers(task.model):
            return
        samples, _, lengths = parts_of_batch(batch)
        devices = [samples.device] if samples.device.type == "cuda" else []
        # What an encoder draws here is not missing later.
        with torch.random.fork_rng(devices), trainer.precision_plugin.forward_context(), padded(lengths):
            report = activity_report(task.model, task.encode(samples, lengths))
        for layer in report:
            if layer.neurons is None or not trainer.is_global_zero:
                continue
            what = f"{layer.name or 'the model'} ({layer.kind})"
            if layer.verdict == "silent" or (layer.silent > MOST and layer.rate < FEW_HZ):
                warn(
                    f"Health: {what} starts with {layer.silent:.0%} of its neurons silent, at {layer.rate:.1f} Hz, and "
                    "silent neurons learn little: scale its weights with calibrate=50 (Hz) or tdn.calibrate, raise the "
                    "gain of the norm in front, or shorten its time constants"
                )
            elif layer.verdict == "saturated":
                warn(
                    f"Health: {what} starts with {layer.saturated:.0%} of its neurons firing in almost every step in "
                    "which they can, so they tell little: scale its weights down with calibrate=50 (Hz) or "
                    "tdn.calibrate"
                )


def recurrent_layers(model: nn.Module) -> dict[str, Network]:
    """The networks with a connection through time that are not inside others, by name."""
    found: dict[str, Network] = {}
    for name, module in model.named_modules():
        if isinstance(module, Network) and not any(name.startswith(f"{outer}.") or not outer for outer in found):
            found[name] = module
    return found


def growth_through_time(drive: Tensor | None, output: Tensor | None) -> float:
    """How much a gradient grows on its way back, as :class:`Health` has it; 0 where that cannot be told.

    Args:
        drive: norm of the gradient of the drive, at each step.
        output: that of the output, from the layers behind.

    Example:
        >>> growth_through_time(torch.tensor([64.0, 8.0, 1.0]), torch.tensor([0.0, 0.0, 2.0]))
        21.333...
    """
    if drive is None or output is None or len(drive) != len(output):
        return 0.0
    arrived = torch.nonzero(output > 0).flatten()
    if not len(arrived) or not drive[arrived[-1]] > 0:
        return 0.0
    last = int(arrived[-1])
    single = drive[last] / output[last]
    return float(drive.max() / (len(drive) * single * output.max()))
