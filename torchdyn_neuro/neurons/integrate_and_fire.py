"""The perfect integrate-and-fire neuron."""

from typing import NamedTuple

from torch import Tensor

from ..core.integrator import Integrator
from ..core.parts import Adaptation, Noise
from ..core.quantities import Positive, Quantity
from ..core.spiking import SpikingODE
from ..core.state import State, full_state, register_state
from ..core.surrogate import Surrogate
from ..integrators import Euler
from ..surrogates import ATan


@register_state
class IFState(NamedTuple):
    """v: membrane potential, [B, *]; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class IF(SpikingODE):
    r"""Perfect (non-leaky) integrate-and-fire neuron.

    .. math:: C \dot v = I, \qquad v \ge v_{th}: \text{ spike and reset}

    Args:
        C: capacitance; with 1 and a step of 1 ms the potential is the running sum of the input.
        v_rest: initial potential, from which ``reset="subtract"`` measures the threshold, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``, as ``v_rest``.
        reset: ``"subtract"``, ``"value"`` or ``"zero"``.
        t_ref: refractory period, ms.
        surrogate: slope of the spike in the backward pass.
        detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
        integrator: how a step is taken; Euler is exact for an input that is constant over the step.
        adaptation: what slows the cell down after its spikes, none if omitted.
        noise: what makes it random, none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``C`` or ``dt`` is not positive, or if the reset does not lead below the threshold.

    Source: Lapicque (1907); Gerstner et al. (2014), Neuronal Dynamics, ch. 1.3.
    """

    def __init__(
        self,
        *,
        C: Quantity = 1.0,
        v_rest: Quantity = 0.0,
        v_th: Quantity = 1.0,
        v_reset: Quantity = 0.0,
        reset: str = "subtract",
        t_ref: float = 0.0,
        surrogate: Surrogate = ATan(),
        detach_reset: bool = True,
        integrator: Integrator = Euler(),
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(
            v_th=v_th,
            v_reset=v_reset,
            v_rest=v_rest,
            reset=reset,
            t_ref=t_ref,
            surrogate=surrogate,
            detach_reset=detach_reset,
            integrator=integrator,
            adaptation=adaptation,
            noise=noise,
            dt=dt,
        )
        self.C = Positive(C)

    def initial_state(self, x_t: State) -> IFState:
        return IFState(
            v=full_state(x_t, self.v_rest()), refractory=self.initial_refractory(x_t), **self.initial_parts(x_t)
        )

    def current_gain(self) -> Tensor:
        return 1 / self.C()

    def resting_potential(self) -> Tensor:
        return self.v_rest()

    def derivative(self, x_t: Tensor, state: IFState) -> IFState:
        return IFState(v=x_t / self.C())
