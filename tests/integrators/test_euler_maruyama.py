"""Noise of an equation: strong order, stationary variance, pieces and steps of one run."""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.random_numbers import normal_of
from torchdyn_neuro.core import State

TAU, SIGMA = 10.0, 2.0
STREAM = 16  # of the random numbers of the first field with noise


class OrnsteinUhlenbeckState(NamedTuple):
    """v: the process; noise: with the key of its random numbers."""

    v: Tensor
    noise: State = ()


class OrnsteinUhlenbeck(tdn.ODE):
    r"""tau dv/dt = -v + x + sigma xi"""

    def __init__(self, dt):
        super().__init__(integrator=tdn.EulerMaruyama(), dt=dt)
        self.tau = tdn.Positive(TAU)

    def initial_state(self, x_t):
        return OrnsteinUhlenbeckState(tdn.zeros_state(x_t), **self.initial_terms(x_t))

    def relaxation(self, x_t, state):
        return OrnsteinUhlenbeckState(x_t), OrnsteinUhlenbeckState(self.tau())

    def diffusion(self, x_t, state):
        return OrnsteinUhlenbeckState(torch.full_like(state.v, SIGMA / TAU))


def numbers_of(key, steps):
    """The normal numbers of each step of a run that starts at ``key``: [steps, B, \\*]."""
    return normal_of(key, steps, stream=STREAM)


def exact_path(increments, duration):
    """The process under the Brownian motion with these standard normal increments [N, 1, paths].

    The stochastic integral of the linear equation, by parts: v(t) = sigma/tau (W(t) - 1/tau int exp(-(t - s)/tau) W(s)
    ds), the integral by the trapezoidal rule.
    """
    h, (_, rows, paths) = duration / len(increments), increments.shape
    brownian = torch.cat([torch.zeros(1, rows, paths).double(), increments.cumsum(0) * math.sqrt(h)])
    decay, integral, path = math.exp(-h / TAU), torch.zeros(rows, paths, dtype=torch.float64), []
    for before, after in itertools.pairwise(brownian):
        integral = integral * decay + h / 2 * (before * decay + after)
        path.append(SIGMA / TAU * (after - integral / TAU))
    return torch.stack(path)


def test_strong_order_one_against_the_path_of_the_same_brownian_motion():
    finest, duration, paths = 4096, 20.0, 400
    generator = torch.Generator().manual_seed(0)
    within = torch.randn(finest, 1, paths, generator=generator, dtype=torch.float64)

    def error(steps):
        torch.manual_seed(0)
        module, x = OrnsteinUhlenbeck(duration / steps).double(), torch.zeros(steps, 1, paths, dtype=torch.float64)
        start = module.initial_state(x[0])
        y, _ = module.scan(x, start)
        # A Brownian motion between the points of the coarse grid, on which it has the increments of the run.
        ratio = finest // steps
        bridge = within.unflatten(0, (steps, ratio))
        bridge = (
            bridge - bridge.mean(1, keepdim=True) + numbers_of(start.noise.key, steps).unsqueeze(1) / math.sqrt(ratio)
        )
        reference = exact_path(bridge.flatten(0, 1), duration)
        return (y - reference[ratio - 1 :: ratio]).abs().amax(0).mean().item()

    assert math.log2(error(32) / error(64)) == pytest.approx(1, abs=0.15)


def test_path_for_the_numbers_of_its_key():
    torch.manual_seed(0)
    dt = 0.5
    module, x = OrnsteinUhlenbeck(dt).double(), torch.ones(40, 2, 3, dtype=torch.float64)
    start = module.initial_state(x[0])
    v = torch.zeros(2, 3, dtype=torch.float64)
    for number in numbers_of(start.noise.key, 40):
        v = v + dt * (1 - v) / TAU + SIGMA / TAU * math.sqrt(dt) * number
    _, state = module.scan(x, start)
    assert_close(state.v, v)
    assert torch.equal(state.noise.key, start.noise.key + 40)


def test_stationary_variance():
    torch.manual_seed(0)
    dt, rows = 0.25, 4000
    with torch.no_grad():
        v = OrnsteinUhlenbeck(dt)(torch.zeros(400, 1, rows))[-1].flatten()
    # The Euler-Maruyama recursion has the variance sigma^2 / (2 tau) / (1 - dt / (2 tau)), up to exp(-2 * 100 / tau).
    expected = SIGMA**2 / (2 * TAU) / (1 - dt / (2 * TAU))
    # Five standard errors of the variance of independent normal numbers.
    assert v.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / rows))
    assert v.var().item() == pytest.approx(SIGMA**2 / (2 * TAU), rel=5 * math.sqrt(2 / rows) + dt / TAU)
    assert abs(v.mean().item()) < 5 * math.sqrt(expected / rows)


def test_noise_is_independent_over_neurons_rows_and_steps():
    torch.manual_seed(0)
    module, x = OrnsteinUhlenbeck(1.0).double(), torch.zeros(50, 40, 30, dtype=torch.float64)
    v = module(x)
    # What each step adds, and so the number that it took.
    normal = (v - (1 - 1 / TAU) * torch.cat([torch.zeros_like(v[:1]), v[:-1]])) * TAU / SIGMA
    for axis in range(3):
        neighbours = normal.narrow(axis, 0, normal.shape[axis] - 1) * normal.narrow(axis, 1, normal.shape[axis] - 1)
        assert abs(neighbours.mean().item()) < 5 / math.sqrt(neighbours.numel())


def test_pieces_and_steps_are_the_whole():
    module, x = OrnsteinUhlenbeck(1.0), torch.ones(9, 2, 30)
    # Bit for bit is a promise of the definition; a compiled loop rounds otherwise than a step.
    with tdn.backend("eager"):
        torch.manual_seed(3)
        whole, last = module.scan(x)
        torch.manual_seed(3)
        first, state = module.scan(x[:4])
        second, end = module.scan(x[4:], state)
        assert_close(torch.cat([first, second]), whole, rtol=0, atol=0)
        assert_close(end, last, rtol=0, atol=0)
        torch.manual_seed(3)
        state, outputs = module.initial_state(x[0]), []
        for x_t in x:
            y_t, state = module.step(x_t, state)
            outputs.append(y_t)
        assert_close(torch.stack(outputs), whole, rtol=0, atol=0)
        assert not torch.equal(module(x), whole)


class NoisySynapticLIF(tdn.SynapticLIF):
    """A spiking cell with arrivals and noise on its membrane."""

    def diffusion(self, x_t, state):
        return state._replace(v=torch.full_like(state.v, 0.05), s=(), refractory=())


def test_a_spiking_cell_with_arrivals_takes_noise_on_its_membrane_only():
    cell = NoisySynapticLIF(t_ref=3.0, integrator=tdn.EulerMaruyama())
    torch.manual_seed(0)
    x = torch.full((60, 1, 20), 0.5)
    seen = tdn.record(cell, x, ["v", "s", "output"])
    assert 0 < seen["output"].sum() < x.numel()
    assert_close(seen["s"], seen["s"][:, :, :1].expand_as(seen["s"]))
    assert seen["v"].std(-1).min() >= 0
    assert seen["v"][0].std() > 0


def test_a_noise_that_attaches_shares_the_key_and_has_numbers_of_its_own():
    """Two independent noises: their variances add, in one path for the numbers of one key."""
    torch.manual_seed(0)
    sigma, dt = 1.5, 0.5
    cell = Jittered(TAU, integrator=tdn.EulerMaruyama(), noise=tdn.WhiteNoise(sigma), dt=dt).double()
    x = torch.zeros(40, 2, 300, dtype=torch.float64)
    start = cell.initial_state(x[0])
    attached, own = normal_of(start.noise.key, 40), numbers_of(start.noise.key, 40)
    assert abs((attached * own).mean()) < 5 / math.sqrt(own.numel())
    v = torch.zeros(2, 300, dtype=torch.float64)
    for one, other in zip(attached, own, strict=True):
        v = v + dt * (sigma / math.sqrt(dt) * one - v) / TAU + 0.1 * math.sqrt(dt) * other
    _, state = cell.scan(x, start)
    assert_close(state.v, v)
    assert torch.equal(state.noise.key, start.noise.key + 40)


class Jittered(tdn.LeakyIntegrator):
    """A shipped equation with noise of its own, given as a number."""

    def diffusion(self, x_t, state):
        return state._replace(v=0.1)


def test_a_shipped_equation_takes_noise_by_two_lines():
    torch.manual_seed(0)
    cell, x = Jittered(TAU, integrator=tdn.EulerMaruyama()).double(), torch.ones(40, 2, 3, dtype=torch.float64)
    start = cell.initial_state(x[0])
    v = torch.zeros(2, 3, dtype=torch.float64)
    for number in numbers_of(start.noise.key, 40):
        v = v + (1 - v) / TAU + 0.1 * number
    assert_close(cell.scan(x, start)[1].v, v)


def test_is_refused_inside_a_search_for_crossings():
    for noise in (None, tdn.WhiteNoise()):
        with pytest.raises(ValueError, match="expected a method without noise inside Interpolated, got EulerMaruyama"):
            NoisySynapticLIF(integrator=tdn.Interpolated(tdn.EulerMaruyama()), noise=noise)
    with pytest.raises(ValueError, match=r"expected an equation with noise \(a method diffusion\)"):
        tdn.LIF(integrator=tdn.EulerMaruyama())
