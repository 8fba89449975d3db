"""The Euler-Maruyama method for equations with noise."""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.random import normal, start_key
from ..core.state import State, map_state
from ..core.terms import NoiseState

_STREAM = 16  # the first of its random numbers; those of an attached noise come from lower streams


@dataclass(frozen=True)
class EulerMaruyama(ExplicitIntegrator):
    r"""Euler-Maruyama, strong order 1 for additive noise.

    .. math:: s(t + dt) = s + dt\, f(x, s) + g(x, s) \sqrt{dt}\, \xi, \quad \xi \sim N(0, 1)

    The equation gives the amplitude :math:`g` as ``diffusion``; the numbers are independent for each neuron, row of the
    batch, field and step. They follow from the key in the state field ``noise: State = ()``, which the equation starts
    with ``**self.initial_terms(x_t)``, as for a noise that attaches to it.

    Args:
        substeps: 1, for one draw belongs to one step.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``diffusion``; if ``substeps`` is not 1.

    Source: Kloeden & Platen (1992), Numerical Solution of Stochastic Differential Equations, ch. 10.2.
    """

    order: ClassVar[int] = 1
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.substeps != 1:
            raise ValueError(f"EulerMaruyama: expected substeps = 1, got {self.substeps}; lower dt instead")

    def start(self, ode: ODE, x_t: State) -> dict[str, State]:
        # A noise that attaches to the equation has a key already, and moves it on.
        return {} if ode.noise is not None else {"noise": NoiseState(start_key(x_t))}

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        now = x(0.0, state)
        drifted = shift(state, ode.vector_field(now, state), dt)
        noise = drifted.noise if ode.noise is not None else state.noise._replace(key=state.noise.key + 1)
        streams = itertools.count(_STREAM)

        def kicked(leaf: Tensor, scale: Tensor) -> Tensor:
            return leaf + math.sqrt(dt) * scale * normal(noise.key, next(streams), leaf.dtype)

        # The key has no noise of its own, also where the equation hands out its whole state.
        return map_state(kicked, drifted._replace(noise=()), ode.diffusion(now, state))._replace(noise=noise)

    def check_equation(self, ode: ODE) -> None:
        if ode.diffusion is None:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation with noise (a method diffusion) for EulerMaruyama, got "
                "none; use Euler() or another deterministic integrator"
            )
        super().check_equation(ode)
