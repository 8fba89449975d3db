import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_discrete_lyapunov
from torch.testing import assert_close

import torchdyn_neuro as tdn

TAU_MEM, R, SIGMA, DT = 20.0, 1.5, 3.0, 2.0
MEMORIES = [0.1 * DT, DT, 10 * DT, TAU_MEM]


def built(tau, cls=tdn.LIF, **options):
    # Given in float64, for float32(0.2) is not a tenth of the step.
    noise = tdn.OrnsteinUhlenbeckNoise(torch.tensor(tau, dtype=torch.float64), sigma=SIGMA)
    return cls(TAU_MEM, R=R, v_th=1e9, noise=noise, dt=DT, **options).double()


def exact_step(tau, leak):
    """Propagator and Cholesky factor of the covariance of (eta, v) over a step, by Van Loan's matrix exponential."""
    drift = np.array([[-1 / tau, 0.0], [R / TAU_MEM, -leak]])
    diffusion = np.diag([(SIGMA / tau) ** 2, 0.0])
    block = expm(np.block([[-drift, diffusion], [np.zeros((2, 2)), drift.T]]) * DT)
    propagator = block[2:, 2:].T
    return propagator, np.linalg.cholesky(propagator @ block[:2, 2:])


def numbers(steps=60, shape=(2, 3)):
    return np.random.default_rng(1).standard_normal((steps, 2, *shape))


def scanned(cell, z):
    drive = tdn.Noisy(torch.zeros(len(z), *z.shape[2:], dtype=torch.float64), part=tuple(torch.from_numpy(z).unbind(1)))
    return cell.scan(drive)[1]


@pytest.mark.parametrize("tau", MEMORIES)
@pytest.mark.parametrize(("cls", "integrator"), [(tdn.LIF, tdn.ExponentialEuler()), (tdn.SynapticLIF, tdn.Exact())])
def test_path_for_given_numbers(tau, cls, integrator):
    """The pair of noise and potential, solved exactly, with the first number for the noise."""
    propagator, factor = exact_step(tau, 1 / TAU_MEM)
    z, state = numbers(), np.zeros((2, 2, 3))
    for row in z:
        state = np.einsum("ij,jbn->ibn", propagator, state) + np.einsum("ij,jbn->ibn", factor, row)
    end = scanned(built(tau, cls, integrator=integrator), z)
    assert_close(end.noise, torch.from_numpy(state[0]))
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
    z, eta, v = numbers(), np.zeros((2, 3)), np.zeros((2, 3))
    for row in z:
        fresh = np.einsum("ij,jbn->ibn", factor, row)
        charge = propagator[1, 0] * eta + fresh[1]  # the exact integral of R eta / tau_mem over the step
        v = left * v + (1 - left) * charge * TAU_MEM / DT
        eta = propagator[0, 0] * eta + fresh[0]
    end = scanned(built(tau, integrator=integrator), z)
    assert_close(end.noise, torch.from_numpy(eta))
    assert_close(end.v, torch.from_numpy(v))


def stationary(cell):
    """The covariance of (eta, v), from the linear map that a step is."""
    zero = torch.zeros(1, 1, dtype=torch.float64)

    def moved(eta=0.0, v=0.0, first=0.0, second=0.0):
        start = cell.initial_state(zero)._replace(v=zero + v, noise=zero + eta)
        end = cell.step(tdn.Noisy(zero, part=(zero + first, zero + second)), start)[1]
        return [end.noise.item(), end.v.item()]

    propagator = np.array([moved(eta=1.0), moved(v=1.0)]).T
    factor = np.array([moved(first=1.0), moved(second=1.0)]).T
    return solve_discrete_lyapunov(propagator, factor @ factor.T)


@pytest.mark.parametrize("tau", MEMORIES)
def test_stationary_covariance_does_not_depend_on_the_step(tau):
    variance = SIGMA**2 / (2 * tau)
    mixed = variance * R * tau / (tau + TAU_MEM)
    np.testing.assert_allclose(stationary(built(tau)), [[variance, mixed], [mixed, R * mixed]], rtol=1e-9)


def test_explicit_integrators_are_second_order_in_the_stationary_covariance():
    def error(dt):
        cell = tdn.LIF(
            TAU_MEM, R=R, v_th=1e9, integrator=tdn.Heun(), noise=tdn.OrnsteinUhlenbeckNoise(8.0, sigma=SIGMA), dt=dt
        ).double()
        return stationary(cell)[1, 1] - R**2 * SIGMA**2 / (2 * (8.0 + TAU_MEM))

    assert math.log2(error(2.0) / error(1.0)) == pytest.approx(2, abs=0.15)


def test_becomes_white_for_a_short_memory():
    """For tau towards 0 the second number does what that of white noise does, and the first one nothing."""
    z = numbers()
    short = scanned(built(1e-6 * DT), z)
    white = tdn.LIF(TAU_MEM, R=R, v_th=1e9, noise=tdn.WhiteNoise(SIGMA), dt=DT).double()
    end = white.scan(tdn.Noisy(torch.zeros(60, 2, 3, dtype=torch.float64), part=torch.from_numpy(z[:, 1])))[1]
    # What is left of the first number falls with the root of tau / dt.
    assert_close(short.v, end.v, rtol=2e-3, atol=2e-3)
    with pytest.raises(AssertionError):
        assert_close(scanned(built(DT), z).v, end.v, rtol=0.1, atol=0.1)


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
    assert state.noise.var().item() == pytest.approx(variance, rel=tolerance)
    correlation = (state.noise * later.noise).mean().item() / variance
    assert correlation == pytest.approx(math.exp(-lag * DT / tau), abs=tolerance)
    # Of RK4 the step of 2 ms changes the variance of the potential by a thousandth.
    assert state.v.var().item() == pytest.approx(R**2 * variance * tau / (tau + TAU_MEM), rel=tolerance)
    assert abs((state.v[0] * state.v[1]).mean().item()) < 5 * state.v.var().item() / math.sqrt(shape[1])


def test_any_memory_is_stable_with_an_explicit_integrator():
    cell = tdn.LIF(tau_mem=20.0, integrator=tdn.Euler(), noise=tdn.OrnsteinUhlenbeckNoise(tdn.Learned(1e-3)))
    cell.check_stability()
    y, state = cell.scan(torch.full((50, 1, 4), 2.0))
    assert y.sum() > 0
    (state.v.sum() + state.noise.sum()).backward()
    assert cell.noise.tau.raw.grad.isfinite()


def test_a_refractory_neuron_does_not_move_while_its_noise_goes_on():
    cell = tdn.LIF(t_ref=5.0, integrator=tdn.RK4(), noise=tdn.OrnsteinUhlenbeckNoise(3.0, sigma=5.0))
    state = cell.initial_state(torch.zeros(1, 1))._replace(refractory=torch.full((1, 1), 3.0))
    _, after = cell.step(torch.ones(1, 1), state)
    assert after.v.item() == 0.0
    assert after.noise.item() != 0.0
