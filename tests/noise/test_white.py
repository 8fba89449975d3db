import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfcx
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.pieces import scan_in_pieces_and_by_steps
from tests.random_numbers import normal_of
from torchdyn_neuro.core.state import map_state


def without_threshold(**options):
    return tdn.LIF(20.0, v_th=1e9, **options).double()


def test_path_for_the_numbers_of_its_key():
    """Path by path, exact for exponential Euler and Euler-Maruyama for Euler, in NumPy."""
    torch.manual_seed(0)
    sigma, tau, R, drive = 1.3, 20.0, 1.7, 0.4
    x = torch.full((50, 2, 3), drive, dtype=torch.float64)
    for integrator, decay, deviation in (
        (tdn.ExponentialEuler(), math.exp(-1 / tau), R * sigma * math.sqrt((1 - math.exp(-2 / tau)) / (2 * tau))),
        (tdn.Euler(), 1 - 1 / tau, R * sigma / tau),
    ):
        cell = without_threshold(R=R, integrator=integrator, noise=tdn.WhiteNoise(sigma))
        start = cell.initial_state(x[0])
        numbers = normal_of(start.noise.key, 50).numpy()
        assert len(np.unique(numbers)) == numbers.size
        v = np.zeros((2, 3))
        for row in numbers:
            v = R * drive + (v - R * drive) * decay + deviation * row
        seen = tdn.record(cell, x[:1], ["v"])
        assert seen["v"].shape == (1, 2, 3)
        _, state = cell.scan(x, start)
        assert_close(state.v, torch.from_numpy(v))
        assert torch.equal(state.noise.key, start.noise.key + 50)
        assert state.noise.current == ()


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
    whole = scan_in_pieces_and_by_steps(cell, x, 11, seed=3)
    assert whole.sum() > 5
    assert not torch.equal(cell(x), whole), "another start gives another path"


def test_a_step_is_a_pure_function_of_its_state():
    """The same key, the same numbers: again, for a row in another place, and for a row by itself."""
    cell, x = tdn.LIF(noise=tdn.WhiteNoise(3.0)), torch.full((30, 4, 20), 0.9)
    order = torch.tensor([2, 0, 3, 1])
    with tdn.backend("eager"):
        start = cell.initial_state(x[0])
        y, _ = cell.scan(x, start)
        again, _ = cell.scan(x, start)
        permuted, _ = cell.scan(x, map_state(lambda leaf: leaf[order], start))
        alone, _ = cell.scan(x[:, 1:2], map_state(lambda leaf: leaf[1:2], start))
    assert 5 < y.sum() < y.numel()
    assert torch.equal(again, y)
    assert torch.equal(permuted, y[:, order])
    assert torch.equal(alone, y[:, 1:2])
    assert not torch.equal(y[:, 0], y[:, 1])


def test_one_draw_for_all_stages():
    """Runge-Kutta adds the noise once: with no drift the path is the sum of the increments."""
    torch.manual_seed(0)
    x = torch.zeros(40, 1, 4, dtype=torch.float64)
    cell = tdn.IF(v_th=1e9, integrator=tdn.RK4(), noise=tdn.WhiteNoise(0.7), dt=0.25).double()
    start = cell.initial_state(x[0])
    _, state = cell.scan(x, start)
    assert_close(state.v, 0.7 * 0.5 * normal_of(start.noise.key, 40).sum(0))


def test_a_readout_has_the_stationary_variance():
    """sigma^2 / (2 tau) for R = 1, at a step of half the time constant."""
    torch.manual_seed(0)
    sigma, tau, dt = 2.0, 10.0, 5.0
    readout = tdn.LeakyIntegrator(tau, noise=tdn.WhiteNoise(sigma), dt=dt).double()
    with torch.no_grad():
        _, state = readout.scan(torch.zeros(40, 4, 20000, dtype=torch.float64))
    tolerance = 5 * math.sqrt(2 / state.v.numel())
    assert state.v.var().item() == pytest.approx(sigma**2 / (2 * tau), rel=tolerance)
    assert abs(state.v.mean().item()) < 5 * sigma / math.sqrt(2 * tau * state.v.numel())


def test_a_readout_is_exact_under_exponential_euler():
    """Path by path, and so that the variance of the recursion is the stationary one at any step."""
    torch.manual_seed(0)
    sigma, tau, R, rest = 2.0, 10.0, 1.5, -3.0
    for dt in (0.5, 5.0, 40.0):
        readout = tdn.LeakyIntegrator(tau, R=R, v_rest=rest, noise=tdn.WhiteNoise(sigma), dt=dt).double()
        x = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None, None].expand(30, 2, 3)
        start = readout.initial_state(x[0])
        decay = math.exp(-dt / tau)
        deviation = math.sqrt((R * sigma) ** 2 / (2 * tau) * (1 - decay**2))
        v, path = np.full((2, 3), rest), []
        for x_t, row in zip(x.numpy(), normal_of(start.noise.key, 30).numpy(), strict=True):
            goal = rest + R * x_t
            v = goal + (v - goal) * decay + deviation * row
            path.append(v)
        y, _ = readout.scan(x, start)
        assert_close(y, torch.from_numpy(np.stack(path)))


@pytest.mark.parametrize("integrator", [tdn.Exact(), tdn.RK4(), tdn.Euler()], ids=repr)
def test_a_resonator_takes_it_as_a_current_held_over_the_step(integrator):
    """It moves u, as the input does: the cell with noise is the one without under x + sigma / sqrt(dt) z."""
    torch.manual_seed(0)
    sigma, dt = 0.4, 0.5
    x = torch.full((200, 2, 3), 0.05, dtype=torch.float64)
    noisy = tdn.ResonateAndFire(integrator=integrator, noise=tdn.WhiteNoise(sigma), dt=dt).double()
    plain = tdn.ResonateAndFire(integrator=integrator, dt=dt).double()
    start = noisy.initial_state(x[0])
    y, state = noisy.scan(x, start)
    expected, end = plain.scan(x + sigma / math.sqrt(dt) * normal_of(start.noise.key, 200))
    assert expected.sum() > 5
    assert torch.equal(y, expected)
    assert_close(state.v, end.v)
    assert_close(state.u, end.u)


class Threshold(tdn.Spiking):
    """A user's cell that does not say how a current moves its potential."""

    def __init__(self, **options):
        super().__init__(v_th=1.0, surrogate=tdn.ATan(), integrator=tdn.Euler(), **options)

    def initial_state(self, x_t):
        return tdn.LIFState(v=tdn.zeros_state(x_t), **self.initial_terms(x_t))

    def derivative(self, x_t, state):
        return tdn.LIFState(v=x_t - state.v / 20)


def test_is_refused_where_a_current_has_no_meaning():
    with pytest.raises(ValueError, match=r"moves its potential \(a method membrane\), which WhiteNoise needs"):
        Threshold(noise=tdn.WhiteNoise())
    Threshold(noise=tdn.EscapeNoise())
    with pytest.raises(TypeError, match="noise"):
        tdn.LIF(noise=tdn.SpikeFrequencyAdaptation())
    with pytest.raises(ValueError, match="0 or a number above"):
        tdn.WhiteNoise(-1.0)
