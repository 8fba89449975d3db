import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_discrete_lyapunov
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.random_numbers import normals_of

TAU_MEM, R, SIGMA, DT = 20.0, 1.5, 3.0, 2.0
MEMORIES = [0.1 * DT, DT, 10 * DT, TAU_MEM]


def built(tau, cls=tdn.LIF, **options):
    # Given in float64, for float32(0.2) is not a tenth of the step.
    noise = tdn.OrnsteinUhlenbeckNoise(torch.tensor(tau, dtype=torch.float64), sigma=SIGMA)
    return cls(TAU_MEM, R=R, v_th=1e9, noise=noise, dt=DT, **options).double()


def readout(tau):
    noise = tdn.OrnsteinUhlenbeckNoise(torch.tensor(tau, dtype=torch.float64), sigma=SIGMA)
    return tdn.LeakyIntegrator(TAU_MEM, R=R, noise=noise, dt=DT).double()


def exact_step(tau, leak):
    """Propagator and Cholesky factor of the covariance of (eta, v) over a step, by Van Loan's matrix exponential."""
    drift = np.array([[-1 / tau, 0.0], [R / TAU_MEM, -leak]])
    diffusion = np.diag([(SIGMA / tau) ** 2, 0.0])
    block = expm(np.block([[-drift, diffusion], [np.zeros((2, 2)), drift.T]]) * DT)
    propagator = block[2:, 2:].T
    return propagator, np.linalg.cholesky(propagator @ block[:2, 2:])


def run(cell, steps=60, shape=(2, 3)):
    """The random numbers [steps, 2, B, N] of a run without input, and its last state."""
    torch.manual_seed(1)
    x = torch.zeros(steps, *shape, dtype=torch.float64)
    start = cell.initial_state(x[0])
    return normals_of(start.noise.key, steps).numpy(), cell.scan(x, start)[1]


@pytest.mark.parametrize("tau", MEMORIES)
@pytest.mark.parametrize(("cls", "integrator"), [(tdn.LIF, tdn.ExponentialEuler()), (tdn.SynapticLIF, tdn.Exact())])
def test_path_for_the_numbers_of_its_key(tau, cls, integrator):
    """The pair of noise and potential, solved exactly, with the first number for the noise."""
    propagator, factor = exact_step(tau, 1 / TAU_MEM)
    z, end = run(built(tau, cls, integrator=integrator))
    state = np.zeros((2, 2, 3))
    for row in z:
        state = np.einsum("ij,jbn->ibn", propagator, state) + np.einsum("ij,jbn->ibn", factor, row)
    assert_close(end.noise.current, torch.from_numpy(state[0]))
    assert_close(end.v, torch.from_numpy(state[1]))


@pytest.mark.parametrize("tau", MEMORIES)
@pytest.mark.parametrize(
    ("integrator", "kept"),
    [
        (tdn.Euler(), lambda a: 1 - a),
        (tdn.Heun(), lambda a: 1 - a + a**2 / 2),
        (tdn.RK4(), lambda a: 1 - a + a**2 / 2 - a**3 / 6 + a**4 / 24),
        (tdn.RK4(substeps=2), lambda a: (1 - a / 2 + a**2 / 8 - a**3 / 48 + a**4 / 384) ** 2),
    ],
    ids=["Euler", "Heun", "RK4", "two RK4"],
)
def test_explicit_integrators_hold_the_mean_of_the_noise(tau, integrator, kept):
    propagator, factor = exact_step(tau, 0.0)
    left = kept(DT / TAU_MEM)
    z, end = run(built(tau, integrator=integrator))
    eta, v = np.zeros((2, 3)), np.zeros((2, 3))
    for row in z:
        fresh = np.einsum("ij,jbn->ibn", factor, row)
        charge = propagator[1, 0] * eta + fresh[1]  # the exact integral of R eta / tau_mem over the step
        v = left * v + (1 - left) * charge * TAU_MEM / DT
        eta = propagator[0, 0] * eta + fresh[0]
    assert_close(end.noise.current, torch.from_numpy(eta))
    assert_close(end.v, torch.from_numpy(v))


@pytest.fixture
def stationary(monkeypatch):
    """Finds the covariance of (eta, v) of a cell, from the linear map that a step is."""
    zero = torch.zeros(1, 1, dtype=torch.float64)

    def covariance(cell):
        def moved(eta=0.0, v=0.0, first=0.0, second=0.0):
            numbers = (zero + first, zero + second)
            monkeypatch.setattr(tdn.OrnsteinUhlenbeckNoise, "normals", lambda self, key, dtype: numbers)
            start = cell.initial_state(zero)
            start = start._replace(v=zero + v, noise=start.noise._replace(current=zero + eta))
            end = cell.step(zero, start)[1]
            return [end.noise.current.item(), end.v.item()]

        propagator = np.array([moved(eta=1.0), moved(v=1.0)]).T
        factor = np.array([moved(first=1.0), moved(second=1.0)]).T
        return solve_discrete_lyapunov(propagator, factor @ factor.T)

    return covariance


@pytest.mark.parametrize("tau", MEMORIES)
@pytest.mark.parametrize("cls", ["LIF", "LeakyIntegrator"])
def test_stationary_covariance_does_not_depend_on_the_step(tau, cls, stationary):
    variance = SIGMA**2 / (2 * tau)
    mixed = variance * R * tau / (tau + TAU_MEM)
    cell = {"LIF": built, "LeakyIntegrator": readout}[cls](tau)
    np.testing.assert_allclose(stationary(cell), [[variance, mixed], [mixed, R * mixed]], rtol=1e-9)


def test_explicit_integrators_are_second_order_in_the_stationary_covariance(stationary):
    def error(dt):
        cell = tdn.LIF(
            TAU_MEM, R=R, v_th=1e9, integrator=tdn.Heun(), noise=tdn.OrnsteinUhlenbeckNoise(8.0, sigma=SIGMA), dt=dt
        ).double()
        return stationary(cell)[1, 1] - R**2 * SIGMA**2 / (2 * (8.0 + TAU_MEM))

    assert math.log2(error(2.0) / error(1.0)) == pytest.approx(2, abs=0.15)


def test_becomes_white_for_a_short_memory():
    """For tau towards 0 the second number does what that of white noise does, and the first one nothing."""
    z, short = run(built(1e-6 * DT))
    # The increments of white noise, written out: exact for a leaky membrane.
    decay, v = math.exp(-DT / TAU_MEM), np.zeros((2, 3))
    for row in z[:, 1]:
        v = v * decay + R * SIGMA * math.sqrt((1 - decay**2) / (2 * TAU_MEM)) * row
    # What is left of the first number falls with the root of tau / dt.
    assert_close(short.v, torch.from_numpy(v), rtol=2e-3, atol=2e-3)
    again, long = run(built(DT))
    assert np.array_equal(again, z)
    with pytest.raises(AssertionError):
        assert_close(long.v, torch.from_numpy(v), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("tau", [0.1 * DT, 10 * DT])
@pytest.mark.parametrize("integrator", [tdn.ExponentialEuler(), tdn.RK4()], ids=repr)
def test_drawn_numbers_have_the_statistics(tau, integrator):
    torch.manual_seed(0)
    lag, shape = 3, (2, 10000)
    cell = built(tau, integrator=integrator)
    with torch.no_grad():
        _, state = cell.scan(torch.zeros(100, *shape, dtype=torch.float64))
        _, later = cell.scan(torch.zeros(lag, *shape, dtype=torch.float64), state)
    variance, tolerance = SIGMA**2 / (2 * tau), 5 * math.sqrt(2 / state.v.numel())
    assert state.noise.current.var().item() == pytest.approx(variance, rel=tolerance)
    correlation = (state.noise.current * later.noise.current).mean().item() / variance
    assert correlation == pytest.approx(math.exp(-lag * DT / tau), abs=tolerance)
    # Of RK4 the step of 2 ms changes the variance of the potential by a thousandth.
    assert state.v.var().item() == pytest.approx(R**2 * variance * tau / (tau + TAU_MEM), rel=tolerance)
    assert abs((state.v[0] * state.v[1]).mean().item()) < 5 * state.v.var().item() / math.sqrt(shape[1])


def test_any_memory_is_stable_with_an_explicit_integrator():
    cell = tdn.LIF(tau_mem=20.0, integrator=tdn.Euler(), noise=tdn.OrnsteinUhlenbeckNoise(tdn.Learned(1e-3)))
    cell.check_stability()
    y, state = cell.scan(torch.full((50, 1, 4), 2.0))
    assert y.sum() > 0
    (state.v.sum() + state.noise.current.sum()).backward()
    assert cell.noise.tau.raw.grad.isfinite()


def test_a_refractory_neuron_does_not_move_while_its_noise_goes_on():
    cell = tdn.LIF(t_ref=5.0, integrator=tdn.RK4(), noise=tdn.OrnsteinUhlenbeckNoise(3.0, sigma=5.0))
    state = cell.initial_state(torch.zeros(1, 1))._replace(refractory=torch.full((1, 1), 3.0))
    _, after = cell.step(torch.ones(1, 1), state)
    assert after.v.item() == 0.0
    assert after.noise.current.item() != 0.0
