"""Order of convergence by the largest error over time, and what each integrator is exact for."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.testing import assert_close

import torchdyn_neuro as tdn

DURATION = 4.0


class Pendulum(NamedTuple):
    """angle, velocity"""

    angle: torch.Tensor
    velocity: torch.Tensor


class DrivenPendulum(tdn.ODE):
    """A damped pendulum under a torque: smooth, non-linear, with an input that changes."""

    def initial_state(self, x_t):
        return Pendulum(torch.full_like(x_t, 1.0), torch.zeros_like(x_t))

    def derivative(self, x_t, state):
        return Pendulum(state.velocity, x_t - torch.sin(state.angle) - 0.3 * state.velocity)

    def relaxation(self, x_t, state):
        tau = torch.full_like(x_t, 1 / 0.3)
        return Pendulum((), (x_t - torch.sin(state.angle)) / 0.3), Pendulum((), tau)


def torque(t):
    return math.sin(2 * t)


def reference(times):
    solution = solve_ivp(
        lambda t, s: [s[1], torque(t) - math.sin(s[0]) - 0.3 * s[1]],
        (0, DURATION),
        [1.0, 0.0],
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-13,
    )
    return solution.y[0]


def largest_error(integrator, steps):
    dt = DURATION / steps
    ode = DrivenPendulum(integrator=integrator, dt=dt)
    state = ode.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    angles = [1.0]
    for n in range(steps):
        drive = lambda fraction, _, n=n: torch.full((1, 1), torque((n + fraction) * dt), dtype=torch.float64)  # noqa: E731
        state = integrator(ode, drive, state, dt)
        angles.append(state.angle.item())
    return np.abs(np.array(angles) - reference(np.linspace(0, DURATION, steps + 1))).max()


@pytest.mark.parametrize(
    ("integrator", "order", "steps"),
    [(tdn.Euler(), 1, 400), (tdn.Midpoint(), 2, 100), (tdn.Heun(), 2, 100), (tdn.RK4(), 4, 40)],
    ids=lambda value: type(value).__name__ if isinstance(value, tdn.Integrator) else str(value),
)
def test_order_with_an_input_at_stage_times(integrator, order, steps):
    assert integrator.order == order
    measured = math.log2(largest_error(integrator, steps) / largest_error(integrator, 2 * steps))
    assert measured == pytest.approx(order, abs=0.15)


def test_an_input_held_over_the_step_caps_the_order_at_one():
    def error(steps):
        dt = DURATION / steps
        ode = DrivenPendulum(integrator=tdn.RK4(), dt=dt)
        x = torch.tensor([torque(n * dt) for n in range(steps)], dtype=torch.float64).reshape(steps, 1, 1)
        return np.abs(ode(x).flatten().numpy() - reference(np.linspace(0, DURATION, steps + 1))[1:]).max()

    assert math.log2(error(100) / error(200)) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("integrator", [tdn.Euler, tdn.Midpoint, tdn.Heun, tdn.RK4])
def test_substeps_are_shorter_steps(integrator):
    assert largest_error(integrator(substeps=4), 10) == pytest.approx(largest_error(integrator(), 40), abs=2e-2)
    dt, drive = 0.4, lambda fraction, _=None: torch.full((1, 1), 1.0 + fraction, dtype=torch.float64)
    ode = DrivenPendulum(integrator=integrator(), dt=dt)
    state = ode.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    whole = integrator(substeps=2)(ode, drive, state, dt)
    half = integrator()(ode, lambda fraction, _: drive(fraction / 2), state, dt / 2)
    half = integrator()(ode, lambda fraction, _: drive(0.5 + fraction / 2), half, dt / 2)
    assert_close(whole, half)


class Saturating(tdn.ODE):
    """tau(s) ds/dt = x - s with a time constant that depends on the state."""

    def initial_state(self, x_t):
        return (torch.zeros_like(x_t),)

    def relaxation(self, x_t, state):
        return (x_t,), (1 + state[0] ** 2,)


@pytest.mark.parametrize(("integrator", "order"), [(tdn.ExponentialEuler(), 1), (tdn.ExponentialMidpoint(), 2)])
def test_exponential_methods_have_their_order_where_the_equation_is_not_linear(integrator, order):
    assert integrator.order == order
    exact = solve_ivp(lambda t, s: (2 - s) / (1 + s**2), (0, 4), [0.0], rtol=1e-12, atol=1e-13, dense_output=True)

    def error(steps):
        ode = Saturating(integrator=integrator, dt=4 / steps)
        y = ode(torch.full((steps, 1, 1), 2.0, dtype=torch.float64)).flatten().numpy()
        return np.abs(y - exact.sol(np.linspace(0, 4, steps + 1)[1:])[0]).max()

    assert math.log2(error(100) / error(200)) == pytest.approx(order, abs=0.15)
    assert error(1) < 2


@pytest.mark.parametrize("method", [tdn.ExponentialEuler, tdn.ExponentialMidpoint])
@pytest.mark.parametrize("dt", [0.1, 1.0, 25.0, 400.0])
@pytest.mark.parametrize("substeps", [1, 3])
def test_exponential_methods_are_exact_for_linear_relaxation(dt, substeps, method):
    membrane = tdn.LeakyIntegrator(20.0, R=3.0, v_rest=-1.0, dt=dt, integrator=method(substeps=substeps))
    y = membrane.double()(torch.full((8, 1, 1), 0.5, dtype=torch.float64)).flatten()
    t = dt * torch.arange(1, 9, dtype=torch.float64)
    assert_close(y, -1 + 1.5 * (1 - torch.exp(-t / 20)))


@pytest.mark.parametrize(
    "integrator",
    [
        tdn.Euler,
        tdn.Heun,
        tdn.Midpoint,
        tdn.RK4,
        tdn.ExponentialEuler,
        tdn.ExponentialMidpoint,
        tdn.Exact,
        tdn.EulerMaruyama,
    ],
)
@pytest.mark.parametrize(
    ("substeps", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_substeps_must_be_a_whole_number(integrator, substeps, error):
    with pytest.raises(error, match=f"{integrator.__name__}: expected substeps .*, got .*; pass"):
        integrator(substeps=substeps)


def test_an_integrator_that_lacks_what_it_needs_says_why():
    with pytest.raises(ValueError, match=r"IF: expected an equation tau ds/dt .* for ExponentialEuler, got .*; use"):
        tdn.IF(integrator=tdn.ExponentialEuler())
    with pytest.raises(
        ValueError, match=r"LeakyIntegrator: expected an equation with a known exact .* Exact, got none"
    ):
        tdn.LeakyIntegrator(integrator=tdn.Exact())
    with pytest.raises(ValueError, match=r"LIF: expected an equation with noise .* for EulerMaruyama, got none; use"):
        tdn.LIF(integrator=tdn.EulerMaruyama())
    with pytest.raises(ValueError, match=r"EulerMaruyama: expected substeps = 1, got 2; lower dt"):
        tdn.EulerMaruyama(substeps=2)
    with pytest.raises(
        TypeError, match=r"LIF: expected integrator to be an integrator such as Euler\(\), got .*; pass an instance"
    ):
        tdn.LIF(integrator=tdn.Euler)
