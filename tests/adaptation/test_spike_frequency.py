import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.optimize import brentq
from torch.testing import assert_close

import torchdyn_neuro as tdn

TAU_MEM, TAU_A, B, R, T_REF = 20.0, 80.0, 12.0, 1.5, 3.0


def reference(current, dt, steps):
    """Spike times and trajectories by the matrix exponential of the 2 x 2 system, spike by spike."""
    matrix = np.array([[-1 / TAU_MEM, -R / TAU_MEM], [0.0, -1 / TAU_A]])
    rest = np.array([R * current, 0.0])
    propagator = expm(matrix * dt)
    state, left, spikes, trace = np.zeros(2), 0, [], []
    for n in range(steps):
        moved = rest + propagator @ (state - rest)
        if left > 0:
            moved[0] = state[0]
            left -= 1
        elif moved[0] >= 1.0:
            spikes.append(n)
            moved += [-1.0, B / TAU_A]
            left = round(T_REF / dt)
        state = moved
        trace.append(state)
    return spikes, np.array(trace)


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_the_pair_is_solved_by_the_matrix_exponential(dt):
    steps = int(400 / dt)
    cell = tdn.AdaptiveLIF(TAU_MEM, TAU_A, b=B, R=R, t_ref=T_REF, dt=dt).double()
    x = torch.full((steps, 1, 1), 1.4, dtype=torch.float64)
    seen = tdn.record(cell, x, ["v", "adaptation", "output"])
    spikes, trace = reference(1.4, dt, steps)
    assert len(spikes) > 5
    assert seen["output"].flatten().nonzero().flatten().tolist() == spikes
    assert_close(seen["v"].flatten(), torch.from_numpy(trace[:, 0]), rtol=1e-11, atol=1e-11)
    assert_close(seen["adaptation"].flatten(), torch.from_numpy(trace[:, 1]), rtol=1e-11, atol=1e-11)


def test_reduces_the_rate_to_the_fixed_point():
    """The interval T of the adapted train solves a fixed-point equation in closed form."""

    def potential(interval):
        a = B / TAU_A / (1 - np.exp(-interval / TAU_A))  # right after a spike of a regular train
        mean = (np.exp(-interval / TAU_A) - np.exp(-interval / TAU_MEM)) / (1 - TAU_MEM / TAU_A)
        return 1.6 * (1 - np.exp(-interval / TAU_MEM)) - a * mean - 1.0

    interval = brentq(potential, 12, 500)
    unadapted = TAU_MEM * np.log(1.6 / 0.6)
    dt = 0.1
    cell = tdn.AdaptiveLIF(TAU_MEM, TAU_A, b=B, dt=dt).double()
    with torch.no_grad():
        y = cell(torch.full((int(900 / dt), 1, 1), 1.6, dtype=torch.float64)).flatten()
    times = y.nonzero().flatten() * dt
    assert interval > 1.3 * unadapted
    # A spike waits for the next grid point: up to one step later in each interval.
    assert (times[-1] - times[-6]).item() / 5 == pytest.approx(interval, abs=dt)


def test_integrators_keep_their_order_below_threshold():
    """The current of the adaptation is part of the equation at every stage of RK4, Heun and Euler."""
    matrix = np.array([[-1 / TAU_MEM, -1 / TAU_MEM], [0.0, -1 / TAU_A]])
    exact = expm(matrix * 64.0) @ np.array([0.2, 0.8])
    for integrator, order in ((tdn.Euler(), 1), (tdn.Heun(), 2), (tdn.Midpoint(), 2), (tdn.RK4(), 4)):
        errors = []
        for dt in (4.0, 2.0):
            cell = tdn.AdaptiveLIF(TAU_MEM, TAU_A, b=B, integrator=integrator, dt=dt).double()
            state = cell.initial_state(torch.zeros(1, 1, dtype=torch.float64))
            state = state._replace(v=state.v + 0.2, adaptation=state.adaptation + 0.8)
            x = torch.zeros(int(64 / dt), 1, 1, dtype=torch.float64)
            _, state = cell.scan(x, state)
            errors.append(abs(state.v.item() - exact[0]))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_reset_leaves_the_adaptation_alone():
    cell = tdn.AdaptiveLIF(b=10.0, tau_a=100.0, reset="zero")
    state = cell.initial_state(torch.zeros(1, 1))._replace(adaptation=torch.full((1, 1), 0.5))
    y, after = cell.step(torch.full((1, 1), 100.0), state)
    assert y.item() == 1.0
    assert_close(after.adaptation, 0.5 * torch.exp(torch.tensor([[-0.01]])) + 0.1)
    assert after.v.item() == 0.0


def test_explicit_step_beyond_the_time_constant_is_refused():
    with pytest.raises(ValueError, match=r"adaptation\.tau"):
        tdn.LIF(integrator=tdn.Euler(), adaptation=tdn.SpikeFrequencyAdaptation(tau=0.4))
    with pytest.raises(ValueError, match="above 0"):
        tdn.SpikeFrequencyAdaptation(tau=-1.0)
