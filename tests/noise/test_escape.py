import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.random_numbers import uniforms_of

RHO, WIDTH, TAU, DRIVE = 0.08, 0.15, 20.0, 1.1


def test_probability_of_a_spike():
    """Frequencies at held potentials against 1 - exp(-rho dt)."""
    torch.manual_seed(0)
    above = torch.tensor([-0.4, -0.1, 0.0, 0.2, 0.5], dtype=torch.float64)
    cell = tdn.IF(noise=tdn.EscapeNoise(RHO, Delta_u=WIDTH), dt=2.0).double()
    count = 40000
    state = cell.initial_state(torch.zeros(count, 5, dtype=torch.float64))
    spikes, _ = cell.step(torch.zeros(count, 5, dtype=torch.float64), state._replace(v=state.v + 1 + above))
    probability = 1 - np.exp(-2.0 * 0.08 * np.exp(above.numpy() / 0.15))
    error = np.sqrt(probability * (1 - probability) / count)
    assert (np.abs(spikes.mean(0).numpy() - probability) < 5 * error + 1e-9).all()


def test_intervals_follow_the_hazard():
    """First spikes of many cells against the distribution by the integral of the hazard (Kolmogorov-Smirnov)."""
    torch.manual_seed(0)
    dt, steps, cells = 0.25, 1200, 3000
    cell = tdn.EscapeLIF(TAU, rho_0=RHO, Delta_u=WIDTH, dt=dt)
    with torch.no_grad():
        y = cell(torch.full((steps, 1, cells), DRIVE))[:, 0]
    spiked = y.max(0).values > 0
    assert spiked.all()
    first = (y.argmax(0) + 1).numpy() * dt
    fine = np.arange(0, steps * dt, 0.01)
    v = DRIVE * (1 - np.exp(-fine / TAU))
    hazard = np.cumsum(RHO * np.exp((v - 1) / WIDTH)) * 0.01
    # Within a step the law is spread evenly, so that the grid does not show as ties.
    spread = first - dt * np.random.default_rng(0).random(cells)
    result = stats.kstest(spread, lambda t: 1 - np.exp(-np.interp(t, fine, hazard)))
    assert result.pvalue > 0.01


def test_intervals_between_spikes_are_renewal():
    """After a reset to zero the next interval has the law of the first."""
    torch.manual_seed(0)
    cell = tdn.EscapeLIF(TAU, rho_0=RHO, Delta_u=WIDTH, reset="zero", dt=0.5)
    with torch.no_grad():
        y = cell(torch.full((800, 1, 1000), DRIVE))[:, 0]
    fine = np.arange(0, 400, 0.01)
    hazard = np.cumsum(RHO * np.exp((DRIVE * (1 - np.exp(-fine / TAU)) - 1) / WIDTH)) * 0.01
    mean = np.exp(-hazard).sum() * 0.01
    times = [np.flatnonzero(row) * 0.5 for row in y.T.numpy()]
    # The second interval of every cell, the spread of which is below its mean: 5 standard errors.
    second = np.array([row[1] - row[0] for row in times if len(row) > 1])
    assert len(second) > 990
    assert second.mean() == pytest.approx(mean, abs=5 * second.std() / math.sqrt(len(second)))


def test_width_towards_zero_is_the_hard_threshold():
    x = torch.full((200, 1, 3), 1.7)
    soft = tdn.LIF(noise=tdn.EscapeNoise(1.0, Delta_u=1e-6))(x)
    assert soft.sum() > 10
    assert torch.equal(soft, tdn.LIF()(x))


def test_spikes_for_the_numbers_of_its_key():
    """A step spikes where its uniform number lies below the probability of the potential that it has reached."""
    torch.manual_seed(0)
    steps, dt, drive = 60, 0.5, 1.2
    cell = tdn.LIF(TAU, noise=tdn.EscapeNoise(RHO, Delta_u=WIDTH), reset="zero", dt=dt).double()
    x = torch.full((steps, 2, 40), drive, dtype=torch.float64)
    start = cell.initial_state(x[0])
    v, rows = np.zeros((2, 40)), []
    for number in uniforms_of(start.noise.key, steps).numpy():
        v = drive + (v - drive) * math.exp(-dt / TAU)
        rows.append(number < -np.expm1(-dt * RHO * np.exp((v - 1) / WIDTH)))
        v = np.where(rows[-1], 0.0, v)
    spikes, _ = cell.scan(x, start)
    assert 20 < spikes.sum() < spikes.numel() / 2
    assert torch.equal(spikes, torch.from_numpy(np.stack(rows)).double())


def test_expected_gradient_is_that_of_the_probability(monkeypatch):
    """Averaged over the uniform number, a narrow surrogate of unit area gives dp/dv."""
    numbers = (torch.arange(200000, dtype=torch.float64) + 0.5).reshape(-1, 1) / 200000
    monkeypatch.setattr(tdn.EscapeNoise, "uniform", lambda self, key, dtype: numbers.to(dtype))
    cell = tdn.IF(surrogate=tdn.Rectangular(0.01), noise=tdn.EscapeNoise(RHO, Delta_u=WIDTH)).double()
    x = torch.full((1, 200000, 1), 1.05, dtype=torch.float64, requires_grad=True)
    with tdn.backend("eager"):
        cell(x).mean().backward()
    rho = RHO * math.exp(0.05 / WIDTH)
    # 0.01 is not infinitely narrow.
    assert_close(x.grad.sum(), torch.tensor(rho / WIDTH * math.exp(-rho), dtype=torch.float64), rtol=1e-3, atol=0)


@pytest.mark.parametrize("edge", [0.0, 2.0**-33, 1 - 2**-24])
def test_extreme_numbers_leave_value_and_gradient_finite(edge, monkeypatch):
    monkeypatch.setattr(tdn.EscapeNoise, "uniform", lambda self, key, dtype: torch.full(key.shape, edge, dtype=dtype))
    noise = tdn.EscapeNoise(tdn.Learned(RHO), Delta_u=tdn.Learned(WIDTH))
    cell = tdn.LIF(noise=noise)
    x = torch.tensor([[[-1e6, 0.0, 1e6]]], requires_grad=True)
    moved = noise.threshold(cell.initial_state(x[0]).noise, torch.zeros(1, 3), cell.dt)
    assert moved.isfinite().all()
    with tdn.backend("eager"):
        y = cell(x)
    y.sum().backward()
    for value in (y, x.grad, noise.rho_0.raw.grad, noise.Delta_u.raw.grad):
        assert value.isfinite().all()
