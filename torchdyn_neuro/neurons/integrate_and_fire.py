"""The perfect integrate-and-fire neuron."""

from typing import NamedTuple, Unpack

from torch import Tensor

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking
from ..core.state import State, register_state
from ..integrators import Euler
from ..surrogates import ATan


@register_state
class IFState(NamedTuple):
    """v: membrane potential, [B, *]; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class IF(Spiking, integrator=Euler(), surrogate=ATan()):
    r"""Perfect (non-leaky) integrate-and-fire neuron.

    .. math:: C \dot v = I, \qquad v \ge v_{th}: \text{ spike and reset}

    Args:
        C: capacitance; with 1 and a step of 1 ms the potential is the running sum of the input.
        v_rest: where the potential starts, and from which ``reset="subtract"`` measures the threshold, mV or
            dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
        reset: ``"subtract"``, ``"value"``, ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms, a whole number of steps.

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
        v_reset: Quantity | None = None,
        reset: str = "subtract",
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, v_rest=v_rest, reset=reset, t_ref=t_ref, **options)
        self.C = Positive(C)

    def initial_state(self, x_t: State) -> IFState:
        return IFState(**self.initial_terms(x_t, self.v_rest()))

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.C(), rest=self.v_rest())

    def derivative(self, x_t: Tensor, state: IFState) -> IFState:
        return IFState(v=x_t / self.C())
