"""Max pooling of spike trains by what they have summed up to."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.state import register_state, state_dtype
from .timed_layer import TimedLayer


@register_state
class PoolState(NamedTuple):
    """total: the sum of the inputs so far, [B, *]."""

    total: Tensor


class SpikingMaxPool2d(TimedLayer):
    r"""Max pooling whose outputs add up to the largest sum of the inputs in each window.

    .. math:: y_t = \max_{i \in w} \sum_{s \le t} x_{s,i} - \max_{i \in w} \sum_{s < t} x_{s,i}

    Of spikes it puts out spikes, as many as the busiest neuron of the window has fired; a maximum taken in each step
    alone would count every step in which any of them fires. In training the gradient goes to the leading neuron.

    Args:
        kernel_size: height and width of a window.
        stride: step from window to window; ``kernel_size`` if omitted.
        padding: rows and columns around the image, which never lead.
        dilation: step between the pixels of a window.
        ceil_mode: whether windows may reach beyond the edge.
        dt: time step, ms; it only has to be that of its neighbours.

    Shape:
        - input: [T, B, C, H, W]
        - state: the sums [B, C, H, W]
        - output: [T, B, C, H', W'] as ``nn.MaxPool2d``

    Raises:
        ValueError: from ``forward`` for what is no image.

    Source: Li & Zeng (2022), IJCAI (lateral inhibition pooling, whose outputs have the same sum).

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).reshape(3, 1, 1, 1, 2)
        >>> SpikingMaxPool2d((1, 2))(x).flatten()
        tensor([1., 0., 1.])
    """

    _keeps_width = False

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        *,
        dilation: int | tuple[int, int] = 1,
        ceil_mode: bool = False,
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def initial_state(self, x_t: Tensor) -> PoolState:
        return PoolState(torch.zeros_like(x_t, dtype=state_dtype(x_t)))

    def advance(self, x: Tensor, state: PoolState, *, fresh: bool) -> tuple[Tensor, PoolState]:
        totals = torch.cat([state.total.unsqueeze(0), x.to(state.total.dtype)]).cumsum(0)
        largest = torch.nn.functional.max_pool2d(
            totals.flatten(0, 1), self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        return largest.unflatten(0, totals.shape[:2]).diff(dim=0).to(x.dtype), PoolState(totals[-1])

    def check_input(self, x: Tensor) -> None:
        super().check_input(x)
        if x.ndim != 5:
            raise ValueError(
                f"{type(self).__name__}: expected images over time [T, B, C, H, W], got shape {tuple(x.shape)}; keep "
                "their axes"
            )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, {super().extra_repr()}"
