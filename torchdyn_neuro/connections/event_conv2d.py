"""A convolution for spikes."""

import torch
from torch import Tensor, nn

from ..core.fits import check_fits
from ..core.inputs import check_tensor
from ..sparse.event_convolution import event_conv2d, out_size
from ..sparse.event_product import can_gather
from .event_driven import EventDriven

_FEWEST_OUTPUTS = 16
_LEAST_WORK = 2**20
"""Outputs, and multiplications of the dense convolution, below which it is the faster one at any activity."""


class EventConv2d(EventDriven, nn.Conv2d):
    r"""An ``nn.Conv2d`` for spikes: forward and in the weights' gradient it touches what active entries reach only.

    .. math:: y_{o}(p) = b_o + \sum_{q, c : x_c(p + q) \ne 0} W_{oc}(q)\, x_c(p + q), \qquad
        \frac{\partial L}{\partial W_{oc}(q)}
        = \sum_{p : x_c(p + q) \ne 0} \frac{\partial L}{\partial y_o(p)} x_c(p + q)

    Both sums are those of ``nn.Conv2d`` up to rounding, for counts and any other values as for spikes; the gradient of
    the input, which needs every weight, is the dense one. With a tenth of the inputs active, 64 channels to 64 take
    about a third of the dense time. Used on a CPU with a C++ compiler, outside autocast, for one group and padding with
    zeros, where the layer is large enough to gain and the share of active inputs, looked up in a sample, is at most
    ``most_active``; in all other cases the dense convolution is taken. The output of the event-driven way lies channels
    last, as the loops of neurons take it without a copy.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size, stride, padding, dilation, groups, bias, padding_mode: as in ``nn.Conv2d``.
        most_active: highest share of active inputs at which it works event by event, from 0 (never) to 1.
        device, dtype: as in ``nn.Conv2d``.

    Shape:
        - input: [N, in_channels, H, W]; sequences [T, B, C, H, W] go through ``Stepwise(EventConv2d(...))``
        - output: [N, out_channels, H_out, W_out]

    Raises:
        ValueError: if ``most_active`` is not from 0 to 1; from ``forward`` for an input of another shape.
        TypeError: from ``forward`` for what is no tensor of the weights' type, such as whole numbers.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> layer = tdn.Stepwise(EventConv2d(8, 32, 3, padding=1))
        >>> layer((torch.rand(10, 4, 8, 16, 16) < 0.05).float()).shape
        torch.Size([10, 4, 32, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        most_active: float = 0.2,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )
        self.drive_by_events(most_active)

    @classmethod
    def from_conv2d(cls, convolution: nn.Conv2d, *, most_active: float = 0.2) -> "EventConv2d":
        """The same layer, with the very parameters (and hooks) of ``convolution``.

        Args:
            convolution: the layer; it goes on working, and trains the same parameters.
            most_active: as in the class.
        """
        return cls.sharing(convolution, most_active)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor("EventConv2d", x, f"a tensor [N, {self.in_channels}, H, W]")
        check_fits("EventConv2d", self, x)
        if x.ndim > 4:
            raise ValueError(
                f"EventConv2d: expected an input [N, {self.in_channels}, H, W], got shape {tuple(x.shape)}; for a "
                "sequence use Stepwise(EventConv2d(...))"
            )
        padding = self._zeros_at_each_side()
        gains = (
            self.most_active > 0
            and self.groups == 1
            and padding is not None
            and self.out_channels >= _FEWEST_OUTPUTS
            and x.ndim == 4
        )
        if not gains or not can_gather(x, self.weight):
            return super().forward(x)
        axes = zip(x.shape[2:], self.kernel_size, self.stride, padding, self.dilation, strict=True)
        height, width = (out_size(*axis) for axis in axes)
        if height < 1 or width < 1 or x.shape[0] * height * width * self.weight.numel() < _LEAST_WORK:
            return super().forward(x)
        return event_conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.most_active)

    def _zeros_at_each_side(self) -> tuple[int, int] | None:
        """How many zeros stand above and below, left and right; ``None`` where it is no such padding."""
        if self.padding_mode != "zeros":
            return None
        if not isinstance(self.padding, str):
            return self.padding
        if self.padding == "valid":
            return 0, 0
        both = [dilation * (size - 1) for dilation, size in zip(self.dilation, self.kernel_size, strict=True)]
        return None if any(zeros % 2 for zeros in both) else (both[0] // 2, both[1] // 2)
