"""The leaky integrator: a membrane that does not spike."""

from typing import NamedTuple

from torch import Tensor

from ..core.integrator import Integrator
from ..core.ode import ODE, Membrane
from ..core.quantities import Positive, Quantity, Real
from ..core.state import State, full_state, register_state
from ..core.terms import Noise
from ..integrators import ExponentialEuler


@register_state
class LeakyIntegratorState(NamedTuple):
    """v: membrane potential, [B, *]; noise: of the part, () if absent."""

    v: Tensor
    noise: State = ()


class LeakyIntegrator(ODE):
    r"""Membrane without a threshold; the usual readout of a spiking network.

    .. math:: \tau_m \dot v = -(v - v_{rest}) + R I

    Args:
        tau_mem: membrane time constant, ms.
        R: membrane resistance, potential per unit of input.
        v_rest: resting potential, mV or dimensionless.
        v_init: potential before the first step, as ``v_rest``, where it starts if omitted.
        integrator: how a step is taken; the default is exact for an input that is constant over the step.
        noise: what makes it random, e.g. ``WhiteNoise()``; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] potential at the end of each step

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, or if ``dt`` is too long for an explicit integrator.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 1.3.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.LeakyIntegrator(tau_mem=2.0)(torch.ones(3, 1, 1)).flatten()
        tensor([0.3935, 0.6321, 0.7769])
    """

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        *,
        R: Quantity = 1.0,
        v_rest: Quantity = 0.0,
        v_init: Quantity | None = None,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, noise=noise, dt=dt)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.R = Positive(R)
        self.v_rest = Real(v_rest)
        self.v_init = None if v_init is None else Real(v_init)

    def initial_state(self, x_t: State) -> LeakyIntegratorState:
        start = self.v_rest() if self.v_init is None else self.v_init()
        return LeakyIntegratorState(v=full_state(x_t, start), **self.initial_terms(x_t))

    def membrane(self) -> Membrane:
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest())

    def relaxation(self, x_t: Tensor, state: LeakyIntegratorState) -> tuple[LeakyIntegratorState, LeakyIntegratorState]:
        return LeakyIntegratorState(v=self.v_rest() + self.R() * x_t), LeakyIntegratorState(v=self.tau_mem())
