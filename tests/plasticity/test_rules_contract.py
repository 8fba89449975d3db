"""What holds for every learning rule: batches, convolutions, sparse connections, bounds, and going on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

RULES = {
    "Hebbian": lambda **b: tdn.Hebbian(0.05, alpha=0.5, **b),
    "Covariance": lambda **b: tdn.Covariance(0.05, tau=4.0, pre_mean=0.5, **b),
    "Oja": lambda **b: tdn.Oja(0.1, alpha=0.5, **b),
    "Sanger": lambda **b: tdn.Sanger(0.1, **b),
    "BCM": lambda **b: tdn.BCM(0.2, tau=3.0, rate=0.5, decay=0.01, threshold=0.1, **b),
    "SynapticScaling": lambda **b: tdn.SynapticScaling(0.2, target=0.5, tau=4.0, start=0.1, **b),
    "WeightNormalization": lambda **b: tdn.WeightNormalization(1.5, every=2.0, **b),
    "Rules": lambda **b: tdn.Rules(tdn.Hebbian(0.05), tdn.BCM(0.1, tau=3.0), tdn.SynapticScaling(0.1, target=1.0, **b)),
}
WEIGHTS = ["rows", "mean", "sum"]

each_rule = pytest.mark.parametrize("name", RULES)
each_way = pytest.mark.parametrize("weights", WEIGHTS)


def rates(*shape, seed=3):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer(name, weights="rows", connection=None, **bounds):
    torch.manual_seed(0)
    connection = nn.Linear(3, 2, bias=False) if connection is None else connection
    return tdn.Plastic(connection, RULES[name](**bounds), weights=weights).double()


def chain(*args, **bounds):
    return tdn.Chain(layer(*args, **bounds), tdn.LeakyIntegrator(5.0).double())


@each_rule
def test_a_batch_is_its_rows(name):
    net, x = chain(name), rates(9, 4, 3)
    y, (state, _) = net.scan(x)
    start = net[0].connection.weight
    assert not torch.equal(state.weight[0], start.detach())
    for row in range(4):
        alone, (own, _) = net.scan(x[:, row : row + 1])
        assert_close(y[:, row : row + 1], alone)
        assert_close(state.weight[row], own.weight[0])


@pytest.mark.parametrize("name", ["Hebbian", "Covariance", "Oja", "Sanger", "BCM"])
def test_a_weight_for_all_takes_the_mean_or_the_sum_of_what_rows_ask_for(name):
    pre, post = rates(4, 3), rates(4, 2, seed=4)
    of_rows = layer(name).learn(pre, post, layer(name).initial_state(pre)).weight
    start = layer(name).connection.weight
    for weights, expected in (("mean", of_rows.mean(0)), ("sum", start + (of_rows - start).sum(0))):
        plastic = layer(name, weights)
        assert_close(plastic.learn(pre, post, plastic.initial_state(pre)).weight, expected)


@each_rule
@each_way
def test_a_convolution_of_one_place_learns_what_a_linear_layer_learns(name, weights):
    dense, x = chain(name, weights), rates(9, 4, 3)
    conv = chain(name, weights, nn.Conv2d(3, 2, 1, bias=False))
    with torch.no_grad():
        conv[0].connection.weight.copy_(dense[0].connection.weight[..., None, None])
    y, (state, _) = dense.scan(x)
    z, (other, _) = conv.scan(x[..., None, None])
    assert_close(z[..., 0, 0], y)
    assert_close(other.weight[..., 0, 0], state.weight)


@pytest.mark.parametrize("name", ["Covariance", "Oja", "Sanger"])
def test_places_of_a_convolution_add_up_like_rows(name):
    """A 1x1 convolution over five places is a linear layer that sums five rows."""
    pre, post = rates(5, 3), rates(5, 2, seed=4)
    dense, conv = layer(name, "sum"), layer(name, "rows", nn.Conv1d(3, 2, 1, bias=False))
    with torch.no_grad():
        conv.connection.weight.copy_(dense.connection.weight[..., None])
    expected = dense.learn(pre, post, dense.initial_state(pre)).weight
    as_places = pre.mT[None], post.mT[None]
    found = conv.learn(*as_places, conv.initial_state(as_places[0])).weight
    assert_close(found[0, ..., 0], expected)


@pytest.mark.parametrize("name", ["BCM", "SynapticScaling"])
def test_what_is_remembered_of_a_neuron_is_the_mean_over_places_and_shared_rows(name):
    """Rows that are all the same teach what one of them does, and places likewise."""
    one, x = layer(name, "mean"), rates(6, 1, 3)
    posts = rates(6, 1, 2, seed=4)
    several, conv = layer(name, "mean"), layer(name, "mean", nn.Conv1d(3, 2, 1, bias=False))
    with torch.no_grad():
        conv.connection.weight.copy_(one.connection.weight[..., None])
    a, b = one.initial_state(x[0]), several.initial_state(x[0].expand(4, 3))
    c = conv.initial_state(x[0, ..., None].expand(1, 3, 5))
    for pre, post in zip(x, posts, strict=True):
        a = one.learn(pre, post, a)
        b = several.learn(pre.expand(4, 3), post.expand(4, 2), b)
        c = conv.learn(pre[..., None].expand(1, 3, 5), post[..., None].expand(1, 2, 5), c)
    assert_close(b.weight, a.weight)
    assert_close(b.traces.value, a.traces.value)
    assert_close(c.traces.value[:, 0], a.traces.value)


@each_rule
@each_way
def test_pieces_are_the_whole_also_from_a_file(name, weights, tmp_path):
    net, x = chain(name, weights), rates(12, 2, 3)
    whole, last = net.scan(x)
    first, state = net.scan(x[:5])
    torch.save(tdn.detach_state(state), tmp_path / "state.pt")
    second, end = net.scan(x[5:], torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(torch.cat([first, second]), whole)
    assert_close(tdn.leaves(end), tdn.leaves(last), rtol=0, atol=0)


@each_rule
@each_way
def test_a_thinned_out_connection_stays_thin(name, weights):
    net = chain(name, weights, tdn.sparse(nn.Linear(6, 4, bias=False), 0.5))
    _, (state, _) = net.scan(rates(9, 2, 6) + 0.5)
    there = net[0].connection.parametrizations["weight"][0].mask
    assert (state.weight[..., ~there] == 0).all()
    assert (state.weight[..., there] != net[0].connection.weight[there]).all()


@each_rule
@given(
    low=st.floats(-2, 0.5),
    width=st.floats(0, 2),
    scale=st.floats(0.01, 30),
    weights=st.sampled_from(WEIGHTS),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=10, deadline=None)
def test_bounds_hold_after_every_step(name, low, width, scale, weights, seed):
    plastic = layer(name, weights, w_min=low, w_max=low + width)
    state = plastic.initial_state(rates(2, 3))
    for step in range(3):
        pre, post = scale * rates(2, 3, seed=seed + step), scale * (rates(2, 2, seed=seed + 9 + step) - 0.3)
        state = plastic.learn(pre, post, state)
        assert state.weight.min() >= low
        assert state.weight.max() <= low + width


@each_rule
def test_gradients_through_learning(name):
    plastic, cell = layer(name), tdn.LeakyIntegrator(5.0).double()

    def run(weight, x):
        state = plastic.initial_state(x[0])._replace(weight=weight)
        return tdn.Chain(plastic, cell).scan(x, (state, cell.initial_state(x[0, :, :2])))[1][0].weight

    weight = rates(2, 2, 3, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(run, (weight, rates(3, 2, 3).requires_grad_()))
