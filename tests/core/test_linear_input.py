"""An input that goes in a straight line from frame to frame."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn


class Relaxing(tdn.ODE):
    """dv/dt = -v + v^2 / 4 + x: smooth and not linear."""

    def initial_state(self, x_t):
        return tdn.LeakyIntegratorState(tdn.full_state(x_t, 0.2))

    def derivative(self, x_t, state):
        return tdn.LeakyIntegratorState(-state.v + state.v * state.v / 4 + x_t)


def ramp(t):
    return 0.3 + 0.1 * t


def error(method, steps, **options):
    """Of a run under a ramp, which a straight line between frames meets exactly."""
    dt = 4.0 / steps
    frames = torch.tensor([[[ramp(n * dt)]] for n in range(steps + 1)], dtype=torch.float64)
    y, _ = Relaxing(integrator=method, dt=dt).scan(frames, **options)
    # Of the last frame, which is held, only the start is used.
    run = solve_ivp(lambda t, v: -v + v * v / 4 + ramp(t), (0, 4), [0.2], rtol=1e-12, atol=1e-13)
    return abs(y[-2].item() - run.y[0, -1])


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4(), 4), (tdn.Heun(), 2), (tdn.Midpoint(), 2)])
def test_a_runge_kutta_method_keeps_its_order(method, order):
    coarse, fine = (error(method, steps, input="linear") for steps in (16, 32))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)
    held = [error(method, steps) for steps in (16, 32)]
    assert math.log2(held[0] / held[1]) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", [tdn.RK4(), tdn.Heun(), tdn.ExponentialEuler()])
def test_a_smooth_input_is_met_to_second_order(method):
    def run(steps):
        dt = 6.0 / steps
        x = torch.sin(torch.arange(steps + 1, dtype=torch.float64) * dt).reshape(-1, 1, 1)
        y, _ = tdn.LeakyIntegrator(2.0, integrator=method, dt=dt).double().scan(x, input="linear")
        # v' = (sin t - v) / 2 from 0.
        exact = (math.sin(6) - 2 * math.cos(6) + 2 * math.exp(-3)) / 5
        return abs(y[-2].item() - exact)

    assert math.log2(run(30) / run(60)) == pytest.approx(2, abs=0.1)


def test_spiking_cells_conductances_and_the_fused_loop_take_it():
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 4, (40, 2, 3)))
    for cell in (tdn.LIF(5.0, integrator=tdn.RK4()).double(), tdn.AdEx(integrator=tdn.RK4(substeps=2)).double()):
        scaled = x * 400 if isinstance(cell, tdn.AdEx) else x
        fused = cell.scan(scaled, input="linear")
        with tdn.backend("eager"):
            eager = cell.scan(scaled, input="linear")
            state, spikes = cell.initial_state(scaled[0]), []
            for n in range(40):
                a, b = scaled[n], scaled[min(n + 1, 39)]
                y, state = cell.step(lambda fraction, _, a=a, b=b: a + fraction * (b - a), state)
                spikes.append(y)
        torch.testing.assert_close(fused[0], eager[0])
        torch.testing.assert_close(eager[0], torch.stack(spikes), rtol=0, atol=0)
    g = (x, x.flip(0))
    y, _ = tdn.ConductanceLIF().double().scan(g, input="linear")
    assert y.shape == x.shape


def test_what_has_no_way_for_it_is_refused():
    with pytest.raises(ValueError, match="LIF: expected input to be one of 'held', 'linear', got 'cubic'"):
        tdn.LIF().scan(torch.ones(3, 1, 1), input="cubic")
    for module in (tdn.ExponentialSynapse(), tdn.SynapticLIF()):
        with pytest.raises(ValueError, match="expected input='held'"):
            module.scan(torch.ones(3, 1, 1), input="linear")
