"""Named layers, one after the other."""

from collections.abc import Mapping

from torch import Tensor, nn

from ..core.steady import over_steady
from ..core.stepwise import holds_dynamics


class InOrder(nn.Module):
    r"""Named layers, one after the other; the frame of a constant sequence passes those in front of dynamics once.

    Args:
        layers: names and layers, of which ``None`` is left out.

    Shape:
        - input: [T, B, \*]
        - output: [T, B, \*]
    """

    def __init__(self, layers: Mapping[str, nn.Module | None]):
        super().__init__()
        for name, layer in layers.items():
            if layer is not None:
                self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x) if holds_dynamics(layer) else over_steady(layer, x, layer)
        return x
