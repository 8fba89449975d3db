"""The fast sodium channel."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...core.numerics import exprel
from ...core.quantities import Quantity
from ...core.state import register_state
from .channel import IonChannel, from_rates


@register_state
class SodiumGates(NamedTuple):
    """m: activation; h: inactivation; both [B, *]."""

    m: Tensor
    h: Tensor


class Sodium(IonChannel):
    r"""Fast sodium channel of the squid axon, :math:`p = m^3 h`.

    .. math::
        \alpha_m = \frac{0.1 (v + 40)}{1 - e^{-(v + 40) / 10}}, \quad \beta_m = 4 e^{-(v + 65) / 18}, \quad
        \alpha_h = 0.07 e^{-(v + 65) / 20}, \quad \beta_h = \frac{1}{1 + e^{-(v + 35) / 10}}

    At -40 mV :math:`\alpha_m` reads 0/0; its value there, 1 per ms, and its slope are exact.

    Args:
        g_max: conductance with all channels open, mS/cm^2.
        E_rev: reversal potential, mV.

    Raises:
        ValueError: if ``g_max`` is negative.

    Source: Hodgkin & Huxley (1952), J. Physiol. 117:500, with the potential of today, rest near -65 mV.
    """

    def __init__(self, g_max: Quantity = 120.0, E_rev: Quantity = 50.0):
        super().__init__(g_max, E_rev)

    def kinetics(self, v: Tensor) -> tuple[SodiumGates, SodiumGates]:
        m, tau_m = from_rates(1 / exprel(-(v + 40) / 10), 4 * torch.exp(-(v + 65) / 18))
        h, tau_h = from_rates(0.07 * torch.exp(-(v + 65) / 20), torch.sigmoid((v + 35) / 10))
        return SodiumGates(m, h), SodiumGates(tau_m, tau_h)

    def openness(self, gates: SodiumGates) -> Tensor:
        return gates.m**3 * gates.h
