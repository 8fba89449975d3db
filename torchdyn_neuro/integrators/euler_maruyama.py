"""The Euler-Maruyama method for equations with noise."""

import math
from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator, shift
from ..core.ode import ODE
from ..core.randomness import Noisy
from ..core.state import State, map_state


@dataclass(frozen=True)
class EulerMaruyama(Integrator):
    r"""Euler-Maruyama, strong order 1 for additive noise.

    .. math:: s(t + dt) = s + dt\, f(x, s) + g(x, s) \sqrt{dt}\, \xi, \quad \xi \sim N(0, 1)

    The equation gives the amplitude :math:`g` as ``diffusion``; the numbers are independent for each neuron, row of the
    batch and step, come from torch's generator (``torch.manual_seed``) and reach the step beside the input.

    Args:
        substeps: 1, for one draw belongs to one step.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``diffusion``; if ``substeps`` is not 1.

    Source: Kloeden & Platen (1992), Numerical Solution of Stochastic Differential Equations, ch. 10.2.
    """

    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.substeps != 1:
            raise ValueError(f"EulerMaruyama: expected substeps = 1, got {self.substeps}; lower dt instead")
        if self.interpolate:
            raise ValueError("EulerMaruyama: expected interpolate = False, because a noisy path crosses more than once")

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        noisy: Noisy = x(0.0)
        drifted = shift(state, ode.drift(noisy.input, state), dt)
        amplitude = ode.diffusion(noisy.input, state)
        kicks = map_state(lambda scale, number: scale * number, amplitude, noisy.normal)
        return shift(drifted, kicks, math.sqrt(dt))

    def check(self, ode: ODE) -> None:
        if type(ode).diffusion is ODE.diffusion:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation with noise (a method diffusion) for EulerMaruyama, got "
                "none; use Euler() or another deterministic integrator"
            )
