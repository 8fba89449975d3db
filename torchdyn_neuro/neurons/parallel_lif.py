"""The leaky integrate-and-fire neuron without reset."""

from typing import Unpack

from ..core.options import SpikingOptions
from ..core.quantities import Quantity
from .lif import LIF


class ParallelLIF(LIF):
    r"""Leaky integrator with a threshold and no reset: a linear filter, so that no step waits for a spike.

    .. math:: \tau_m \dot v = -(v - v_{rest}) + R I, \qquad s = \Theta(v - v_{th})

    The potential is the convolution of the input with :math:`e^{-t / \tau_m}`; gradients through time never pass a
    surrogate and neither vanish at a silent cell nor explode at a reset. It is ``LIF(reset="none")`` by name. With an
    adaptation a step waits for the spikes before it again.

    Args:
        tau_mem: membrane time constant, ms.
        R: membrane resistance, potential per unit of input.
        v_rest: resting potential, mV or dimensionless.
        v_th: threshold, as ``v_rest``.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau_mem``, ``R`` or ``dt`` is not positive.
        TypeError: if the surrogate is none.

    Source: Fang et al. (2023), Parallel spiking neurons with high efficiency and ability to learn long-term
    dependencies, NeurIPS; of its filters this is the exponential one.
    """

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        *,
        R: Quantity = 1.0,
        v_rest: Quantity = 0.0,
        v_th: Quantity = 1.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(tau_mem, R=R, v_rest=v_rest, v_th=v_th, reset="none", **options)
