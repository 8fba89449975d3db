"""The leak."""

from ...core.quantities import Quantity
from .channel import IonChannel


class Leak(IonChannel):
    r"""Channels that are always open: :math:`I = g_L (E_L - v)`.

    Args:
        g_max: leak conductance, mS/cm^2.
        E_rev: leak reversal potential, mV.

    Raises:
        ValueError: if ``g_max`` is negative.

    Source: Hodgkin & Huxley (1952), J. Physiol. 117:500, with the potential of today, rest near -65 mV.
    """

    def __init__(self, g_max: Quantity = 0.3, E_rev: Quantity = -54.387):
        super().__init__(g_max, E_rev)
