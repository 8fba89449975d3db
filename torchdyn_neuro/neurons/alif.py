"""The leaky integrate-and-fire neuron with an adaptive threshold."""

from typing import Unpack

from ..adaptation import AdaptiveThreshold
from ..core.quantities import Alias, Quantity
from .lif import LIF, AdaptingLIFOptions


class ALIF(LIF):
    r"""Leaky integrate-and-fire neuron with an adaptive threshold, the unit of the LSNN.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R I, \qquad v \ge v_{th} + a: \text{ spike and reset}, \qquad
        \tau_a \dot a = -a + \beta \sum_k \delta(t - t_k)

    A spike adds :math:`\beta / \tau_a` to ``a``, so that a cell which was active stays less excitable for
    :math:`\tau_a`: a memory of hundreds of steps through which gradients flow. It is ``LIF(adaptation=...)`` by name.
    Its reset is that of :class:`LIF`; the source subtracts the raised threshold.

    Args:
        tau_mem: membrane time constant, ms.
        tau_a: time constant of the threshold, ms.
        beta: strength of the adaptation, potential times ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant is not positive, and as :class:`LIF`.

    Source: Bellec et al. (2018), Long short-term memory and learning-to-learn in networks of spiking neurons, NeurIPS;
    ``beta`` from its code, see :class:`AdaptiveThreshold`; the time constants are round values.
    """

    tau_a = Alias("adaptation.tau")
    beta = Alias("adaptation.beta")

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_a: Quantity = 200.0,
        *,
        beta: Quantity = 180.0,
        **options: Unpack[AdaptingLIFOptions],
    ):
        super().__init__(tau_mem, adaptation=AdaptiveThreshold(tau_a, beta=beta), **options)
