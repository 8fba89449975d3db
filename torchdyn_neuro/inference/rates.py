"""How fast the layers of a model fire, while it runs."""

from functools import partial

import torch
from torch import Tensor, nn

from ..activity.layers import spiking_layers
from ..core.context import real_steps
from ..core.lengths import fill_padding
from ..core.state import State, first_leaf


class RateMeter:
    r"""Reads inside a ``with`` block how fast each spiking layer fires, row by row.

    .. math:: r = \frac{\text{spikes}}{\text{neurons} \cdot \text{steps} \cdot dt}

    Args:
        model: any model with spiking layers; none is an empty reading.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> with RateMeter(model := tdn.LIF()) as meter:
        ...     y = model(torch.full((100, 1, 2), 2.0))
        >>> meter.read()[""].tolist()
        [70.0]
    """

    def __init__(self, model: nn.Module):
        self.layers = spiking_layers(model)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._spikes: dict[str, Tensor] = {}
        self._time: dict[str, Tensor] = {}

    def __enter__(self) -> "RateMeter":
        self._hooks = [layer.register_forward_hook(partial(self._see, name)) for name, layer in self.layers.items()]
        return self

    def __exit__(self, *error: object) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    def read(self) -> dict[str, Tensor]:
        """The rate of each layer in each row since the last reading, Hz [B]; the next one begins anew."""
        rates = {name: spikes / self._time[name] for name, spikes in self._spikes.items()}
        self._spikes, self._time = {}, {}
        return rates

    @torch.no_grad()
    def _see(self, name: str, layer: nn.Module, inputs: tuple, output: State) -> None:
        y, lengths = first_leaf(output), real_steps()
        rows = y.shape[1]
        steps = torch.full((rows,), float(len(y))) if lengths is None else lengths.double().cpu()
        # In seconds of all neurons together.
        time = steps.double() * layer.dt / 1e3 * y[0, 0].numel()
        spikes = fill_padding(y, lengths).double().sum(0).flatten(1).sum(1).cpu()
        if name in self._spikes:
            spikes, time = spikes + self._spikes[name], time + self._time[name]
        self._spikes[name], self._time[name] = spikes, time
