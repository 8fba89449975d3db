"""Escape noise: a soft threshold."""

from typing import ClassVar

import torch
from torch import Tensor

from ..core.quantities import Positive, Quantity
from ..core.terms import Noise, NoiseState

_SMALLEST = 1e-12  # keeps the logarithm finite; the spike it would miss has a probability below 1e-12


class EscapeNoise(Noise):
    r"""Spikes at random, the more likely the higher the potential.

    .. math::
        p(\text{spike in } dt) = 1 - e^{-\rho\, dt}, \qquad \rho = \rho_0 e^{(v - v_{th}) / \Delta_u}

    A uniform number ``z`` per step moves the threshold by :math:`\Delta_u \ln(-\ln(1 - z) / (\rho_0 dt))`, which is
    the same law. So the surrogate of the cell serves as for a hard threshold; averaged over ``z``, the slope of a
    narrow one is that of the probability.

    Args:
        rho_0: rate at threshold, 1/ms.
        Delta_u: width of the threshold, as the potential; towards 0 the threshold becomes hard.

    Raises:
        ValueError: if a parameter is not positive.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 9.1; Jolivet et al. (2006), J. Comput. Neurosci. 21:35. The
    defaults are round values for a threshold of one, from no source.
    """

    as_current: ClassVar[bool] = False
    on_threshold: ClassVar[bool] = True

    def __init__(self, rho_0: Quantity = 0.1, *, Delta_u: Quantity = 0.1):
        super().__init__()
        self.rho_0 = Positive(rho_0, unit="1/ms")
        self.Delta_u = Positive(Delta_u)

    def threshold(self, value: NoiseState, v: Tensor, dt: float) -> Tensor:
        hazard = -torch.log1p(-self.uniform(value.key, v.dtype))
        return self.Delta_u() * torch.log(torch.clamp(hazard, min=_SMALLEST) / (self.rho_0() * dt))
