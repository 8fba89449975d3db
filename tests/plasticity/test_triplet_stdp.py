"""Triplet STDP against sums over pairs and triplets of spikes, its fits and its rate form."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn

from .spike_trains import learned, random_spikes, times_of, train

TAU_PLUS, TAU_MINUS = 16.8, 33.7
VALUES = {"A2_plus": 4e-3, "A3_plus": 6e-3, "A2_minus": 5e-3, "A3_minus": 2e-3, "tau_x": 101.0, "tau_y": 60.0}


def by_events(pre, post, weight, *, A2_plus, A3_plus, A2_minus, A3_minus, tau_x=1.0, tau_y, pairing="all"):
    """The weight after all spikes at these times, each of which looks back at those before it."""

    def trace(times, t, tau):
        before = [s for s in times if s < t]
        return sum(math.exp((s - t) / tau) for s in (before if pairing == "all" else before[-1:]))

    for t in post:
        weight += trace(pre, t, TAU_PLUS) * (A2_plus + A3_plus * trace(post, t, tau_y))
    for t in pre:
        weight -= trace(post, t, TAU_MINUS) * (A2_minus + A3_minus * trace(pre, t, tau_x))
    return weight


@pytest.mark.parametrize("pairing", ["all", "nearest"])
def test_the_clock_gives_what_events_give(pairing):
    pre, post = random_spikes(150, 2, 3, seed=1), random_spikes(150, 2, 2, seed=2)
    weight = learned(tdn.TripletSTDP(**VALUES, pairing=pairing), pre, post, dt=0.5)[-1]
    assert (weight - 0.5).abs().mean() > 1e-2
    for b in range(2):
        for i in range(2):
            for j in range(3):
                trains = times_of(pre[:, b, j], 0.5), times_of(post[:, b, i], 0.5)
                expected = by_events(*trains, 0.5, **VALUES, pairing=pairing)
                assert weight[b, i, j].item() == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_slow_trace_is_read_before_its_own_increment():
    """With triplet terms only a pair changes nothing, and a triplet sees the slow trace of the first spike alone."""
    triplets = {"A2_plus": 0.0, "A3_plus": 0.1, "A2_minus": 0.0, "A3_minus": 0.1, "tau_x": 101.0, "tau_y": 60.0}
    weight = learned(tdn.TripletSTDP(**triplets), train([5], 40), train([10, 30], 40)).flatten() - 0.5
    assert weight[10] == 0
    up = 0.1 * math.exp(-25 / TAU_PLUS) * math.exp(-20 / 60)
    assert weight[30].item() == pytest.approx(up, rel=0, abs=1e-12)
    weight = learned(tdn.TripletSTDP(**triplets), train([10, 30], 40), train([5], 40)).flatten() - 0.5
    assert weight[10] == 0
    down = 0.1 * math.exp(-25 / TAU_MINUS) * math.exp(-20 / 101)
    assert weight[30].item() == pytest.approx(-down, rel=0, abs=1e-12)


def test_spikes_of_the_same_step_do_not_pair():
    spikes = train([5], 10)
    assert (learned(tdn.TripletSTDP(**VALUES), spikes, spikes) == 0.5).all()


@pytest.mark.parametrize("name", tdn.PFISTER_2006)
def test_far_apart_pairs_are_those_of_the_pair_rule(name):
    """The low-rate limit, with a second pair after fifteen of the slowest time constant."""
    values = tdn.PFISTER_2006[name]
    gap = round(1.5 * max(values["tau_y"], values.get("tau_x", 0.0)))  # steps of 10 ms
    first, second = train([0, 10 * gap], gap + 2, 10.0), train([10, 10 * gap + 10], gap + 2, 10.0)
    rule = tdn.TripletSTDP.preset(name)
    trains = torch.cat([first, second], 1), torch.cat([second, first], 1)
    found = learned(rule, *trains, start=0.0, dt=10.0)[-1].flatten().tolist()
    up, down = values["A2_plus"] * math.exp(-10 / TAU_PLUS), values["A2_minus"] * math.exp(-10 / TAU_MINUS)
    assert found == pytest.approx([2 * up, -2 * down], rel=1e-4, abs=1e-7)


def by_clock(rule, pre, post):
    """The whole change by trains at these times, in steps as long as all of them are multiples of."""
    dt = math.gcd(*(round(time) for time in (*pre, *post)))
    steps = round(max(*pre, *post)) // dt + 1
    return learned(rule, train(pre, steps, dt), train(post, steps, dt), start=0.0, dt=float(dt))[-1].item()


# Sjöström, Turrigiano & Nelson (2001), as in Table 1 of the paper: the change, and its standard error, by 60 pairs at
# a frequency (Hz), post 10 ms after pre or before.
SJOESTROEM = {
    (0.1, 10): (-0.04, 0.05), (10, 10): (0.14, 0.1), (20, 10): (0.29, 0.14), (40, 10): (0.53, 0.11),
    (50, 10): (0.56, 0.26), (0.1, -10): (-0.29, 0.08), (10, -10): (-0.41, 0.11), (20, -10): (-0.34, 0.1),
    (40, -10): (0.56, 0.32), (50, -10): (0.75, 0.19),
}  # fmt: skip
VISUAL_CORTEX = [name for name in tdn.PFISTER_2006 if name.startswith("visual_cortex")]


def pairs(rate, lag):
    """Times of pre and post of the protocol."""
    starts = [1000 / rate * n for n in range(60)]
    return [start + max(0, -lag) for start in starts], [start + max(0, lag) for start in starts]


def misfit(**values):
    """The mean square of the distance to the data, in units of the standard errors."""
    terms = [
        ((by_events(*pairs(*protocol), 0.0, **values) - change) / error) ** 2
        for protocol, (change, error) in SJOESTROEM.items()
    ]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", VISUAL_CORTEX)
def test_the_fits_to_visual_cortex_fit(name):
    """Far better than those to hippocampus, and no amplitude could be a fifth larger or smaller."""
    values = dict(tdn.PFISTER_2006[name])
    best = misfit(**values)
    assert best < 0.4
    assert misfit(**tdn.PFISTER_2006[name.replace("visual_cortex", "hippocampus")]) > 3
    for key in ("A3_plus", "A2_minus"):
        for factor in (0.8, 1.2):
            assert misfit(**{**values, key: factor * values[key]}) > best


@pytest.mark.parametrize("name", VISUAL_CORTEX)
def test_depression_turns_into_potentiation_with_frequency(name):
    """Post before pre in visual cortex, by the clock."""
    rule = tdn.TripletSTDP.preset(name)
    for rate, sign in ((10, -1), (20, -1), (40, 1), (50, 1)):
        pre, post = pairs(rate, -10)
        found = by_clock(rule, pre, post)
        assert found == pytest.approx(by_events(pre, post, 0.0, **tdn.PFISTER_2006[name]), abs=1e-12)
        assert found * sign > 0.1


def test_the_mean_under_poisson_spikes_is_the_rate_form():
    steps, rows, p, q = 800, 3000, 0.02, 0.03
    rule = tdn.TripletSTDP(**VALUES)
    weight = learned(rule, random_spikes(steps, rows, 1, p=p, seed=3), random_spikes(steps, rows, 1, p=q, seed=4))
    drift = (weight[-1] - weight[399]).flatten() / 400

    def area(tau):  # what a trace holds on the grid, in place of tau
        return 1 / math.expm1(1 / tau)

    up = area(TAU_PLUS) * (VALUES["A2_plus"] + VALUES["A3_plus"] * area(VALUES["tau_y"]) * q)
    down = area(TAU_MINUS) * (VALUES["A2_minus"] + VALUES["A3_minus"] * area(VALUES["tau_x"]) * p)
    error = drift.std().item() / math.sqrt(rows)
    assert drift.mean().item() == pytest.approx(p * q * (up - down), abs=4 * error)
    assert abs(p * q * (up - down)) > 8 * error
    pre, post, weight = torch.full((1, 1), 1000 * p), torch.full((1, 1), 1000 * q), torch.zeros(1, 1, 1).double()
    rate, _ = tdn.TripletRate(rule).double().update(weight, tdn.Activity(pre, post, weight), (), 1.0)
    exact = p * q * (
        TAU_PLUS * (VALUES["A2_plus"] + VALUES["A3_plus"] * VALUES["tau_y"] * q)
        - TAU_MINUS * (VALUES["A2_minus"] + VALUES["A3_minus"] * VALUES["tau_x"] * p)
    )  # fmt: skip
    assert rate.item() == pytest.approx(exact, rel=1e-6)
    assert rate.item() == pytest.approx(p * q * (up - down), rel=0.1)  # half a step of every trace


def test_the_rate_form_has_the_threshold_of_bcm():
    """A3 r_pre r_post^2 - A2 r_pre r_post with A3 = A3+ tau+ tau_y and A2 = A2- tau-."""
    rule = tdn.TripletRate(tdn.TripletSTDP.preset("visual_cortex/all/minimal", w_max=0.3)).double()
    A3, A2 = 6.5e-3 * TAU_PLUS * 114, 7.1e-3 * TAU_MINUS
    threshold = 1000 * A2 / A3
    assert 19 < threshold < 20
    post = torch.tensor([[0.0, 0.5 * threshold, threshold, 2 * threshold]], dtype=torch.float64)
    pre, weight = torch.tensor([[5.0, 40.0]]).double(), torch.full((1, 4, 2), 0.2).double()
    after, _ = rule.update(weight, tdn.Activity(pre, post, weight), (), 2.0)
    per_ms = (pre / 1000).unsqueeze(-2), (post / 1000).unsqueeze(-1)
    assert_close(after - weight, 2.0 * per_ms[0] * (A3 * per_ms[1] ** 2 - A2 * per_ms[1]), rtol=1e-9, atol=1e-15)
    assert (after - weight)[0, 2].abs().max() < 1e-15
    assert ((after - weight)[0, 1] < 0).all()
    assert ((after - weight)[0, 3] > 0).all()
    assert rule.bound(weight + 1).max() == 0.3


def test_all_changes_scale():
    pre, post = random_spikes(60, 1, 1, seed=5), random_spikes(60, 1, 1, seed=6)
    one, three = (learned(tdn.TripletSTDP(**VALUES, eta=eta), pre, post, start=0.0)[-1] for eta in (1.0, 3.0))
    assert_close(three, 3 * one)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"TripletSTDP: expected name to be one of 'visual_cortex/all/full'"):
        tdn.TripletSTDP.preset("cortex")
    assert tdn.TripletSTDP.preset("hippocampus/all/full", tau_x=500.0).tau_x().item() == 500
    with pytest.raises(ValueError, match="TripletSTDP: expected pairing to be one of 'all', 'nearest'"):
        tdn.TripletSTDP(pairing="some")
    with pytest.raises(TypeError, match="TripletRate: expected a TripletSTDP, got PairSTDP"):
        tdn.TripletRate(tdn.PairSTDP())
    with pytest.raises(ValueError, match="expected a rule that pairs all spikes, got pairing='nearest'"):
        tdn.TripletRate(tdn.TripletSTDP(pairing="nearest"))
