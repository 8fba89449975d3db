"""The leaky integrate-and-fire neuron with sub-threshold adaptation."""

from typing import Unpack

from ..adaptation import SubThresholdAdaptation
from ..core.quantities import Alias, Quantity
from .lif import LIF, AdaptingLIFOptions


class AdLIF(LIF):
    r"""Adaptive leaky integrate-and-fire neuron whose adaptation follows the potential.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R (I - w), \qquad
        \tau_w \dot w = -w + a (v - v_{rest}) + b \sum_k \delta(t - t_k)

    A spike adds :math:`b / \tau_w` to ``w``. With :math:`a > 0` the cell oscillates below threshold if
    :math:`4 R a \tau_m \tau_w > (\tau_w - \tau_m)^2`. It is ``LIF(adaptation=...)`` by name; see
    :class:`SubThresholdAdaptation` for how the coupled pair is solved.

    Args:
        tau_mem: membrane time constant, ms.
        tau_w: time constant of the adaptation, ms.
        a: coupling to the potential, input per unit of potential.
        b: strength of the jumps, input times ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant is not positive, and as :class:`LIF`.

    Source: Bittar & Garner (2022), Front. Neurosci. 16:865897; Baronig et al. (2025), Nat. Commun. 16:5776. The
    defaults are round values, from no source.
    """

    tau_w = Alias("adaptation.tau")
    a = Alias("adaptation.a")
    b = Alias("adaptation.b")

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_w: Quantity = 100.0,
        *,
        a: Quantity = 0.5,
        b: Quantity = 10.0,
        **options: Unpack[AdaptingLIFOptions],
    ):
        super().__init__(tau_mem, adaptation=SubThresholdAdaptation(tau_w, a=a, b=b), **options)
