"""How much the neurons fire."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from ...activity.layers import fired, spiking_layers
from ...core.checks import fraction


class Activity(Callback):
    """Logs, over the validation data and for each layer, its mean rate in Hz and its idle and saturated neurons.

    Tags: ``rate_hz/<layer>``; ``dead/<layer>``: share of the neurons that never fired; ``saturated/<layer>``: share of
    those that fired in more than ``saturation`` of all steps.

    Args:
        saturation: share of steps beyond which a neuron counts as saturated.
    """

    def __init__(self, saturation: float = 0.95):
        super().__init__()
        self.saturation = fraction("Activity", "saturation", saturation, of="all steps")
        self.fired: dict[str, Tensor] = {}
        self.steps: dict[str, int] = {}
        self.hooks: list[Any] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.fired, self.steps = {}, {}
        for name, layer in spiking_layers(pl_module.model).items():
            self.hooks.append(layer.register_forward_hook(self._counter(name)))

    def _counter(self, name: str) -> Any:
        def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            spikes, steps = fired(output)
            self.fired[name] = self.fired.get(name, 0) + spikes.flatten()
            self.steps[name] = self.steps.get(name, 0) + steps

        return count

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()
        layers = spiking_layers(pl_module.model)
        for name, spikes in self.fired.items():
            share = spikes / self.steps[name]
            pl_module.log(f"rate_hz/{name}", share.mean() * 1000 / layers[name].dt, sync_dist=True)
            pl_module.log(f"dead/{name}", (share == 0).double().mean(), sync_dist=True)
            pl_module.log(f"saturated/{name}", (share > self.saturation).double().mean(), sync_dist=True)
