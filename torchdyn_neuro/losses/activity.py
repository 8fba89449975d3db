"""What the spiking layers of a model have done in a pass, with gradients, and what a price on it is."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..activity.layers import hooked, spiking_layers
from ..core.checks import positive_number
from ..core.context import real_steps
from ..core.dynamics import Dynamics
from ..core.lengths import check_lengths, step_counts, total
from ..core.state import State, first_leaf


class LayerSpikes(NamedTuple):
    """What one spiking layer put out in a pass.

    name: of the layer in the model; spikes: [T, B, *], with their gradient; lengths: real steps of each row, [B], or
    None; dt: time step, ms.
    """

    name: str
    spikes: Tensor
    lengths: Tensor | None
    dt: float

    def share(self) -> Tensor:
        """The share of its real steps in which each neuron fired, averaged over the rows, [neurons]."""
        fired = total(self.spikes, self.lengths) / step_counts(self.spikes, self.lengths)
        return fired.mean(0).flatten()


@contextmanager
def watching(model: nn.Module) -> Iterator[list[LayerSpikes]]:
    """Keep what every spiking layer of a model puts out inside a ``with`` block, for terms of a loss.

    Layers are seen wherever :func:`torchdyn_neuro.activity_report` sees them: in an ``nn.Sequential``, a ``Chain``, a
    ``Recurrent``, a ``Stepwise``, or modules of one's own.

    Args:
        model: any model with spiking layers.

    Raises:
        ValueError: if it has none.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 8), tdn.LIF(), nn.Linear(8, 2), tdn.LeakyIntegrator())
        >>> with watching(model) as activity:
        ...     y = model(torch.rand(10, 4, 3))
        >>> penalty = tdn.losses.RateBounds(lower=5.0, upper=50.0)
        >>> (tdn.losses.MembraneCrossEntropy()(y, torch.tensor([0, 1, 0, 1])) + penalty(activity)).backward()
    """
    layers = spiking_layers(model)
    if not layers:
        raise ValueError(
            f"watching: expected a model with spiking layers, got none in {type(model).__name__}; leave out what is to "
            "be said of their spikes"
        )
    seen: list[LayerSpikes] = []

    def keep(name: str, layer: Dynamics, inputs: tuple, output: State) -> None:
        spikes, lengths = first_leaf(output), real_steps()
        if lengths is not None:
            lengths = check_lengths("watching", lengths, spikes.shape[1], len(spikes))
        seen.append(LayerSpikes(name, spikes, lengths, layer.dt))

    with hooked([partial(layer.register_forward_hook, partial(keep, name)) for name, layer in layers.items()]):
        yield seen


class ActivityPenalty(nn.Module):
    r"""Base of the prices on what the spiking layers of a model do.

    .. math:: P = strength \sum_{layers} \mathrm{price}(layer)

    Args:
        strength: factor of the sum.
        layers: names of the layers that are judged, as in the model; all of them if omitted.

    Shape:
        - input: what :func:`watching` has kept
        - output: scalar

    Raises:
        ValueError: if ``strength`` is negative; from ``forward`` if a named layer was not seen.
    """

    def __init__(self, *, strength: float = 1.0, layers: Sequence[str] | None = None):
        super().__init__()
        self.strength = positive_number(type(self).__name__, "strength", strength, zero=True)
        self.layers = None if layers is None else tuple(layers)

    @abstractmethod
    def price(self, layer: LayerSpikes) -> Tensor:
        """The price of what one layer did."""

    def forward(self, activity: Sequence[LayerSpikes]) -> Tensor:
        names = [layer.name for layer in activity]
        missing = [name for name in (self.layers or ()) if name not in names]
        if missing or not activity:
            wanted = repr(missing[0]) if missing else "at least one layer"
            raise ValueError(
                f"{type(self).__name__}: expected the spikes of {wanted}, got those of {', '.join(names) or 'none'}; "
                "run the model inside the block of watching(model), and name its layers as it does"
            )
        judged = [layer for layer in activity if self.layers is None or layer.name in self.layers]
        return self.strength * torch.stack([self.price(layer) for layer in judged]).sum()

    def extra_repr(self) -> str:
        chosen = "" if self.layers is None else f", layers={list(self.layers)}"
        return f"strength={self.strength:g}{chosen}"
