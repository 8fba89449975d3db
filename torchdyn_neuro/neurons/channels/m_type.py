"""The slow (M-type) potassium channel."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity
from ...core.state import register_state
from .channel import IonChannel


@register_state
class MTypeGates(NamedTuple):
    """p: activation, [B, *]."""

    p: Tensor


class MType(IonChannel):
    r"""Slow potassium channel that does not inactivate; it adapts the firing rate.

    .. math::
        p_\infty = \frac{1}{1 + e^{-(v + 35) / 10}}, \qquad
        \tau_p = \frac{\tau_{max}}{3.3 e^{(v + 35) / 20} + e^{-(v + 35) / 20}}

    Args:
        g_max: conductance with all channels open, mS/cm^2.
        E_rev: reversal potential, mV.
        tau_max: scale of the time constant, ms.

    Raises:
        ValueError: if ``g_max`` is negative or ``tau_max`` not positive.

    Source: Yamada, Koch & Adams (1989), in Methods in Neuronal Modeling, ch. 4; parameters of the regular-spiking
    cortical cell of Pospischil et al. (2008), Biol. Cybern. 99:427, Fig. 2.
    """

    def __init__(self, g_max: Quantity = 0.075, E_rev: Quantity = -90.0, *, tau_max: Quantity = 608.0):
        super().__init__(g_max, E_rev)
        self.tau_max = Positive(tau_max, unit="ms")

    def kinetics(self, v: Tensor) -> tuple[MTypeGates, MTypeGates]:
        tau = self.tau_max() / (3.3 * torch.exp((v + 35) / 20) + torch.exp(-(v + 35) / 20))
        return MTypeGates(torch.sigmoid((v + 35) / 10)), MTypeGates(tau)

    def openness(self, gates: MTypeGates) -> Tensor:
        return gates.p
