"""The leaky integrate-and-fire neuron with a soft threshold."""

from typing import Unpack

from ..core.quantities import Alias, Quantity
from ..noise import EscapeNoise
from .lif import LIF, NoisyLIFOptions


class EscapeLIF(LIF):
    r"""Escape-rate neuron: a leaky integrator that spikes at random, the more likely the higher its potential.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R I, \qquad
        p(\text{spike in } dt) = 1 - e^{-\rho\, dt}, \quad \rho = \rho_0 e^{(v - v_{th}) / \Delta_u}

    It is ``LIF(noise=EscapeNoise(...))`` by name.

    Args:
        tau_mem: membrane time constant, ms.
        rho_0: rate at threshold, 1/ms.
        Delta_u: width of the threshold, as the potential.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``rho_0`` or ``Delta_u`` is not positive, and as :class:`LIF`.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 9.1.
    """

    rho_0 = Alias("noise.rho_0")
    Delta_u = Alias("noise.Delta_u")

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        *,
        rho_0: Quantity = 0.1,
        Delta_u: Quantity = 0.1,
        **options: Unpack[NoisyLIFOptions],
    ):
        super().__init__(tau_mem, noise=EscapeNoise(rho_0, Delta_u=Delta_u), **options)
