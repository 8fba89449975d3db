import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch.testing import assert_close

import torchdyn_neuro as tdn

TAU_MEM, TAU, SIGMA = 20.0, 8.0, 3.0


def test_path_for_given_increments():
    """The current decays while the membrane integrates it, and its increment grows linearly over the step."""
    numbers = np.random.default_rng(1).standard_normal((60, 2, 3))
    propagator = expm(np.array([[-1 / TAU_MEM, 1 / TAU_MEM], [0.0, -1 / TAU]]))
    deviation = SIGMA * math.sqrt((1 - math.exp(-2 / TAU)) / (2 * TAU))
    v, eta = np.zeros((2, 3)), np.zeros((2, 3))
    for row in numbers:
        kick = deviation * row
        v = propagator[0, 0] * v + propagator[0, 1] * eta + kick / 2 / TAU_MEM
        eta = propagator[1, 1] * eta + kick
    cell = tdn.LIF(TAU_MEM, v_th=1e9, noise=tdn.OrnsteinUhlenbeckNoise(TAU, sigma=SIGMA)).double()
    _, state = cell.scan(tdn.Noisy(torch.zeros(60, 2, 3, dtype=torch.float64), part=torch.from_numpy(numbers)))
    assert_close(state.v, torch.from_numpy(v))
    assert_close(state.noise, torch.from_numpy(eta))


@pytest.mark.parametrize("integrator", [tdn.ExponentialEuler(), tdn.RK4()])
def test_stationary_variance_autocorrelation_and_membrane(integrator):
    torch.manual_seed(0)
    dt, lag, shape = 1.0, 6, (2, 20000)
    cell = tdn.LIF(
        TAU_MEM, v_th=1e9, integrator=integrator, noise=tdn.OrnsteinUhlenbeckNoise(TAU, sigma=SIGMA), dt=dt
    ).double()
    with torch.no_grad():
        _, state = cell.scan(torch.zeros(160, *shape, dtype=torch.float64))
        _, later = cell.scan(torch.zeros(lag, *shape, dtype=torch.float64), state)
    variance, tolerance = SIGMA**2 / (2 * TAU), 5 * math.sqrt(2 / state.v.numel())
    assert state.noise.var().item() == pytest.approx(variance, rel=tolerance)
    correlation = (state.noise * later.noise).mean().item() / variance
    assert correlation == pytest.approx(math.exp(-lag * dt / TAU), abs=tolerance)
    # The low-pass of the noise by the membrane; the grid of 1 ms changes it by less than the sampling error.
    membrane = variance * TAU / (TAU + TAU_MEM)
    assert state.v.var().item() == pytest.approx(membrane, rel=tolerance)


def test_becomes_white_for_a_short_memory():
    """For tau far below the membrane's, the variance of the potential is that of white noise of the same sigma."""
    torch.manual_seed(0)
    cell = tdn.LIF(20.0, v_th=1e9, noise=tdn.OrnsteinUhlenbeckNoise(0.4, sigma=SIGMA), dt=0.2)
    with torch.no_grad():
        _, state = cell.scan(torch.zeros(400, 1, 10000))
    # The memory lowers it by tau / (tau + tau_mem), 2 %; the sampling error is 1.4 %.
    assert state.v.var().item() == pytest.approx(SIGMA**2 / (2 * 20.0), rel=0.06)
