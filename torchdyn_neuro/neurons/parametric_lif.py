"""The leaky integrate-and-fire neuron with a learned time constant."""

from typing import Unpack

from torch import Tensor

from ..core.quantities import Learned
from .lif import LIF, ParametricLIFOptions


class ParametricLIF(LIF):
    r"""Leaky integrate-and-fire neuron whose membrane time constant is learned, one for the layer or one per neuron.

    .. math:: v \leftarrow v + k\, (R I - (v - v_{rest})), \qquad k = 1 - e^{-dt / \tau_m} \in (0, 1)

    The source learns ``k`` as a sigmoid; here the time constant itself is learned, always positive, which covers the
    same cells. Its start :math:`k = 1 / \tau_0` corresponds to
    :math:`\tau_m = -dt / \ln(1 - 1 / \tau_0)`, 1.44 ms for :math:`\tau_0 = 2` and a step of 1 ms.

    Args:
        tau_mem: membrane time constant at the start of learning, ms; a tensor for one per neuron.
        reset: ``"zero"`` as in the source, or as in :class:`LIF`.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau_mem`` is not positive, and as :class:`LIF`.

    Source: Fang et al. (2021), Incorporating learnable membrane time constant, ICCV. The default of 20 ms is that of
    :class:`LIF`, not of the source.
    """

    def __init__(
        self, tau_mem: float | Tensor | Learned = 20.0, *, reset: str = "zero", **options: Unpack[ParametricLIFOptions]
    ):
        learned = tau_mem if isinstance(tau_mem, Learned) else Learned(tau_mem)
        super().__init__(learned, reset=reset, **options)
