"""Adaptation and noise on the Hodgkin-Huxley membrane, where they are currents among those of the channels."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.random_numbers import normal_of

INTEGRATORS = [tdn.ExponentialEuler(substeps=4), tdn.RK4(substeps=4)]


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=repr)
def test_noise_is_a_current_held_over_the_step(integrator):
    """The cell with noise is the one without whose input has the noise in it."""
    torch.manual_seed(0)
    dt, sigma, tau = 0.1, 6.0, 3.0
    x = torch.full((120, 2, 3), 15.0, dtype=torch.float64)
    plain = tdn.HodgkinHuxley(dt=dt, integrator=integrator).double()
    white = tdn.HodgkinHuxley(dt=dt, integrator=integrator, noise=tdn.WhiteNoise(sigma)).double()
    start = white.initial_state(x[0])
    expected, _ = plain.scan(x + sigma / math.sqrt(dt) * normal_of(start.noise.key, 120))
    got, _ = white.scan(x, start)
    assert expected.sum() > 5
    assert torch.equal(got, expected)
    coloured = tdn.HodgkinHuxley(dt=dt, integrator=integrator, noise=tdn.OrnsteinUhlenbeckNoise(tau, sigma=sigma))
    torch.manual_seed(1)
    seen = tdn.record(coloured.double(), x, ["v"])
    # The mean of the noise over a step, as an integrator without leak finds it from the same start.
    torch.manual_seed(1)
    charge = tdn.record(
        tdn.IF(v_th=1e9, noise=tdn.OrnsteinUhlenbeckNoise(tau, sigma=sigma), dt=dt).double(), torch.zeros_like(x), ["v"]
    )["v"]
    mean = torch.diff(charge, dim=0, prepend=torch.zeros_like(charge[:1])) / dt
    assert mean.std() > 0
    assert_close(seen["v"], tdn.record(plain, x + mean, ["v"])["v"], rtol=1e-7, atol=1e-7)


def rates(v):
    """Opening and closing rates of m, h and n, in the form of Gerstner et al. (2014), table 2.1, shifted to -65 mV."""
    u = v + 65
    return (
        (0.1 * (25 - u) / np.expm1((25 - u) / 10), 4 * np.exp(-u / 18)),
        (0.07 * np.exp(-u / 20), 1 / (np.exp((30 - u) / 10) + 1)),
        (0.01 * (10 - u) / np.expm1((10 - u) / 10), 0.125 * np.exp(-u / 80)),
    )


def test_spike_frequency_adaptation_against_scipy():
    current, tau, b, dt, duration = 12.0, 60.0, 200.0, 0.01, 90.0

    def change(_, y):
        v, m, h, n, a = y
        dv = current - a - 120 * m**3 * h * (v - 50) - 36 * n**4 * (v + 77) - 0.3 * (v + 54.387)
        gates = [up * (1 - x) - down * x for (up, down), x in zip(rates(v), (m, h, n), strict=True)]
        return [dv, *gates, -a / tau]

    def crossing(_, y):
        return y[0]

    crossing.terminal, crossing.direction = True, 1
    y, now, times = [-65.0, *(up / (up + down) for up, down in rates(-65.0 + 1e-9)), 0.0], 0.0, []
    while True:
        run = solve_ivp(change, (now, duration), y, events=crossing, method="LSODA", rtol=1e-9, atol=1e-9)
        if run.status == 0:
            break
        now, y = run.t[-1], run.y[:, -1]
        times.append(now)
        y[4] += b / tau
        y[0] += 1e-6  # past the event
    cell = tdn.HodgkinHuxley(integrator=tdn.RK4(), adaptation=tdn.SpikeFrequencyAdaptation(tau, b=b), dt=dt).double()
    y = cell(torch.full((round(duration / dt), 1, 1), current, dtype=torch.float64)).flatten()
    got = ((y.nonzero().flatten() + 1) * dt).numpy()
    assert len(times) >= 3
    assert len(got) == len(times)
    # Nothing waits for the grid but the reading of the time and the jump: a step in all for each spike.
    np.testing.assert_allclose(got, times, atol=dt * len(times))
    assert np.diff(times)[-1] > 1.2 * np.diff(times)[0], "the cell adapts"


def test_sub_threshold_adaptation_follows_the_potential():
    """Held at rest by a leak alone, the pair relaxes to where its two equations meet."""
    leak = tdn.Leak(g_max=0.5, E_rev=-65.0)
    for integrator in (tdn.ExponentialEuler(), tdn.RK4()):
        part = tdn.SubThresholdAdaptation(5.0, a=0.3)
        cell = tdn.HodgkinHuxley([leak], integrator=integrator, adaptation=part, dt=0.02).double()
        _, state = cell.scan(torch.full((5000, 1, 1), 4.0, dtype=torch.float64))
        above = 4.0 / (0.5 + 0.3)
        assert state.v.item() == pytest.approx(-65.0 + above, rel=1e-6)
        assert state.adaptation.item() == pytest.approx(0.3 * above, rel=1e-6)


@pytest.mark.parametrize(
    "part", [{"adaptation": tdn.AdaptiveThreshold()}, {"noise": tdn.EscapeNoise()}], ids=["adaptation", "noise"]
)
def test_parts_of_the_threshold_are_refused_because_it_makes_no_spike(part):
    message = (
        r"HodgkinHuxley: expected no .*, or one that acts as a current, got .*, but its equation makes the spikes, "
    )
    with pytest.raises(ValueError, match=message + "which v_th only counts; use another"):
        tdn.HodgkinHuxley(**part)
