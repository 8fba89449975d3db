"""What an ion channel is: a conductance that gates open."""

from torch import Tensor

from ...core.quantities import NonNegative, Parametrized, Quantity, Real
from ...core.state import State


def from_rates(opening: Tensor, closing: Tensor) -> tuple[Tensor, Tensor]:
    r"""Steady state :math:`\alpha / (\alpha + \beta)` and time constant :math:`1 / (\alpha + \beta)` of a gate.

    Args:
        opening: rate alpha, per ms.
        closing: rate beta, per ms.

    Example:
        >>> import torch
        >>> from_rates(torch.tensor(0.25), torch.tensor(0.75))
        (tensor(0.2500), tensor(1.))
    """
    total = opening + closing
    return opening / total, 1 / total


class IonChannel(Parametrized):
    r"""Base of the ion channels of a :class:`HodgkinHuxley` membrane.

    .. math::
        I = g_{max}\, p(\mathrm{gates})\, (E_{rev} - v), \qquad
        \tau_x(v)\, \dot x = x_\infty(v) - x \quad \text{for each gate } x

    A subclass names its gates in a named tuple and writes :meth:`kinetics` and :meth:`openness`; a channel that is
    always open, such as a leak, writes neither. A channel holds no state: the membrane keeps
    the gates, each of the shape [B, \*] of the potential.

    Args:
        g_max: conductance with all channels open, mS/cm^2.
        E_rev: reversal potential, mV.

    Raises:
        ValueError: if ``g_max`` is negative.

    Source: Hodgkin & Huxley (1952), J. Physiol. 117:500; Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5.5.
    """

    def __init__(self, g_max: Quantity, E_rev: Quantity):
        super().__init__()
        self.g_max = NonNegative(g_max, unit="mS/cm^2")
        self.E_rev = Real(E_rev, unit="mV")

    def kinetics(self, v: Tensor) -> tuple[State, State]:
        """The steady state and the time constant (ms) of the gates at the potential ``v``; ``()`` without gates."""
        return (), ()

    def openness(self, gates: State) -> Tensor | float:
        """The open share of the channels, from 0 to 1."""
        return 1.0

    def conductance(self, gates: State) -> Tensor:
        """The conductance with the gates in this position, mS/cm^2."""
        return self.g_max() * self.openness(gates)
