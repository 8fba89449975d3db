"""What holds for every rule of spike timing: rows, convolutions, bounds, and going on where one stopped."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

from .spike_trains import Potential, learned, random_spikes, teach


def all_rules(**bounds):
    """A rule of each kind, with changes that are large beside weights of about 1."""
    pair = tdn.PairSTDP(0.02, 0.03, axonal_delay=2.0, dendritic_delay=1.0, **bounds)
    return {
        "pair": pair,
        "nearest": tdn.PairSTDP(0.02, 0.03, pairing="nearest", **bounds),
        "triplet": tdn.TripletSTDP.preset("hippocampus/all/full", eta=2.0, **bounds),
        "inhibitory": tdn.InhibitorySTDP(0.05, **bounds),
        "voltage": tdn.VoltageSTDP(A_LTD=1e-3, A_LTP=1e-3, **bounds),
        "reward": tdn.RewardSTDP(pair, tau_e=20.0, tau_d=10.0),
    }


def experience(steps=40, rows=3):
    """Spikes on either side of 4 x 3 synapses, potentials and rewards."""
    generator = torch.Generator().manual_seed(9)
    pre, post = random_spikes(steps, rows, 4, seed=7), random_spikes(steps, rows, 3, seed=8)
    v = -75 + 60 * torch.rand(steps, rows, 3, dtype=torch.float64, generator=generator)
    return pre, post, {"v": v, "modulator": torch.rand(steps, rows, dtype=torch.float64, generator=generator)}


def given_to(rule, others, rows=slice(None)):
    """What of the experience the rule reads, of some rows."""
    return {
        "v": others["v"][:, rows],
        "modulator": others["modulator"][:, rows] if rule.modulated else None,
    }


@pytest.mark.parametrize("name", all_rules())
def test_rows_are_what_each_gives_alone_and_shared_weights_their_mean_or_sum(name):
    rule = all_rules()[name]
    pre, post, others = experience()
    found = learned(rule, pre, post, **given_to(rule, others))
    for row in range(3):
        one = slice(row, row + 1)
        alone = learned(rule, pre[:, one], post[:, one], **given_to(rule, others, one))
        assert_close(found[:, one], alone, rtol=0, atol=1e-12)
    assert (found[-1] - 0.5).abs().mean() > 1e-2
    # None of these changes depends on the weight.
    for weights, expected in (("mean", found.mean(1)), ("sum", 0.5 + (found - 0.5).sum(1))):
        shared = learned(rule, pre, post, weights=weights, **given_to(rule, others))
        assert_close(shared, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
@pytest.mark.parametrize("name", all_rules())
def test_a_convolution_of_one_place_learns_what_a_linear_layer_learns(name, weights):
    rule = all_rules(w_min=0.0, w_max=1.0)[name]
    pre, post, others = experience(steps=15, rows=2)
    expected = learned(rule, pre, post, weights=weights, **given_to(rule, others))
    layer = tdn.Plastic(nn.Conv2d(4, 3, 1, bias=False), rule, weights=weights)
    others = given_to(rule, {**others, "v": others["v"][..., None, None]})
    found = teach(layer, pre[..., None, None], post[..., None, None], **others)
    assert_close(found[..., 0, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", all_rules())
def test_a_convolution_takes_the_sum_over_its_places(name):
    """Two places far apart, each seen by its own copy of the linear layer."""
    rule = all_rules()[name]
    pre, post, others = experience(steps=15, rows=2)
    layer = tdn.Plastic(nn.Conv1d(4, 3, 1, bias=False), rule)
    # The two rows become two places of one row.
    modulator = others["modulator"][:, :1] if rule.modulated else None
    v = others["v"].movedim(1, -1)[:, None]
    found = teach(layer, pre.movedim(1, -1)[:, None], post.movedim(1, -1)[:, None], v=v, modulator=modulator)
    same = None if modulator is None else modulator.expand(-1, 2)
    apart = learned(rule, pre, post, v=others["v"], modulator=same)
    assert_close(found[:, 0, ..., 0] - 0.5, (apart - 0.5).sum(1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", all_rules())
def test_absent_synapses_stay_absent(name):
    torch.manual_seed(0)
    rule = all_rules()[name]
    pre, post, others = experience()
    sparse = tdn.sparse(nn.Linear(4, 3, bias=False), 0.5)
    there = sparse.parametrizations["weight"][0].mask
    layer = tdn.Plastic(sparse, rule).double()
    state = layer.initial_state(pre[0])
    for t in range(len(pre)):
        reward = others["modulator"][t] if rule.modulated else None
        state = layer.learn(pre[t], post[t], state, neurons=Potential(others["v"][t]), modulator=reward)
    full = learned(rule, pre, post, **given_to(rule, others))
    assert (state.weight[:, ~there] == 0).all()
    moved = state.weight.detach() - sparse.weight.detach()
    assert_close(moved[:, there], (full[-1] - 0.5)[:, there], rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(all_rules())),
    st.floats(0.05, 0.9),
    st.floats(0.05, 0.9),
    st.sampled_from(["rows", "mean", "sum"]),
    st.integers(0, 1000),
)
def test_bounds_hold_after_every_step(name, p, q, weights, seed):
    rule = all_rules(w_min=0.3, w_max=0.6)[name]
    pre, post = random_spikes(20, 2, 3, p=p, seed=seed), random_spikes(20, 2, 2, p=q, seed=seed + 1)
    v = 100 * random_spikes(20, 2, 2, p=0.5, seed=seed + 2) - 70
    reward = 40 * random_spikes(20, 2, seed=seed + 3) - 10 if rule.modulated else None
    weight = learned(rule, pre, post, weights=weights, v=v, modulator=reward)
    assert weight.isfinite().all()
    assert weight.min() >= 0.3
    assert weight.max() <= 0.6


@pytest.mark.parametrize("weights", ["rows", "mean"])
@pytest.mark.parametrize("name", all_rules())
def test_a_saved_state_goes_on_bit_for_bit(name, weights, tmp_path):
    torch.manual_seed(0)
    rule = all_rules(w_min=-1.0, w_max=1.0)[name]
    chain = tdn.Chain(tdn.Plastic(nn.Linear(4, 3, bias=False), rule, weights=weights), tdn.LIF(2.0))
    nn.init.uniform_(chain[0].connection.weight, 0.5, 1.0)
    x, reward = 2 * random_spikes(50, 2, 4, p=0.6).float(), torch.rand(50, 2)

    def part(window):
        return tdn.Modulated(x[window], reward[window]) if rule.modulated else x[window]

    with torch.no_grad():
        whole, last = chain.scan(part(slice(None)))
        first, state = chain.scan(part(slice(0, 23)))
        torch.save(state, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        second, end = chain.scan(part(slice(23, None)), state)
    assert whole.sum() > 0
    assert torch.equal(torch.cat([first, second]), whole)
    assert_close(tdn.leaves(end), tdn.leaves(last), rtol=0, atol=0)
    moved = last[0].weight - chain[0].connection.weight
    assert moved.abs().max() > 1e-3


@pytest.mark.parametrize("name", all_rules())
def test_a_frozen_connection_stays(name):
    rule = all_rules()[name]
    pre, post, others = experience(steps=5)
    layer = tdn.Plastic(nn.Linear(4, 3, bias=False), rule, frozen=True)
    assert (teach(layer, pre, post, **given_to(rule, others)) == 0.5).all()
