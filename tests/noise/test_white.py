import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfcx
from torch.testing import assert_close

import torchdyn_neuro as tdn


def without_threshold(**options):
    return tdn.LIF(20.0, v_th=1e9, **options).double()


def test_increments_are_those_given():
    """Path by path, exact for exponential Euler and Euler-Maruyama for Euler, in NumPy."""
    generator = np.random.default_rng(0)
    numbers = generator.standard_normal((50, 2, 3))
    sigma, tau, R, drive = 1.3, 20.0, 1.7, 0.4
    x = torch.full((50, 2, 3), drive, dtype=torch.float64)
    for integrator, decay, deviation in (
        (tdn.ExponentialEuler(), math.exp(-1 / tau), R * sigma * math.sqrt((1 - math.exp(-2 / tau)) / (2 * tau))),
        (tdn.Euler(), 1 - 1 / tau, R * sigma / tau),
    ):
        v, path = np.zeros((2, 3)), []
        for row in numbers:
            v = R * drive + (v - R * drive) * decay + deviation * row
            path.append(v)
        cell = without_threshold(R=R, integrator=integrator, noise=tdn.WhiteNoise(sigma))
        seen = tdn.record(cell, x[:1], ["v"])
        assert seen["v"].shape == (1, 2, 3)
        _, state = cell.scan(tdn.Noisy(x, part=torch.from_numpy(numbers)))
        assert_close(state.v, torch.from_numpy(path[-1]))


@pytest.mark.parametrize("dt", [1.0, 5.0])
def test_stationary_variance_and_autocorrelation(dt):
    torch.manual_seed(0)
    sigma, tau, R, lag = 2.0, 20.0, 1.5, 4
    cell = without_threshold(R=R, noise=tdn.WhiteNoise(sigma), dt=dt)
    with torch.no_grad():
        _, state = cell.scan(torch.zeros(int(200 / dt), 4, 20000, dtype=torch.float64))
        _, later = cell.scan(torch.zeros(lag, 4, 20000, dtype=torch.float64), state)
    variance = (R * sigma) ** 2 / (2 * tau)
    count = state.v.numel()
    # Five standard errors of a variance of Gaussian numbers.
    tolerance = 5 * math.sqrt(2 / count)
    assert state.v.var().item() == pytest.approx(variance, rel=tolerance)
    correlation = (state.v * later.v).mean().item() / variance
    assert correlation == pytest.approx(math.exp(-lag * dt / tau), abs=tolerance)
    # Independent between neighbours in the batch and among the neurons.
    assert abs((state.v[0] * state.v[1]).mean().item()) < 5 * variance / math.sqrt(20000)
    assert abs((state.v[:, 1:] * state.v[:, :-1]).mean().item()) < 5 * variance / math.sqrt(count)


def siegert(drive, sigma, tau, v_th, v_reset):
    """Mean rate of a LIF under white noise, per ms."""
    scale = sigma / math.sqrt(tau)  # sqrt(2) times the stationary deviation
    low, high = (v_reset - drive) / scale, (v_th - drive) / scale
    integral, _ = quad(lambda u: erfcx(-u), low, high)
    return 1 / (tau * math.sqrt(math.pi) * integral)


@pytest.mark.parametrize("drive", [0.8, 1.2])
def test_rate_follows_siegert_with_the_correction_for_the_step(drive):
    torch.manual_seed(0)
    tau, sigma, dt = 20.0, 2.0, 0.25
    cell = tdn.LIF(tau, reset="zero", noise=tdn.WhiteNoise(sigma), dt=dt)
    with torch.no_grad():
        _, state = cell.scan(torch.full((800, 1, 4000), drive))
        y, _ = cell.scan(torch.full((1200, 1, 4000), drive), state)
    rate = y.mean().item() / dt
    shift = 0.5826 * sigma * math.sqrt(dt) / tau
    expected = siegert(drive, sigma, tau, 1.0 + shift, 0.0)
    assert rate > 0.01
    # The correction is the leading term in sqrt(dt); sampling noise is below half a percent.
    assert rate == pytest.approx(expected, rel=0.015)
    assert abs(rate / siegert(drive, sigma, tau, 1.0, 0.0) - 1) > 0.03, "without the correction the rate is off"


def test_same_seed_same_path_in_pieces_and_by_steps():
    cell, x = tdn.LIF(noise=tdn.WhiteNoise(3.0)), torch.full((30, 2, 20), 0.9)
    torch.manual_seed(3)
    whole, _ = cell.scan(x)
    assert whole.sum() > 5
    torch.manual_seed(3)
    first, state = cell.scan(x[:11])
    second, _ = cell.scan(x[11:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    torch.manual_seed(3)
    state, rows = cell.initial_state(x[0]), []
    for x_t in x:
        y_t, state = cell.step(x_t, state)
        rows.append(y_t)
    assert torch.equal(torch.stack(rows), whole)
    assert not torch.equal(cell(x), whole), "another draw gives another path"


def test_one_draw_for_all_stages():
    """Runge-Kutta adds the noise once: with no drift the path is the sum of the increments."""
    numbers = torch.randn(40, 1, 4, dtype=torch.float64)
    cell = tdn.IF(v_th=1e9, integrator=tdn.RK4(), noise=tdn.WhiteNoise(0.7), dt=0.25).double()
    _, state = cell.scan(tdn.Noisy(torch.zeros_like(numbers), part=numbers))
    assert_close(state.v, 0.7 * 0.5 * numbers.sum(0))


def test_is_refused_where_a_current_has_no_meaning():
    with pytest.raises(ValueError, match="acts on the threshold, got WhiteNoise, but a current"):
        tdn.ResonateAndFire(noise=tdn.WhiteNoise())
    with pytest.raises(TypeError, match="noise"):
        tdn.LIF(noise=tdn.SpikeFrequencyAdaptation())
    with pytest.raises(ValueError, match="0 or a number above"):
        tdn.WhiteNoise(-1.0)
