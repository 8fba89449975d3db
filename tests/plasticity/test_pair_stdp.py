"""Pair STDP against sums over pairs of spikes."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn

from .spike_trains import learned, random_spikes, times_of, train

A_PLUS, A_MINUS, TAU_PLUS, TAU_MINUS = 0.01, 0.007, 17.0, 34.0
EXACT = {"rtol": 0, "atol": 1e-12}


def rule(**options):
    return tdn.PairSTDP(A_PLUS, A_MINUS, TAU_PLUS, TAU_MINUS, **options)


def by_events(pre, post, weight, *, nearest=False, mu=(0, 0), low=-math.inf, high=math.inf):
    """The weight after all spikes at these times, by a sum over pairs at each event, with bounds at each."""
    last = slice(-1, None) if nearest else slice(None)
    for t in sorted({*pre, *post}):
        change = 0.0
        if t in post:
            window = sum(math.exp((s - t) / TAU_PLUS) for s in [s for s in pre if s < t][last])
            change += A_PLUS * window * ((high - weight) ** mu[0] if mu[0] else 1)
        if t in pre:
            window = sum(math.exp((s - t) / TAU_MINUS) for s in [s for s in post if s < t][last])
            change -= A_MINUS * window * ((weight - low) ** mu[1] if mu[1] else 1)
        weight = min(max(weight + change, low), high)
    return weight


@pytest.mark.parametrize("pairing", ["all", "nearest"])
@pytest.mark.parametrize("dt", [0.25, 1.0])
def test_the_window_is_the_formula(pairing, dt):
    lags = [-60, -20, -3, 3, 20, 60]  # one row of the batch each
    pre = torch.cat([train([max(0, -lag)], round(61 / dt), dt) for lag in lags], 1)
    post = torch.cat([train([max(0, lag)], round(61 / dt), dt) for lag in lags], 1)
    weight = learned(rule(pairing=pairing), pre, post, dt=dt)[-1].flatten()
    expected = [A_PLUS * math.exp(-s / TAU_PLUS) if s > 0 else -A_MINUS * math.exp(s / TAU_MINUS) for s in lags]
    assert_close(weight - 0.5, torch.tensor(expected, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("pairing", ["all", "nearest"])
@pytest.mark.parametrize(
    ("mu", "bounds"),
    [((0, 0), {}), ((0, 0), {"w_min": 0.45, "w_max": 0.55}), ((1, 1), {"w_min": 0.0, "w_max": 1.0}),
     ((0, 1), {"w_min": 0.0}), ((0.3, 0.3), {"w_min": 0.4, "w_max": 0.6})],
)  # fmt: skip
def test_the_clock_gives_what_events_give(pairing, mu, bounds):
    pre, post = random_spikes(150, 2, 3, seed=1), random_spikes(150, 2, 2, seed=2)
    weight = learned(rule(pairing=pairing, mu_plus=mu[0], mu_minus=mu[1], **bounds), pre, post, dt=0.5)
    low, high = bounds.get("w_min", -math.inf), bounds.get("w_max", math.inf)
    assert (weight[-1] - 0.5).abs().mean() > 1e-2
    for b in range(2):
        for i in range(2):
            for j in range(3):
                trains = times_of(pre[:, b, j], 0.5), times_of(post[:, b, i], 0.5)
                expected = by_events(*trains, 0.5, nearest=pairing == "nearest", mu=mu, low=low, high=high)
                assert weight[-1, b, i, j].item() == pytest.approx(expected, rel=0, abs=1e-12)


def test_the_opposite_trace_is_read_before_the_own_is_raised():
    """Two steps in which both spike: were the own spike counted first, each would pair with itself."""
    spikes = train([5, 15], 20)
    weight = learned(rule(), spikes, spikes).flatten()
    assert weight[5] == 0.5
    expected = A_PLUS * math.exp(-10 / TAU_PLUS) - A_MINUS * math.exp(-10 / TAU_MINUS)
    assert weight[15].item() - 0.5 == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize(("axonal", "dendritic"), [(3.0, 0.0), (0.0, 2.0), (4.0, 1.5)])
def test_delays_shift_the_trains(axonal, dendritic):
    pre, post = random_spikes(100, 1, 1, seed=3), random_spikes(100, 1, 1, seed=4)
    weight = learned(rule(axonal_delay=axonal, dendritic_delay=dendritic), pre, post, dt=0.5)
    shifted = [
        [time + delay for time in times_of(spikes[:, 0, 0], 0.5) if time + delay < 50]
        for spikes, delay in ((pre, axonal), (post, dendritic))
    ]
    assert weight[-1].item() == pytest.approx(by_events(*shifted, 0.5), rel=0, abs=1e-12)
    assert abs(weight[-1].item() - learned(rule(), pre, post, dt=0.5)[-1].item()) > 1e-3


def test_the_change_is_stationary_where_power_law_and_correlation_balance():
    """Gütig et al.: (1 - w)^mu = alpha w^mu for uncorrelated spikes, here as a mean over many trains."""
    mu, alpha = 0.4, 2.0
    pre, post = random_spikes(1500, 64, 1, p=0.1, seed=5), random_spikes(1500, 64, 1, p=0.1, seed=6)
    balanced = tdn.PairSTDP(2e-3, alpha * 2e-3, mu_plus=mu, mu_minus=mu, w_min=0.0, w_max=1.0)
    weight = learned(balanced, pre, post, start=0.2)[1000:].mean().item()
    assert weight == pytest.approx(1 / (1 + alpha ** (1 / mu)), abs=0.02)


def test_the_mean_drift_under_poisson_spikes():
    """rho_pre rho_post (A+ tau+ - A- tau-), with the sums over the grid in place of the time constants."""
    steps, trains, p, q = 600, 4000, 0.03, 0.05
    pre, post = random_spikes(steps, trains, 1, p=p, seed=7), random_spikes(steps, trains, 1, p=q, seed=8)
    weight = learned(rule(), pre, post)
    drift = (weight[-1] - weight[199]).flatten() / 400
    area = A_PLUS / math.expm1(1 / TAU_PLUS) - A_MINUS / math.expm1(1 / TAU_MINUS)
    assert area == pytest.approx(A_PLUS * TAU_PLUS - A_MINUS * TAU_MINUS, rel=0.05)
    error = drift.std().item() / math.sqrt(trains)
    assert drift.mean().item() == pytest.approx(p * q * area, abs=4 * error)
    assert abs(p * q * area) > 8 * error


def test_slopes_are_finite_at_the_bounds():
    weight = torch.tensor([[[0.0, 1.0, 0.5]]], dtype=torch.float64, requires_grad=True)
    power = rule(mu_plus=0.5, mu_minus=0.5, w_min=0.0, w_max=1.0).double()
    pre, post = torch.ones(1, 3).double(), torch.ones(1, 1).double()
    activity = tdn.Activity(pre, post, weight)
    state = power.initial_traces(activity, 1.0)  # of ones, so that all terms are there
    after, _ = power.update(weight, activity, state, 1.0)
    (slope,) = torch.autograd.grad(after.sum(), weight)
    assert slope.isfinite().all()
    up, down = A_PLUS * math.exp(-1 / TAU_PLUS), A_MINUS * math.exp(-1 / TAU_MINUS)
    assert slope[0, 0, 2].item() == pytest.approx(1 - 0.5**0.5 * (up + down), abs=1e-12)
    assert_close(after[0, 0, :2], torch.tensor([up, 1 - down], dtype=torch.float64), **EXACT)


def test_gradients_reach_what_is_learned():
    learning = tdn.PairSTDP(tdn.Learned(A_PLUS), tdn.Learned(A_MINUS), tdn.Learned(TAU_PLUS), tdn.Learned(TAU_MINUS))
    layer = tdn.Plastic(torch.nn.Linear(3, 2), learning)
    torch.nn.init.constant_(layer.connection.weight, 0.5)  # so that both neurons spike
    _, (state, _) = tdn.Chain(layer, tdn.LIF(tau_mem=2.0)).scan(3 * random_spikes(30, 2, 3, p=0.5).float())
    state.weight.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in learning.parameters())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="PairSTDP: expected pairing to be one of 'all', 'nearest'"):
        tdn.PairSTDP(pairing="some")
    with pytest.raises(ValueError, match="PairSTDP: expected w_max for a change that depends on the distance"):
        tdn.PairSTDP(mu_plus=1.0, w_min=0.0)
    with pytest.raises(ValueError, match=r"PairSTDP: expected w_min .* \(mu_minus\), got none"):
        tdn.PairSTDP(mu_minus=0.5)
    with pytest.raises(ValueError, match="mu_plus at least 0, got -1"):
        tdn.PairSTDP(mu_plus=-1, w_max=1.0)
    with pytest.raises(ValueError, match=r"PairSTDP.A_minus: expected 0 or a number above it, got -0\.1"):
        tdn.PairSTDP(A_minus=-0.1)
    with pytest.raises(ValueError, match=r"axonal_delay to be a whole number of steps of 1 ms, got 0\.5 ms"):
        learned(rule(axonal_delay=0.5), train([1], 3), train([2], 3))
