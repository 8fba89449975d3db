import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.numerics import mean_ramp_decay


def reference(x, tau_mem, tau_syn, R, dt):
    """Spikes and potential by the matrix exponential of the 3 x 3 system."""
    a, b = 1 / tau_mem, 1 / tau_syn
    propagator = expm(np.array([[-a, R * a, 0.0], [0.0, -b, b], [0.0, 0.0, -b]]) * dt)
    state, spikes, trace = np.zeros(3), [], []
    for n, weight in enumerate(x):
        state = propagator @ state + [0.0, 0.0, np.e * weight]
        if state[0] >= 1.0:
            spikes.append(n)
            state = state - [1.0, 0.0, 0.0]
        trace.append(state[0])
    return spikes, np.array(trace)


@pytest.mark.parametrize("tau_syn", [5.0, 20.0, 20.0001, 60.0, 0.25])
def test_against_the_matrix_exponential(tau_syn):
    x = np.where(np.arange(300) % 20 == 0, 1.8 * max(1.0, 1.0 / tau_syn), 0.0)
    cell = tdn.AlphaLIF(torch.tensor(20.0).double(), torch.tensor(tau_syn).double(), R=2.0).double()
    seen = tdn.record(cell, torch.from_numpy(x).reshape(-1, 1, 1), ["v", "output"])
    spikes, trace = reference(x, 20.0, float(cell.tau_syn()), 2.0, 1.0)
    assert len(spikes) > 3 or tau_syn < 1
    assert seen["output"].flatten().nonzero().flatten().tolist() == spikes
    assert_close(seen["v"].flatten(), torch.from_numpy(trace), rtol=1e-9, atol=1e-9)


def test_the_current_peaks_at_the_weight():
    cell = tdn.AlphaLIF(20.0, 4.0, v_th=1e9, dt=0.5).double()
    x = torch.zeros(60, 1, 1, dtype=torch.float64)
    x[0] = 0.7
    s = tdn.record(cell, x, ["s"])["s"].flatten()
    t = torch.arange(60, dtype=torch.float64) * 0.5
    assert_close(s, 0.7 * t / 4 * torch.exp(1 - t / 4))
    assert s.argmax() == 8


def test_potential_at_equal_time_constants():
    """Closed form: w R e t^2 / (2 tau^2) exp(-t / tau)."""
    cell = tdn.AlphaLIF(10.0, 10.0, v_th=1e9).double()
    x = torch.zeros(80, 1, 1, dtype=torch.float64)
    x[0] = 1.0
    v = tdn.record(cell, x, ["v"])["v"].flatten()
    t = torch.arange(80, dtype=torch.float64)
    assert_close(v, np.e * t**2 / 200 * torch.exp(-t / 10), rtol=1e-9, atol=0)


def test_order_of_rk4_against_the_exact_flow():
    errors = []
    x = torch.zeros(1, 1, 1, dtype=torch.float64)
    exact = tdn.AlphaLIF(8.0, 5.0, v_th=1e9, dt=16.0).double()
    for dt in (0.5, 0.25):
        cell = tdn.AlphaLIF(8.0, 5.0, v_th=1e9, integrator=tdn.RK4(), dt=dt).double()
        start = cell.initial_state(x[0])._replace(h=x[0] + 1.0, s=x[0] + 0.5)
        _, goal = exact.step(x[0], start)
        _, state = cell.scan(x.expand(int(16 / dt), 1, 1), start)
        errors.append(abs(state.v.item() - goal.v.item()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.15)


def test_gradients_are_finite_and_right_at_equal_time_constants():
    a = torch.tensor([0.3, 0.3, 0.3, 2.0, 1.3, 4.0], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.3, 0.29, 0.9, 0.3, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mean_ramp_decay, (a, b))
    assert mean_ramp_decay(torch.zeros(()), torch.zeros(())).item() == 0.5
