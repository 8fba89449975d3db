"""The axonal delay."""

from typing import ClassVar

import torch
from torch import Tensor

from ..core.quantities import Quantity
from .delay_line import DelayLine


class Delay(DelayLine):
    r"""Axonal delay: each presynaptic neuron is heard later.

    .. math:: y(t) = x(t - d)

    A delay of a whole number of steps shifts the input bit for bit. Between two steps ``kernel="linear"`` interpolates
    the two frames, whose difference is the gradient of a learned delay. It sees one step far; to find lags further
    away, ``kernel="gaussian"`` averages frames with the weights :math:`e^{-(l - d)^2 / 2 \sigma^2}`, normalised over
    the buffer, and :meth:`anneal` makes :math:`\sigma` small while training goes on. The line of past frames is the
    state. Inside ``Recurrent`` the delay adds to the one step that every recurrent connection takes.

    Args:
        delay: delay, ms; one for all or one per neuron. A fixed one is rounded to a whole number of steps only where
            it misses it by rounding error.
        max_delay: what the buffer holds, ms; the longest fixed delay if omitted. A learned delay stays below it.
        kernel: ``"linear"`` or ``"gaussian"``.
        width: standard deviation of the Gaussian at the start, ms; a quarter of ``max_delay`` if omitted.
        final_width: its standard deviation at the end of annealing, ms; half a step if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*]
        - state: history [B, steps, \*]
        - output: [T, B, \*], zero before the first input has come through

    Raises:
        ValueError: if a delay is negative or longer than ``max_delay``, or learned without ``max_delay``; if a width is
            not positive, or given with ``kernel="linear"``.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier (2024), ICLR (Gaussian kernels and their annealing).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.Delay(2.0)(torch.arange(1.0, 6.0).reshape(5, 1, 1)).flatten()
        tensor([0., 0., 1., 2., 3.])
    """

    plain_line: ClassVar[bool] = True

    def __init__(
        self,
        delay: Quantity = 5.0,
        *,
        max_delay: float | None = None,
        kernel: str = "linear",
        width: float | None = None,
        final_width: float | None = None,
        dt: float = 1.0,
    ):
        super().__init__(delay, max_delay=max_delay, kernel=kernel, width=width, final_width=final_width, dt=dt)

    def read(self, line: Tensor) -> Tensor:
        (lag, *lags), (share, *shares) = self.taps()
        y = share * self._frames_before(line, lag)
        for lag, share in zip(lags, shares, strict=True):
            y = y + share * self._frames_before(line, lag)
        return y

    def _frames_before(self, line: Tensor, lag: Tensor) -> Tensor:
        """The frames ``lag`` steps ago, [T, B, \\*]."""
        times = torch.arange(self.steps, line.shape[0], device=line.device)
        if lag.ndim == 0:
            return line.index_select(0, times - lag)
        times = times.reshape(-1, *[1] * (line.ndim - 1))
        return line.gather(0, (times - lag).expand(-1, *line.shape[1:]))
