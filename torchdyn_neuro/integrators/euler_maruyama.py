"""The Euler-Maruyama method for equations with noise."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.random import normals, start_key
from ..core.state import State, fill, leaves

_STREAM = 16  # the first of its random numbers; those of an attached noise come from lower streams


@dataclass(frozen=True)
class EulerMaruyama(ExplicitIntegrator):
    r"""Euler-Maruyama, strong order 1 for additive noise.

    .. math:: s(t + dt) = s + dt\, f(x, s) + g(x, s) \sqrt{dt}\, \xi, \quad \xi \sim N(0, 1)

    The equation gives the amplitude :math:`g` as ``diffusion``; the numbers are independent for each neuron, row of the
    batch, field and step. They follow from the state field ``key: State = ()``, which the equation starts with
    ``**self.initial_terms(x_t)``.

    Args:
        substeps: 1, for one draw belongs to one step.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``diffusion``; if ``substeps`` is not 1.

    Source: Kloeden & Platen (1992), Numerical Solution of Stochastic Differential Equations, ch. 10.2.
    """

    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.substeps != 1:
            raise ValueError(f"EulerMaruyama: expected substeps = 1, got {self.substeps}; lower dt instead")

    def start(self, ode: ODE, x_t: State) -> dict[str, State]:
        return {"key": start_key(x_t)}

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        now = x(0.0, state)
        drifted = shift(state, ode.vector_field(now, state), dt)
        amplitude = ode.diffusion(now, state)
        kicks = [scale * normals(state.key, _STREAM + k, scale.dtype)[0] for k, scale in enumerate(leaves(amplitude))]
        return shift(drifted, fill(amplitude, kicks), math.sqrt(dt))._replace(key=state.key + 1)

    def check(self, ode: ODE) -> None:
        if ode.diffusion is None:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation with noise (a method diffusion) for EulerMaruyama, got "
                "none; use Euler() or another deterministic integrator"
            )
        super().check(ode)
