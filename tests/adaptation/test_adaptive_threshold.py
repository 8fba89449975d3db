import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_threshold_against_a_loop_in_numpy():
    tau_mem, tau_a, beta, current = 20.0, 150.0, 40.0, 3.0
    v, a, spikes, trace = 0.0, 0.0, [], []
    for n in range(400):
        v = current + (v - current) * np.exp(-1 / tau_mem)
        a *= np.exp(-1 / tau_a)
        if v >= 1.0 + a:
            spikes.append(n)
            v -= 1.0
            a += beta / tau_a
        trace.append(a)
    assert len(spikes) > 10
    cell = tdn.ALIF(tau_mem, tau_a, beta=beta).double()
    x = torch.full((400, 1, 1), current, dtype=torch.float64)
    seen = tdn.record(cell, x, ["adaptation", "output"])
    assert seen["output"].flatten().nonzero().flatten().tolist() == spikes
    assert_close(seen["adaptation"].flatten(), torch.tensor(trace, dtype=torch.float64))


def test_mean_rise_of_the_threshold_is_beta_times_the_rate():
    dt, tau_a, beta = 0.5, 50.0, 60.0
    cell = tdn.ALIF(20.0, tau_a, beta=beta, dt=dt).double()
    with torch.no_grad():
        seen = tdn.record(cell, torch.full((3000, 1, 1), 2.0, dtype=torch.float64), ["adaptation", "output"])
    times = seen["output"].flatten().nonzero().flatten()
    start, end = times[-21].item(), times[-1].item()  # whole intervals of the adapted train
    rate = 20 / ((end - start) * dt)
    # The sum of a decay over the grid instead of its integral; the factor goes to 1 with dt.
    grid = dt / tau_a / (1 - np.exp(-dt / tau_a))
    assert seen["adaptation"][start:end].mean().item() == pytest.approx(beta * rate * grid, rel=1e-2)
