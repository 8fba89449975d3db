"""What the residual blocks share: a convolution with what belongs to it."""

from torch import nn

from ..activity import CurrentScale
from ..core.checks import whole_number
from ..core.stepwise import Stepwise
from .normalization import normalization


def convolution(
    owner: str, inputs: int, outputs: int, *, size: int = 3, stride: int = 1, norm: str = "batch", alpha: float = 1.0
) -> dict[str, nn.Module]:
    """A convolution that keeps the image's size but for the stride, and its norm, by name."""
    for name, number in (("in_channels", inputs), ("channels", outputs), ("stride", stride)):
        whole_number(owner, name, number, 1)
    conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=norm == "none")
    return {"conv": Stepwise(conv), "norm": normalization(owner, norm, outputs, 2, alpha=alpha)}


def numbered(parts: dict[str, nn.Module], index: int) -> dict[str, nn.Module]:
    """The names of ``parts`` with a number behind."""
    return {f"{name}{index}": layer for name, layer in parts.items()}


def driven(neuron: nn.Module) -> dict[str, nn.Module]:
    """Neurons behind the unit of their current, by name."""
    return {"current": CurrentScale(), "neuron": neuron}
