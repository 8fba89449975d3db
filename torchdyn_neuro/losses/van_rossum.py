"""The distance of spike trains."""

import math

import torch
from torch import Tensor, nn

from ..core.checks import positive_number
from ..core.lengths import check_lengths, fill_padding, last, total
from ..synapses import ExponentialSynapse


class VanRossumDistance(nn.Module):
    r"""The squared van Rossum distance of spike trains from those wanted, averaged over rows and neurons.

    .. math:: D^2 = \frac{1}{\tau} \int_0^\infty \bigl(f(t) - g(t)\bigr)^2 dt, \qquad
        f(t) = \sum_{t_k \le t} e^{-(t - t_k)/\tau}

    and g alike for the other train. For spikes on the grid the integral is exact: between two steps the difference
    decays, and after the last one it dies out. A spike too many or too few costs 1/2; one that is late by
    :math:`\delta` costs :math:`1 - e^{-\delta/\tau}`.

    Args:
        tau: time constant, ms; trains are compared by their spike times if it is short, by their counts if it is long.
        dt: time step, ms.

    Shape:
        - input: spikes [T, B, \*], wanted spikes of the same shape, and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive, or the shapes differ.

    Source: van Rossum (2001), Neural Comput. 13:751.

    Example:
        >>> late, wanted = torch.tensor([0.0, 1.0]).reshape(2, 1, 1), torch.tensor([1.0, 0.0]).reshape(2, 1, 1)
        >>> VanRossumDistance(tau=1.0)(late, wanted)  # 1 - 1/e
        tensor(0.6321)
    """

    def __init__(self, *, tau: float = 10.0, dt: float = 1.0):
        super().__init__()
        self.tau = positive_number("VanRossumDistance", "tau", tau, unit="ms")
        self.trace = ExponentialSynapse(tau, dt=dt)

    @property
    def dt(self) -> float:
        """Time step, ms."""
        return self.trace.dt

    def forward(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> Tensor:
        if y.shape != target.shape or y.ndim < 2:
            raise ValueError(
                f"VanRossumDistance: expected wanted spikes of the shape of the outputs [T, B, *], got "
                f"{tuple(target.shape)} for {tuple(y.shape)}; give each neuron its train"
            )
        if lengths is not None:
            lengths = check_lengths("VanRossumDistance", lengths, y.shape[1], len(y)).to(y.device)
        # Filters are linear: the difference of the traces is the trace of the difference.
        apart = fill_padding(y, lengths) - fill_padding(target.to(y.dtype), lengths)
        squares = self.trace(apart).square()
        fade = math.exp(-2 * self.dt / self.tau)
        distance = ((1 - fade) * total(squares, lengths) + fade * last(squares, lengths)) / 2
        return torch.mean(distance)
