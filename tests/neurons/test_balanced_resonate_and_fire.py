import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_against_complex_numbers():
    frequency, b, k, tau_q, dt = 16.0, 0.03125, 0.0625, 8.0, 1.0
    omega = 2 * np.pi * frequency / 1000
    x = 0.3 * (np.sin(omega * np.arange(400) * dt) > 0)
    z, q, spikes, trace = 0j, 0.0, [], []
    for n, current in enumerate(x):
        damping = (np.sqrt(1 - (dt * omega) ** 2) - 1) / dt - b - k * q
        z = z + dt * ((damping + 1j * omega) * z + current)
        spike = z.real >= 1.0 + q
        q = q * np.exp(-dt / tau_q) + spike
        spikes += [n] if spike else []
        trace.append(z)
    assert len(spikes) > 4
    cell = tdn.BalancedResonateAndFire(frequency, b=b, k=k, tau_q=tau_q, dt=dt).double()
    seen = tdn.record(cell, torch.from_numpy(x).reshape(-1, 1, 1), ["u", "v", "output"])
    assert seen["output"].flatten().nonzero().flatten().tolist() == spikes
    assert_close(torch.complex(seen["u"], seen["v"]).flatten(), torch.from_numpy(np.array(trace)))


@pytest.mark.parametrize("frequency", [5.0, 60.0, 150.0])
def test_shrinks_without_input_at_any_frequency(frequency):
    """Plain Euler would grow by sqrt(1 + (dt omega)^2) a step; the balance takes that away."""
    cell = tdn.BalancedResonateAndFire(frequency, b=1e-3, v_th=1e9)
    state = cell.initial_state(torch.zeros(1, 1))._replace(u=torch.ones(1, 1))
    _, later = cell.scan(torch.zeros(500, 1, 1), state)
    assert torch.hypot(later.u, later.v).item() < 1.0


def test_a_frequency_beyond_the_step_is_refused():
    with pytest.raises(ValueError, match="below 1"):
        tdn.BalancedResonateAndFire(200.0, dt=1.0)
