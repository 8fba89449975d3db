import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_against_complex_numbers():
    tau, frequency, dt = 25.0, 30.0, 1.0
    pole = -1 / tau + 2j * np.pi * frequency / 1000
    x = 0.4 * (np.sin(2 * np.pi * frequency * np.arange(300) * dt / 1000) > 0)
    z, spikes, trace = 0j, [], []
    for n, current in enumerate(x):
        z = np.exp(pole * dt) * z + (np.exp(pole * dt) - 1) / pole * current
        if z.imag >= 1.0:
            spikes.append(n)
            z = 0j
        trace.append(z)
    assert len(spikes) > 4
    # The quantities are made in float64, not rounded to float32 first.
    cell = tdn.ResonateAndFire(tau, frequency, dt=dt).double()
    seen = tdn.record(cell, torch.from_numpy(x).reshape(-1, 1, 1), ["u", "v", "output"])
    assert seen["output"].flatten().nonzero().flatten().tolist() == spikes
    assert_close(torch.complex(seen["u"], seen["v"]).flatten(), torch.from_numpy(np.array(trace)))


def test_prefers_pulses_at_its_own_period():
    """Two pulses one period apart fire it; half a period apart they cancel, as in figure 2 of the source."""
    cell = tdn.ResonateAndFire(tau=40.0, frequency=50.0, dt=0.5)
    counts = {}
    for gap in (10.0, 20.0):
        x = torch.zeros(120, 1, 1)
        x[0], x[int(gap / 0.5)] = 1.6, 1.6
        counts[gap] = cell(x).sum().item()
    assert counts == {10.0: 0.0, 20.0: 1.0}


@pytest.mark.parametrize(("integrator", "order"), [(tdn.Euler(), 1), (tdn.Midpoint(), 2), (tdn.RK4(), 4)])
def test_order_of_convergence(integrator, order):
    errors = []
    for dt in (0.25, 0.125):
        options = {"v_th": 1e9, "dt": dt}
        x = torch.full((int(32 / dt), 1, 1), 0.2, dtype=torch.float64)
        exact = tdn.record(tdn.ResonateAndFire(**options).double(), x, ["v"])["v"]
        approximate = tdn.record(tdn.ResonateAndFire(integrator=integrator, **options).double(), x, ["v"])["v"]
        errors.append((exact - approximate).abs().max().item())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)
