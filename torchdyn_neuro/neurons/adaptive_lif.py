"""The leaky integrate-and-fire neuron with spike-frequency adaptation."""

from typing import Unpack

from ..adaptation import SpikeFrequencyAdaptation
from ..core.quantities import Alias, Quantity
from .lif import LIF, AdaptingLIFOptions


class AdaptiveLIF(LIF):
    r"""Adaptive leaky integrate-and-fire neuron: every spike adds to a current that opposes the input.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R (I - a), \qquad \tau_a \dot a = -a + b \sum_k \delta(t - t_k)

    A spike adds :math:`b / \tau_a` to ``a``; the reset leaves ``a`` alone. It is ``LIF(adaptation=...)`` by name; with
    the default integrator the pair is solved exactly for an input that is constant over the step:

    .. math::
        v \leftarrow v_\infty + (v - v_\infty) e^{-\alpha} - R a\, \alpha\, \frac{e^{-\beta} - e^{-\alpha}}
        {\alpha - \beta}, \qquad a \leftarrow a e^{-\beta}, \qquad \alpha = dt / \tau_m,\ \beta = dt / \tau_a

    Args:
        tau_mem: membrane time constant, ms.
        tau_a: time constant of the adaptation, ms.
        b: strength of the adaptation, input times ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant is not positive, and as :class:`LIF`.

    Source: Treves (1993), Network 4:259; Benda & Herz (2003), Neural Comput. 15:2523. The defaults are round values,
    from no source.
    """

    tau_a = Alias("adaptation.tau")
    b = Alias("adaptation.b")

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_a: Quantity = 100.0,
        *,
        b: Quantity = 10.0,
        **options: Unpack[AdaptingLIFOptions],
    ):
        super().__init__(tau_mem, adaptation=SpikeFrequencyAdaptation(tau_a, b=b), **options)
