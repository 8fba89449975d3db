"""The leaky integrate-and-fire neuron without reset."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.quantities import Positive, Quantity, Real
from ..core.state import State, full_state, register_state, widen
from ..core.surrogate import Surrogate
from ..surrogates import ATan


@register_state
class ParallelLIFState(NamedTuple):
    """v: membrane potential, [B, *]."""

    v: Tensor


class ParallelLIF(Dynamics):
    r"""Leaky integrator with a threshold and no reset: a linear filter, so that no step waits for a spike.

    .. math:: \tau_m \dot v = -(v - v_{rest}) + R I, \qquad s = \Theta(v - v_{th})

    The potential is the convolution of the input with :math:`e^{-t / \tau_m}`; gradients through time never pass a
    surrogate and neither vanish at a silent cell nor explode at a reset. The step is exact for an input that is
    constant over it. It takes no adaptation, for then a step would wait for the spikes before it: use :class:`LIF`.

    Args:
        tau_mem: membrane time constant, ms.
        R: membrane resistance, potential per unit of input.
        v_rest: resting potential, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        surrogate: slope of the spike in the backward pass.
        dt: time step, ms.

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
        surrogate: Surrogate = ATan(),
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        if not isinstance(surrogate, Surrogate):
            raise TypeError(f"ParallelLIF: expected a surrogate such as ATan(), got {surrogate!r}; pass an instance")
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.R = Positive(R)
        self.v_rest = Real(v_rest)
        self.v_th = Real(v_th)
        self.surrogate = surrogate

    def initial_state(self, x_t: State) -> ParallelLIFState:
        return ParallelLIFState(v=full_state(x_t, self.v_rest()))

    def step(self, x_t: Tensor, state: ParallelLIFState) -> tuple[Tensor, ParallelLIFState]:
        target = self.v_rest() + self.R() * widen(x_t)
        v = target + (state.v - target) * torch.exp(-self.dt / self.tau_mem())
        return self.surrogate(v - self.v_th()).to(x_t.dtype), ParallelLIFState(v)

    def extra_repr(self) -> str:
        return f"surrogate={self.surrogate!r}, {super().extra_repr()}"
