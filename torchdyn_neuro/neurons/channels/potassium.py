"""The delayed-rectifier potassium channel."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...core.numerics import exprel
from ...core.quantities import Quantity
from ...core.state import register_state
from .channel import IonChannel, from_rates


@register_state
class PotassiumGates(NamedTuple):
    """n: activation, [B, *]."""

    n: Tensor


class Potassium(IonChannel):
    r"""Delayed-rectifier potassium channel of the squid axon, :math:`p = n^4`.

    .. math:: \alpha_n = \frac{0.01 (v + 55)}{1 - e^{-(v + 55) / 10}}, \quad \beta_n = 0.125 e^{-(v + 65) / 80}

    At -55 mV :math:`\alpha_n` reads 0/0; its value there, 0.1 per ms, and its slope are exact.

    Args:
        g_max: conductance with all channels open, mS/cm^2.
        E_rev: reversal potential, mV.

    Raises:
        ValueError: if ``g_max`` is negative.

    Source: Hodgkin & Huxley (1952), J. Physiol. 117:500, with the potential of today, rest near -65 mV.
    """

    def __init__(self, g_max: Quantity = 36.0, E_rev: Quantity = -77.0):
        super().__init__(g_max, E_rev)

    def kinetics(self, v: Tensor) -> tuple[PotassiumGates, PotassiumGates]:
        n, tau_n = from_rates(0.1 / exprel(-(v + 55) / 10), 0.125 * torch.exp(-(v + 65) / 80))
        return PotassiumGates(n), PotassiumGates(tau_n)

    def openness(self, gates: PotassiumGates) -> Tensor:
        return gates.n**4
