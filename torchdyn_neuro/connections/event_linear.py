"""A linear layer for spikes."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.fits import check_fits
from ..core.inputs import check_tensor
from ..sparse.event_product import can_gather, event_linear
from .event_driven import EventDriven

_FEWEST_OUTPUTS = 96
_FEWEST_ROWS = 128
_LEAST_WORK = 2**18
"""Outputs, rows and multiplications of the dense product, below which it is the faster one at any activity."""


class EventLinear(EventDriven, nn.Linear):
    r"""An ``nn.Linear`` for spikes: forward and backward it touches the weights of active neurons only.

    .. math:: y_i = b_i + \sum_{j : x_j \ne 0} W_{ij} x_j, \qquad
        \frac{\partial L}{\partial W_{ij}} = \sum_{x_j \ne 0} \frac{\partial L}{\partial y_i} x_j

    Both sums are those of ``nn.Linear`` up to rounding, for counts and any other values as for spikes; the gradient of
    the input, which needs every weight, is the dense product. With a tenth of the inputs active, the products take
    about a third of the dense time. Columns are gathered on a CPU with a C++ compiler, outside autocast, where the
    layer and the number of rows T B are large enough to gain (a call copies the weights column by column first) and the
    share of active inputs, looked up in a sample of the rows, is at most ``most_active``; in all other cases the dense
    product is taken.

    Args:
        in_features: number of presynaptic neurons.
        out_features: number of postsynaptic neurons.
        bias: whether a bias is added.
        most_active: highest share of active inputs at which columns are gathered, from 0 (never) to 1.
        device, dtype: as in ``nn.Linear``.

    Shape:
        - input: [T, B, in_features] or any [\*, in_features]
        - output: [T, B, out_features]

    Raises:
        ValueError: if ``most_active`` is not from 0 to 1; from ``forward`` for an input of another width.
        TypeError: from ``forward`` for what is no tensor of the weights' type, such as whole numbers.

    Example:
        >>> layer = EventLinear(1000, 200)
        >>> layer((torch.rand(50, 4, 1000) < 0.02).float()).shape
        torch.Size([50, 4, 200])
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, which the loop of a recurrent layer computes in its own way."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        most_active: float = 0.2,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.drive_by_events(most_active)

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, most_active: float = 0.2) -> "EventLinear":
        """The same layer, with the very parameters (and hooks) of ``linear``.

        Args:
            linear: the layer; it goes on working, and trains the same parameters.
            most_active: as in the class.
        """
        return cls.sharing(linear, most_active)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor("EventLinear", x, f"a tensor [*, {self.in_features}]")
        check_fits("EventLinear", self, x)
        gains = (
            self.most_active > 0
            and self.out_features >= _FEWEST_OUTPUTS
            and x.numel() * self.out_features >= _LEAST_WORK
            and x.ndim > 1
            and x.numel() >= _FEWEST_ROWS * self.in_features
        )
        if not gains or not can_gather(x, self.weight):
            return super().forward(x)
        return event_linear(x, self.weight, self.bias, self.most_active)
