"""The transient (A-type) potassium channel."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...core.quantities import Quantity
from ...core.state import register_state
from .channel import IonChannel


@register_state
class ATypeGates(NamedTuple):
    """a: activation; b: inactivation; both [B, *]."""

    a: Tensor
    b: Tensor


class AType(IonChannel):
    r"""Transient potassium channel of Connor and Stevens, :math:`p = a^3 b`; it delays the first spike.

    .. math::
        a_\infty = \left(\frac{0.0761\, e^{0.0314 (v + 94.22)}}{1 + e^{0.0346 (v + 1.17)}}\right)^{1/3}, \quad
        \tau_a = 0.3632 + \frac{1.158}{1 + e^{0.0497 (v + 55.96)}}, \\
        b_\infty = \left(\frac{1}{1 + e^{0.0688 (v + 53.3)}}\right)^4, \quad
        \tau_b = 1.24 + \frac{2.678}{1 + e^{0.0624 (v + 50)}}

    Args:
        g_max: conductance with all channels open, mS/cm^2.
        E_rev: reversal potential, mV.

    Raises:
        ValueError: if ``g_max`` is negative.

    Source: Connor & Stevens (1971), J. Physiol. 213:31; in the form of Dayan & Abbott (2001), Theoretical Neuroscience,
    ch. 6, appendix.
    """

    def __init__(self, g_max: Quantity = 47.7, E_rev: Quantity = -75.0):
        super().__init__(g_max, E_rev)

    def kinetics(self, v: Tensor) -> tuple[ATypeGates, ATypeGates]:
        opened = 0.0761 * torch.exp(0.0314 * (v + 94.22)) * torch.sigmoid(-0.0346 * (v + 1.17))
        steady = ATypeGates(a=opened ** (1 / 3), b=torch.sigmoid(-0.0688 * (v + 53.3)) ** 4)
        tau_a = 0.3632 + 1.158 * torch.sigmoid(-0.0497 * (v + 55.96))
        tau_b = 1.24 + 2.678 * torch.sigmoid(-0.0624 * (v + 50))
        return steady, ATypeGates(tau_a, tau_b)

    def openness(self, gates: ATypeGates) -> Tensor:
        return gates.a**3 * gates.b
