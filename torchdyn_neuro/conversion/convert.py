"""A trained network of ReLUs as a network of spiking neurons."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..activity import CurrentScale
from ..core.checks import fraction, positive_number
from ..core.fits import check_model
from ..core.state import state_dtype
from ..core.stepwise import Stepwise
from ..layers import SpikingMaxPool2d
from ..neurons import IF
from .folding import folded
from .steps import LINEAR, RECTIFIERS, Step, steps_of
from .thresholds import check_followed, thresholds


def convert(
    model: nn.Module,
    data: Tensor | Iterable[Any],
    *,
    percentile: float = 99.9,
    v_init: float = 0.5,
    dt: float = 1.0,
) -> nn.Module:
    r"""A network of integrate-and-fire neurons whose rates are the activations of a trained network of ReLUs.

    .. math:: \frac{1}{T} \sum_t \lambda_l\, s_l(t) \to a_l = \max(0, W_l a_{l-1} + b_l) \quad \text{up to } \lambda_l

    Each ReLU becomes an :class:`IF` with the threshold :math:`\lambda_l` (threshold balancing), below which almost all
    its activations on data lie; a spike subtracts the threshold, so that what is above is not lost, and stands for
    :math:`\lambda_l`, by which the next weights are multiplied. Potentials start at half the threshold, which makes
    the error of a finite time one of rounding. Batch norms go into the weights in front of them. Max pooling takes the
    largest count (:class:`~torchdyn_neuro.layers.SpikingMaxPool2d`).

    Show an image as a constant current (:class:`~torchdyn_neuro.encoding.DirectCurrent`), and read the mean of the
    output over time, for example by ``MeanMembrane``.

    Args:
        model: a trained network of linear layers, convolutions, batch norms behind them, ReLUs, average pooling, 2d max
            pooling, flattening, dropout and sums (of a shortcut), as an ``nn.Sequential`` or any module that torch.fx
            can follow; it stays as it is.
        data: inputs [B, \*] like those of training, or batches of them, such as a data loader gives.
        percentile: per cent of the activations of a layer that lie below its threshold. Lower ones make a network that
            is right sooner, and cut off more.
        v_init: potential at the start, as a share of the threshold, from 0 to 1.
        dt: time step, ms.

    Returns:
        A module that maps [T, B, \*] to [T, B, \*], in evaluation mode, for inputs like the data.

    Raises:
        TypeError: if the model is none, or the data hold no tensors.
        ValueError: if the model holds what cannot be converted, by name, or does what its layers one by one do not, or
            the data are empty or not finite, or a number is not usable.

    Source: Diehl et al. (2015), IJCNN (conversion with balanced weights); Rueckauer et al. (2017), Front. Neurosci.
    11:682 (percentile, reset by subtraction, batch norms); Bu et al. (2022), ICLR (start at half the threshold).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> x = torch.rand(100, 4)
        >>> spiking = convert(net, x)
        >>> y = spiking(x.expand(200, 100, 4)).mean(0)
        >>> bool((y - net(x)).abs().max() < 0.02)
        True
    """
    check_model("convert", model)
    if not 0 < positive_number("convert", "percentile", percentile) <= 100:
        raise ValueError(f"convert: expected a percentile up to 100, got {percentile!r}; pass e.g. 99.9")
    fraction("convert", "v_init", v_init, of="the threshold")
    steps, result = steps_of(model)
    x = _inputs(data)
    check_followed(model, steps, result, x)
    steps = folded(steps, result)
    return _Conversion(thresholds(steps, x, percentile), v_init, dt, x).run(steps, result)


def _inputs(data: Any) -> Tensor:
    batches = [data] if isinstance(data, Tensor) else list(data)
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in batches]
    if not batches or not all(isinstance(batch, Tensor) for batch in batches):
        raise TypeError(
            "convert: expected a batch of inputs as a tensor, or batches whose first part is one, got "
            f"{type(data).__name__}; pass for example the training images"
        )
    x = torch.cat(batches)
    if not x.is_floating_point() or not x.numel() or not torch.isfinite(x).all():
        raise ValueError(
            f"convert: expected finite inputs in floats, at least one, got shape {tuple(x.shape)} in {x.dtype}"
            f"{' with NaN or infinity' if x.is_floating_point() and x.numel() else ''}; pass what the model was "
            "trained on"
        )
    return x


class _Conversion:
    """Writes the spiking network; ``units`` holds what 1 stands for in the output of each step."""

    def __init__(self, levels: dict[str, float], v_init: float, dt: float, x: Tensor):
        self.levels, self.v_init, self.dt = levels, v_init, dt
        self.place = {"device": x.device, "dtype": state_dtype(x)}
        self.graph, self.root = fx.Graph(), nn.Module()
        self.nodes: dict[str, fx.Node] = {}
        self.units: dict[str, float] = {}

    def run(self, steps: list[Step], result: str) -> nn.Module:
        for step in steps:
            if not step.inputs:
                self.nodes[step.name], self.units[step.name] = self.graph.placeholder(step.name), 1.0
            elif step.layer is None:
                first, second = (self.in_ones(name) for name in step.inputs)
                self.nodes[step.name] = self.graph.call_function(torch.add, (first, second))
                self.units[step.name] = 1.0
            else:
                self.add(step)
        self.graph.output(self.in_ones(result))
        return fx.GraphModule(self.root, self.graph, "SpikingNetwork").eval()

    def add(self, step: Step) -> None:
        """The layer of a step for sequences, and what its output stands for."""
        source, unit, layer = self.nodes[step.inputs[0]], self.units[step.inputs[0]], step.layer
        if isinstance(layer, LINEAR):
            with torch.no_grad():
                layer.weight.mul_(unit)
            layer, unit = layer if isinstance(layer, nn.Linear) else Stepwise(layer), 1.0
        elif isinstance(layer, RECTIFIERS):
            source, level = self.in_ones(step.inputs[0]), self.levels[step.name]
            layer, unit = IF(v_th=level, v_init=self.v_init * level, dt=self.dt, C=self.dt), level
            layer.to(**self.place)
        elif isinstance(layer, nn.MaxPool2d):
            layer = SpikingMaxPool2d(
                layer.kernel_size,
                layer.stride,
                layer.padding,
                dilation=layer.dilation,
                ceil_mode=layer.ceil_mode,
                dt=self.dt,
            )
        elif isinstance(layer, nn.Flatten):
            layer = Stepwise(layer)
        elif isinstance(layer, (nn.Identity, nn.Dropout)) or type(layer).__name__.startswith("Dropout"):
            self.nodes[step.name], self.units[step.name] = source, unit
            return
        else:
            layer = Stepwise(layer)
        self.root.add_module(step.name, layer)
        self.nodes[step.name], self.units[step.name] = self.graph.call_module(step.name, (source,)), unit

    def in_ones(self, name: str) -> fx.Node:
        """The output of a step in its own unit."""
        node, unit = self.nodes[name], self.units[name]
        if unit == 1.0:
            return node
        scale = f"{name}_scale"
        if not hasattr(self.root, scale):
            self.root.add_module(scale, CurrentScale(unit).to(**self.place))
        return self.graph.call_module(scale, (node,))
