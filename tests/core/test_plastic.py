"""Connections whose weights are a state."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

ETA, ALPHA = 0.05, 0.5


def plastic(weights="rows", pre=3, post=2):
    torch.manual_seed(0)
    return tdn.Plastic(nn.Linear(pre, post, bias=False), tdn.Hebbian(ETA, alpha=ALPHA), weights=weights).double()


def test_a_constant_activity_gives_the_closed_form():
    """w(t) = w_ss + (w_0 - w_ss) exp(-eta alpha t) with w_ss = r_i r_j / alpha, whatever the step."""
    rule = tdn.Hebbian(ETA, alpha=ALPHA).double()
    pre, post = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.3, 4.0]).double()
    start, steady = torch.ones(1, 2, 3).double(), torch.outer(post, pre)[None] / ALPHA
    for dt in (1.0, 4.0, 20.0):
        weight = start
        for _ in range(round(20 / dt)):
            weight, _ = rule.update(weight, tdn.Activity(pre[None], post[None], weight), (), dt)
        assert_close(weight, steady + (start - steady) * math.exp(-ETA * ALPHA * 20))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_a_chain_teaches_its_connection_what_the_next_layer_did(weights):
    """Against a loop written out: the weights of each row, or one weight that takes the changes of all rows."""
    layer = plastic(weights)
    cell = tdn.LeakyIntegrator(5.0).double()
    x = torch.rand(12, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y, (state, _) = tdn.Chain(layer, cell).scan(x)
    W = layer.connection.weight.detach().expand(4, 2, 3).clone()
    v, expected = torch.zeros(4, 2, dtype=torch.float64), []
    for x_t in x:
        drive = torch.einsum("bij,bj->bi", W, x_t)
        v = drive + (v - drive) * math.exp(-1 / 5)
        expected.append(v)
        target = v[:, :, None] * x_t[:, None] / ALPHA
        change = (target - W) * (1 - math.exp(-ETA * ALPHA))
        if weights != "rows":
            change = change.mean(0) if weights == "mean" else change.sum(0)
        W = W + change
    assert_close(y, torch.stack(expected))
    assert_close(state.weight, W if weights == "rows" else W[0])
    assert state.weight.shape == ((4, 2, 3) if weights == "rows" else (2, 3))


def test_the_module_does_not_change_and_pieces_are_the_whole():
    chain = tdn.Chain(plastic(), tdn.LeakyIntegrator(5.0).double())
    before = {name: value.clone() for name, value in chain.state_dict().items()}
    x = torch.rand(20, 2, 3, dtype=torch.float64)
    whole, last = chain.scan(x)
    first, state = chain.scan(x[:7])
    second, end = chain.scan(x[7:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert_close(tdn.leaves(end), tdn.leaves(last), rtol=0, atol=0)
    assert not torch.equal(last[0].weight[0], last[0].weight[1])
    assert_close(dict(chain.state_dict()), before, rtol=0, atol=0)


@pytest.mark.usefixtures("eager")
def test_a_network_learns_its_own_feedback():
    """Two cells that are driven together wire together; the third stays apart."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 3, bias=False)
    nn.init.zeros_(layer.weight)
    net = tdn.Network(tdn.LIF(5.0), tdn.Plastic(layer, tdn.Hebbian(0.02, alpha=0.1)))
    x = torch.zeros(200, 1, 3)
    x[..., :2] = 20.0  # a spike in every step
    _, state = net.scan(x)
    W = state.connection.weight[0]
    assert W[0, 1] > 0.1
    assert W[1, 0] > 0.1
    assert W[2].abs().max() == W[:, 2].abs().max() == 0


def test_a_synapse_on_the_way_is_not_what_answers():
    """The rule sees the neurons behind the synapse: the same changes as from a loop that is written out."""
    layer, synapse, cell = plastic(), tdn.ExponentialSynapse(3.0).double(), tdn.LeakyIntegrator(5.0).double()
    x = torch.rand(8, 2, 3, dtype=torch.float64)
    _, (state, *_) = tdn.Chain(layer, synapse, cell).scan(x)
    W = layer.connection.weight.detach().expand(2, 2, 3).clone()
    s, v = torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    for x_t in x:
        s = s * math.exp(-1 / 3) + torch.einsum("bij,bj->bi", W, x_t)
        v = s + (v - s) * math.exp(-1 / 5)
        W = W + (v[:, :, None] * x_t[:, None] / ALPHA - W) * (1 - math.exp(-ETA * ALPHA))
    assert_close(state.weight, W)
    with pytest.raises(ValueError, match="expected neurons somewhere behind Plastic"):
        tdn.Chain(layer, synapse)(x)
    with pytest.raises(ValueError, match="expected the activity of 2 neurons behind the connection, got 5"):
        tdn.Chain(layer, nn.Linear(2, 5).double(), cell)(x)


@pytest.mark.usefixtures("eager")
def test_gradients_reach_the_start_and_the_rule():
    layer = tdn.Plastic(nn.Linear(3, 2), tdn.Hebbian(tdn.Learned(ETA), alpha=tdn.Learned(ALPHA)))
    y, _ = tdn.Chain(layer, tdn.LeakyIntegrator()).scan(torch.rand(6, 2, 3))
    y.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_commit_writes_a_state_back():
    for weights in ("rows", "mean"):
        layer = plastic(weights)
        _, (state, _) = tdn.Chain(layer, tdn.LeakyIntegrator().double()).scan(torch.rand(5, 4, 3).double())
        layer.commit(state)
        expected = state.weight.mean(0) if weights == "rows" else state.weight
        assert_close(layer.connection.weight.detach(), expected.detach())


def test_a_stream_resets_rows_but_not_what_they_share():
    for weights in ("rows", "mean"):
        live = tdn.Streaming(nn.Sequential(tdn.Chain(plastic(weights), tdn.LeakyIntegrator().double())))
        live(torch.rand(5, 2, 3).double())
        learned = live.states()["0"][0].weight
        live.reset([True, False])
        after = live.states()["0"][0].weight
        start = live.model[0][0].connection.weight
        if weights == "mean":
            assert_close(after, learned)
        else:
            assert_close(after[0], start.detach())
            assert_close(after[1], learned[1])


def test_states_are_saved_and_loaded(tmp_path):
    _, state = tdn.Chain(plastic("mean"), tdn.LIF().double()).scan(torch.rand(5, 2, 3).double())
    torch.save(state, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert type(loaded[0]) is tdn.SharedPlasticState
    assert_close(tdn.leaves(loaded), [leaf.detach() for leaf in tdn.leaves(state)])


def test_wrong_arguments():
    with pytest.raises(TypeError, match="Plastic: expected a layer with a weight, got ReLU"):
        tdn.Plastic(nn.ReLU(), tdn.Hebbian())
    with pytest.raises(TypeError, match="Plastic: expected a learning rule, got ReLU"):
        tdn.Plastic(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"expected a weight \[post, pre, \*\], got shape"):
        tdn.Plastic(nn.LayerNorm(3), tdn.Hebbian())
    with pytest.raises(ValueError, match="weights to be one of 'rows', 'mean', 'sum'"):
        tdn.Plastic(nn.Linear(2, 2), tdn.Hebbian(), weights="one")


def test_a_connection_that_nobody_teaches_is_found():
    """Its weights would stay where they are, without a word."""
    untaught = nn.Sequential(plastic(pre=3, post=3), tdn.LIF())
    with pytest.raises(ValueError, match=r"expected 0 \(Plastic\) in front of another layer of a Chain"):
        tdn.check(untaught)
    tdn.check(tdn.Chain(plastic(), tdn.LIF()))
    tdn.check(tdn.Network(tdn.LIF(), plastic(pre=3, post=3)))
    x = torch.rand(5, 2, 3).double()
    for chain in (
        tdn.Chain(tdn.LIF().double(), plastic()),
        tdn.Chain(tdn.Chain(plastic()), tdn.LIF().double()),
        tdn.Network(tdn.LIF().double(), tdn.Chain(tdn.ExponentialSynapse().double(), plastic(pre=3, post=3))),
    ):
        with pytest.raises(ValueError, match="expected neurons somewhere behind Plastic"):
            chain(x)


@pytest.mark.parametrize(
    "change", [tdn.dale, lambda layer: tdn.dale(tdn.sparse(layer, 0.5)), nn.utils.parametrizations.weight_norm]
)
def test_a_weight_that_follows_from_another_is_refused(change):
    with pytest.raises(TypeError, match="expected a layer whose weight is a parameter"):
        tdn.Plastic(change(nn.Linear(4, 4)), tdn.Hebbian())


def test_whose_weights_they_are_is_checked_when_it_is_changed():
    layer = plastic()
    with pytest.raises(ValueError, match="weights to be one of"):
        layer.weights = "one"
    assert layer.weights == "rows"


def test_the_neurons_behind_are_calibrated():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 8), tdn.LIF(), tdn.Chain(tdn.Plastic(nn.Linear(8, 6), tdn.Hebbian(1e-4)), tdn.LIF())
    )
    report = tdn.calibrate(model, torch.rand(100, 2, 5), rate=40.0)
    assert [round(layer.rate / 40.0, 1) for layer in report] == [1.0, 1.0]


ALONE = {
    "forward": lambda layer, x: layer(x),
    "scan": lambda layer, x: layer.scan(x, layer.initial_state(x[0])),
    "sequential": lambda layer, x: nn.Sequential(layer, tdn.LIF().double())(x),
    "record": lambda layer, x: tdn.record(layer, x, ["weight"]),
    "streaming": lambda layer, x: tdn.Streaming(layer)(x),
    "functional": lambda layer, x: torch.func.functional_call(layer, dict(layer.named_parameters()), (x,)),
    "vmap": lambda layer, x: torch.func.vmap(layer)(x[None]),
    "copy": lambda layer, x: copy.deepcopy(layer)(x),
}


@pytest.mark.parametrize("way", ALONE)
def test_alone_it_refuses_to_run_for_it_would_never_learn(way):
    with pytest.raises(ValueError, match=r"Plastic: expected neurons behind it.*Chain.*Network.*step\(x_t, state\)"):
        ALONE[way](plastic(), torch.rand(5, 2, 3).double())


def test_with_nobody_behind_it_a_given_state_does_not_help():
    layer, x = plastic(), torch.rand(5, 2, 3).double()
    state = (layer.initial_state(x[0]),)
    synapse = tdn.ExponentialSynapse().double()
    for behind, given in (([], ()), ([nn.ReLU()], ((),)), ([synapse], (synapse.initial_state(x[0, :, :2]),))):
        with pytest.raises(ValueError, match="expected neurons somewhere behind Plastic"):
            tdn.Chain(layer, *behind).scan(x, (*state, *given))


def test_by_hand_it_learns_as_in_a_chain():
    layer, cell = plastic(), tdn.LeakyIntegrator(5.0).double()
    x = torch.rand(6, 2, 3).double()
    expected, (last, _) = tdn.Chain(layer, cell).scan(x)
    weights, v, outputs = layer.initial_state(x[0]), cell.initial_state(x[0, :, :2]), []
    for x_t in x:
        current, weights = layer.step(x_t, weights)
        y_t, v = cell.step(current, v)
        weights = layer.learn(x_t, y_t, weights)
        outputs.append(y_t)
    assert_close(torch.stack(outputs), expected)
    assert_close(weights.weight, last.weight)


def test_inside_a_chain_it_can_be_watched():
    chain = tdn.Chain(plastic(), tdn.LeakyIntegrator(5.0).double())
    x = torch.rand(6, 2, 3).double()
    seen, last = tdn.record(chain, x, ["0.weight", "1.output"], return_state=True)
    assert_close(seen["0.weight"][-1], last[0].weight)
    assert torch.equal(seen["1.output"], chain(x))
    seen = []
    chain[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    chain(x)
    assert len(seen) == 6
    assert torch.equal(copy.deepcopy(chain)(x), chain(x))


def rate_sequence(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_a_convolution_of_one_place_learns_what_a_linear_layer_learns(weights):
    dense = plastic(weights)
    conv = tdn.Plastic(nn.Conv2d(3, 2, 1, bias=False), tdn.Hebbian(ETA, alpha=ALPHA), weights=weights).double()
    with torch.no_grad():
        conv.connection.weight.copy_(dense.connection.weight[..., None, None])
    x = rate_sequence(9, 4, 3)
    y, (state, _) = tdn.Chain(dense, tdn.LeakyIntegrator(5.0).double()).scan(x)
    z, (other, _) = tdn.Chain(conv, tdn.LeakyIntegrator(5.0).double()).scan(x[..., None, None])
    assert_close(z[..., 0, 0], y)
    assert_close(other.weight[..., 0, 0], state.weight)


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_a_weight_that_places_share_takes_the_sum_over_them(weights):
    """Against a product written out place by place."""
    torch.manual_seed(0)
    layer = tdn.Plastic(nn.Conv1d(2, 3, 2, bias=False), tdn.Hebbian(ETA, alpha=ALPHA), weights=weights).double()
    pre, post = rate_sequence(4, 2, 6), rate_sequence(4, 3, 5)
    state = layer.initial_state(pre)
    learned = layer.learn(pre, post, state).weight
    hebb = torch.zeros(4, 3, 2, 2, dtype=torch.float64)
    for place in range(5):
        for tap in range(2):
            hebb[..., tap] += post[:, :, None, place] * pre[:, None, :, place + tap]
    start = layer.connection.weight.detach()
    change = (hebb / ALPHA - start) * (1 - math.exp(-ETA * ALPHA))
    expected = {"rows": start + change, "mean": start + change.mean(0), "sum": start + change.sum(0)}
    assert_close(learned, expected[weights])


@pytest.mark.usefixtures("eager")
def test_a_thinned_out_connection_stays_thin():
    torch.manual_seed(0)
    layer = tdn.Plastic(tdn.sparse(nn.Linear(6, 4, bias=False), 0.5), tdn.Hebbian(0.1, alpha=1.0)).double()
    chain = tdn.Chain(layer, tdn.LeakyIntegrator(5.0).double())
    _, (state, _) = chain.scan(rate_sequence(9, 2, 6) + 1)
    there = layer.connection.parametrizations["weight"][0].mask
    assert (state.weight[:, ~there] == 0).all()
    assert (state.weight[:, there] != layer.connection.weight[there]).all()
    layer.commit(state)
    assert_close(layer.connection.weight.detach(), state.weight.mean(0).detach())


def test_bounds_hold_after_every_step():
    layer = tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.Hebbian(0.5, alpha=0.1, w_min=0.0, w_max=0.4)).double()
    watched = tdn.record(tdn.Chain(layer, tdn.LeakyIntegrator().double()), rate_sequence(30, 2, 3) * 3, ["0.weight"])
    weight = watched["0.weight"][1:]
    assert weight.min() >= 0
    assert weight.max() == 0.4
    with pytest.raises(ValueError, match="Hebbian: expected w_min <= w_max, got 1 and 0"):
        tdn.Hebbian(w_min=1, w_max=0)


@pytest.mark.usefixtures("eager")
def test_a_frozen_connection_stays():
    layer = plastic()
    layer.frozen = True
    _, (state, _) = tdn.Chain(layer, tdn.LeakyIntegrator(5.0).double()).scan(rate_sequence(9, 2, 3))
    assert torch.equal(state.weight, layer.connection.weight.expand(2, 2, 3))


class Rewarded(tdn.LearningRule):
    """Hebb's product times the modulator, and the potential behind."""

    modulated = True

    def update(self, weight, activity, traces, dt):
        each = activity.each()
        change = each.outer(activity.field("v"), activity.pre) * activity.at_rows(activity.modulator)
        return weight + activity.gather(change), traces


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_a_modulator_reaches_every_rule_inside(weights):
    """A chain in a chain and a network, against loops that are written out."""
    torch.manual_seed(0)
    inner = tdn.Plastic(nn.Linear(3, 2, bias=False), Rewarded(), weights=weights).double()
    cell = tdn.LeakyIntegrator(5.0).double()
    chain = tdn.Chain(nn.Identity(), tdn.Chain(inner, cell))
    x, reward = rate_sequence(7, 4, 3), rate_sequence(7, 4)
    y, last = chain.scan(tdn.Modulated(x, reward))
    W, v = inner.connection.weight.detach().expand(4, 2, 3).clone(), torch.zeros(4, 2, dtype=torch.float64)
    for t in range(7):
        drive = torch.einsum("bij,bj->bi", W, x[t])
        v = drive + (v - drive) * math.exp(-1 / 5)
        change = v[:, :, None] * x[t][:, None] * reward[t][:, None, None]
        W = W + {"rows": change, "mean": change.mean(0), "sum": change.sum(0)}[weights]
    assert_close(y[-1], v)
    assert_close(last[1][0].weight, W if weights == "rows" else W[0])
    square = tdn.Plastic(nn.Linear(2, 2, bias=False), Rewarded(), weights=weights).double()
    net = tdn.Network(tdn.LeakyIntegrator(5.0).double(), square, delay=1.0)
    _, moved = net.scan(tdn.Modulated(x[..., :2], reward))
    _, stayed = net.scan(tdn.Modulated(x[..., :2], torch.zeros_like(reward)))
    assert not torch.equal(moved.connection.weight, stayed.connection.weight)
    assert_close(stayed.connection.weight, square.connection.weight.expand_as(stayed.connection.weight))


def test_a_modulator_that_is_missing_or_that_nobody_reads_is_an_error():
    rewarded = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), Rewarded()), tdn.LIF())
    x, reward = torch.rand(5, 2, 3), torch.rand(5, 2)
    with pytest.raises(ValueError, match=r"Chain: expected a neuromodulator beside the input.*Modulated\(x, modulator"):
        rewarded(x)
    with pytest.raises(ValueError, match=r"Chain: expected an input alone.*got Modulated; pass x"):
        tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Hebbian()), tdn.LIF())(tdn.Modulated(x, reward))
    with pytest.raises(ValueError, match=r"expected a modulator \[T, B\]"):
        rewarded(tdn.Modulated(x, reward[..., None]))
    with pytest.raises(ValueError, match="Network: expected an input alone"):
        tdn.Network(tdn.LIF(), nn.Linear(3, 3))(tdn.Modulated(x, reward))
    with pytest.raises(ValueError, match="expected neurons with a field 'v' in their state, got tuple"):
        tdn.Plastic(nn.Linear(3, 2), Rewarded()).learn(
            x[0], x[0, :, :2], tdn.Plastic(nn.Linear(3, 2), Rewarded()).initial_state(x[0]), modulator=reward[0]
        )
