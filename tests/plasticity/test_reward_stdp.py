"""Reward-modulated plasticity against the integral of its equations."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

from .spike_trains import learned, random_spikes, train

A_PLUS, A_MINUS, TAU, TAU_E, TAU_D = 0.01, 0.012, 20.0, 500.0, 100.0
EXACT = {"rtol": 0, "atol": 1e-12}


def rule(tau_d=TAU_D, **options):
    return tdn.RewardSTDP(tdn.PairSTDP(A_PLUS, A_MINUS, TAU, TAU, **options), TAU_E, tau_d)


@pytest.mark.parametrize("dt", [1.0, 4.0])
@pytest.mark.parametrize("lag", [100, 400])
def test_a_pair_and_then_a_reward(dt, lag):
    """w(t) = STDP exp(-T / tau_e) k (1 - exp(-t / k)) a time t after the reward, with 1/k = 1/tau_e + 1/tau_d."""
    steps = round(1000 / dt)
    pre, post, reward = (train([time], steps, dt) for time in (8, 20, 20 + lag))
    weight = learned(rule(), pre, post, modulator=reward[..., 0], dt=dt).flatten() - 0.5
    pair, k = A_PLUS * math.exp(-12 / TAU), 1 / (1 / TAU_E + 1 / TAU_D)
    time = dt * torch.arange(steps, dtype=torch.float64) - (20 + lag)
    expected = pair * math.exp(-lag / TAU_E) * k * -torch.expm1(-time.clamp(min=0) / k)
    assert_close(weight, expected, **EXACT)
    assert weight[-1].item() == pytest.approx(pair * math.exp(-lag / TAU_E) * TAU_E * TAU_D / (TAU_E + TAU_D), rel=0.01)


def test_a_reward_before_the_pair_acts_by_what_is_left_of_it():
    pre, post, reward = (train([time], 900) for time in (58, 70, 10))
    weight = learned(rule(), pre, post, modulator=reward[..., 0])[-1].item() - 0.5
    k = 1 / (1 / TAU_E + 1 / TAU_D)
    expected = A_PLUS * math.exp(-12 / TAU) * math.exp(-60 / TAU_D) * k * (1 - math.exp(-829 / k))
    assert weight == pytest.approx(expected, rel=0, abs=1e-12)


def test_without_a_trace_the_modulator_is_held_over_the_step():
    pre, post = train([8], 200), train([20], 200)
    reward = torch.zeros(200, 1, dtype=torch.float64)
    reward[51:101] = 0.3  # over the steps that end at 51, ..., 100
    reward[150:] = -0.1
    weight = learned(rule(tau_d=None), pre, post, modulator=reward).flatten() - 0.5
    pair = A_PLUS * math.exp(-12 / TAU)

    def area(start, end):
        return TAU_E * (math.exp((20 - start) / TAU_E) - math.exp((20 - end) / TAU_E))

    assert weight[50] == 0
    assert weight[100].item() == pytest.approx(0.3 * pair * area(50, 100), rel=0, abs=1e-12)
    expected = pair * (0.3 * area(50, 100) - 0.1 * area(149, 199))
    assert weight[-1].item() == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_each_row_has_its_own_eligibility_and_reward(weights):
    """Against the traces written out; the mean of eligibility times reward is not the product of the means."""
    pre, post = random_spikes(60, 3, 4, seed=1), random_spikes(60, 3, 2, seed=2)
    reward = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = learned(rule(), pre, post, modulator=reward, weights=weights)[-1] - 0.5
    x, y, d = torch.zeros(3, 4).double(), torch.zeros(3, 2).double(), torch.zeros(3).double()
    e, total = torch.zeros(3, 2, 4).double(), torch.zeros(3, 2, 4).double()
    k = 1 / (1 / TAU_E + 1 / TAU_D)
    for pre_t, post_t, m in zip(pre, post, reward, strict=True):
        total += e * d[:, None, None] * k * (1 - math.exp(-1 / k))
        x, y, d = x * math.exp(-1 / TAU), y * math.exp(-1 / TAU), d * math.exp(-1 / TAU_D) + m
        asked = A_PLUS * post_t[..., None] * x[:, None] - A_MINUS * y[..., None] * pre_t[:, None]
        e = e * math.exp(-1 / TAU_E) + asked
        x, y = x + pre_t, y + post_t
    assert total.abs().min() > 1e-4
    expected = {"rows": total, "mean": total.mean(0), "sum": total.sum(0)}[weights]
    assert_close(found, expected, **EXACT)


def test_it_wraps_any_rule_of_spike_timing():
    """With a modulator of 1 and a time constant of eligibility far below the step, half the area at every event."""
    pre, post = random_spikes(60, 2, 3, seed=4), random_spikes(60, 2, 2, seed=5)
    for inner in (tdn.TripletSTDP(eta=0.1), tdn.InhibitorySTDP(0.01), tdn.PairSTDP(dendritic_delay=2.0)):
        asked = learned(inner, pre, post)
        waited = tdn.RewardSTDP(inner, tau_e=1e-2, tau_d=None)
        found = learned(waited, pre, post, modulator=torch.full((60, 2), 100.0).double())
        assert_close(found[1:], asked[:-1])  # tau_e e m = 1 times what was asked, a step later
        assert (found[-1] - 0.5).abs().max() > 1e-3


def test_bounds_are_those_of_the_rule():
    bounded = rule(w_min=0.4, w_max=0.6)
    pre, post = random_spikes(100, 2, 3, seed=6), random_spikes(100, 2, 2, seed=7)
    weight = learned(bounded, pre, post, modulator=torch.randn(100, 2).double())
    assert weight.min() == 0.4
    assert weight.max() == 0.6


def test_the_modulator_comes_with_the_input_of_a_chain():
    torch.manual_seed(0)
    plastic = tdn.Plastic(nn.Linear(4, 3, bias=False), rule()).double()
    chain, x = tdn.Chain(plastic, tdn.LIF(2.0).double()), random_spikes(50, 2, 4, p=0.5, seed=8)
    nn.init.constant_(plastic.connection.weight, 1.5)
    reward = torch.rand(50, 2).double()
    with torch.no_grad():
        y, (state, _) = chain.scan(tdn.Modulated(x, reward))
        expected = learned(rule(), x, y, modulator=reward, start=1.5)
    assert y.sum() > 0
    assert_close(state.weight, expected[-1])
    with pytest.raises(ValueError, match="Chain: expected a neuromodulator beside the input"):
        chain(x)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="RewardSTDP: expected a rule of spike timing, got Hebbian"):
        tdn.RewardSTDP(tdn.Hebbian())
    with pytest.raises(ValueError, match=r"RewardSTDP.tau_e: expected a number above 0"):
        tdn.RewardSTDP(tdn.PairSTDP(), tau_e=0.0)
