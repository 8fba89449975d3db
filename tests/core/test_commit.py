"""What a whole model has learned is written back; a whole model is held still."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


@pytest.fixture(autouse=True)
def _eager():
    """What is written back are states, by whichever loop: that they agree, ``tests/fused/test_plastic.py`` shows."""
    with tdn.backend("eager"):
        yield


def frames(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def plastic(pre, post, weights="mean", eta=0.05):
    return tdn.Plastic(nn.Linear(pre, post, bias=False), tdn.Hebbian(eta), weights=weights)


def deep(weights="mean"):
    """Plastic connections in a chain, in a chain in a chain, and inside a network."""
    torch.manual_seed(0)
    return tdn.Chain(
        plastic(3, 4, weights),
        tdn.LeakyIntegrator(5.0),
        tdn.Chain(nn.Linear(4, 4), plastic(4, 5, weights), tdn.ExponentialSynapse(4.0), tdn.LeakyIntegrator(5.0)),
        tdn.Network(tdn.Chain(plastic(5, 5, weights), tdn.LeakyIntegrator(5.0)), nn.Linear(5, 5), delay=1.0),
        plastic(5, 3, weights),
        tdn.Network(tdn.LeakyIntegrator(5.0), plastic(3, 3, weights), delay=1.0),
    )


def connections(model):
    return [module for module in model.modules() if isinstance(module, tdn.Plastic)]


def learned(state):
    return [
        state[0].weight,
        state[2][1].weight,
        state[3].neuron[0].weight,
        state[4].weight,
        state[5].connection.weight,
    ]


@pytest.mark.parametrize("weights", ["rows", "mean"])
def test_everything_that_a_model_has_learned_is_where_it_starts_from_then_on(weights):
    model, x = deep(weights), frames(8, 2, 3)
    _, state = model.scan(x)
    expected = [weight.mean(0) if weights == "rows" else weight for weight in learned(state)]
    starts = [layer.connection.weight.detach().clone() for layer in connections(model)]
    tdn.commit(model, state)
    for layer, weight, start in zip(connections(model), expected, starts, strict=True):
        assert_close(layer.connection.weight, weight)
        assert not torch.equal(layer.connection.weight, start)
    for weight, start in zip(expected, learned(model.initial_state(x[0])), strict=True):
        assert_close(start, weight.expand_as(start))


def test_two_runs_with_a_commit_between_are_one_for_weights_that_rows_share():
    model = tdn.Chain(plastic(3, 2), tdn.LeakyIntegrator(5.0))
    x = frames(10, 4, 3)
    whole, _ = model.scan(x)
    first, (connection, cell) = model.scan(x[:6])
    tdn.commit(model, (connection, cell))
    second, _ = model.scan(x[6:], (model.initial_state(x[0])[0], cell))
    assert_close(torch.cat([first, second]), whole)


@pytest.mark.parametrize("weights", ["rows", "mean"])
def test_a_stream_is_written_back_and_goes_on(weights):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), tdn.Chain(plastic(3, 2, weights), tdn.LeakyIntegrator(5.0)))
    live, other, x = tdn.Streaming(model), tdn.Streaming(model), frames(12, 2, 3)
    live(x[:6])
    other(x[:6])
    before = live.states()["1"]
    tdn.commit(live)
    weight = before[0].weight.mean(0) if weights == "rows" else before[0].weight
    assert_close(model[1][0].connection.weight.detach(), weight)
    assert_close(tdn.leaves(live.states()["1"]), tdn.leaves(before), rtol=0, atol=0)
    assert_close(live(x[6:]), other(x[6:]))
    live.reset([True, False])
    after = live.states()["1"]
    if weights == "rows":
        assert_close(after[0].weight[0], weight)  # a row starts where the model does now
        assert not torch.equal(after[0].weight[1], weight)
    assert not after[1].v[0].any()
    live.reset()
    live(x[:1])
    start = tdn.Chain(plastic(3, 2, weights), tdn.LeakyIntegrator(5.0))
    start[0].connection.weight.data.copy_(weight)
    expected, _ = start.scan(model[0](x[:1]))
    assert_close(live.states()["1"][1].v, expected[0])


def test_states_by_name():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), tdn.Chain(plastic(3, 2), tdn.LeakyIntegrator(5.0)), tdn.LIF())
    live = tdn.Streaming(model)
    live(frames(6, 2, 3))
    tdn.commit(model, live.states())
    assert_close(model[1][0].connection.weight.detach(), live.states()["1"][0].weight)


def test_wrong_states():
    model, x = deep(), frames(2, 2, 3)
    _, state = model.scan(x)
    with pytest.raises(ValueError, match="commit: expected a tuple of 6 states for a Chain, got tuple"):
        tdn.commit(model, state[:2])
    with pytest.raises(ValueError, match="commit: expected the state of a plastic connection, got tuple"):
        tdn.commit(model, ((),) * 6)
    with pytest.raises(ValueError, match="commit: expected the state of a Network, got tuple"):
        tdn.commit(model[5], ())
    with pytest.raises(ValueError, match=r"commit: expected a plastic connection.*, got none in LIF"):
        tdn.commit(tdn.LIF(), tdn.LIF().initial_state(x[0]))
    with pytest.raises(ValueError, match="commit: expected a plastic connection"):
        tdn.commit(tdn.Streaming(model))  # that has not run
    with pytest.raises(ValueError, match="commit: expected no state beside a Streaming"):
        tdn.commit(tdn.Streaming(model), state)


def test_a_frozen_model_stays_and_is_as_it_was_afterwards():
    torch.manual_seed(0)
    homeostasis = tdn.ThresholdHomeostasis(0.1, rate=100.0)
    model = tdn.Chain(plastic(3, 2), tdn.LIF(adaptation=homeostasis), plastic(2, 2), tdn.LeakyIntegrator())
    model[2].frozen = True
    x = 9 * frames(9, 2, 3)
    nn.init.constant_(model[0].connection.weight, 1.0)
    with tdn.frozen(model):
        _, state = model.scan(x)
        assert torch.equal(state[0].weight, model[0].connection.weight)
        assert not state[1].adaptation.any()
    assert [model[0].frozen, homeostasis.frozen, model[2].frozen] == [False, False, True]
    _, state = model.scan(x)
    assert not torch.equal(state[0].weight, model[0].connection.weight)
    assert state[1].adaptation.any()
    assert torch.equal(state[2].weight, model[2].connection.weight)
    tdn.freeze(model, False)
    _, state = model.scan(x)
    assert not torch.equal(state[2].weight, model[2].connection.weight)


def test_layers_around_a_plastic_one_are_trained_by_backpropagation():
    """Their gradients are those of differences, with weights that move while the sequence runs."""
    torch.manual_seed(0)
    first, last = nn.Linear(3, 4).double(), nn.Linear(2, 2).double()
    chain = tdn.Chain(first, tdn.LeakyIntegrator(4.0), plastic(4, 2, "rows", 0.3), tdn.LeakyIntegrator(4.0), last)
    chain = chain.double()
    x = frames(5, 2, 3).double()

    def loss(*parameters):
        names = ["0.weight", "0.bias", "4.weight"]
        return torch.func.functional_call(chain, dict(zip(names, parameters, strict=True)), (x,)).square().sum()

    parameters = [p.detach().clone().requires_grad_() for p in (first.weight, first.bias, last.weight)]
    assert torch.autograd.gradcheck(loss, parameters)
    moving = torch.autograd.grad(loss(*parameters), parameters)
    with tdn.frozen(chain):
        still = torch.autograd.grad(loss(*parameters), parameters)
    assert all(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(moving, still, strict=True))


def test_layers_learn_by_backpropagation_while_plastic_weights_follow_their_rule():
    torch.manual_seed(0)
    middle = tdn.Plastic(nn.Linear(8, 4, bias=False), tdn.Oja(0.02), weights="mean")
    chain = tdn.Chain(nn.Linear(3, 8), tdn.LeakyIntegrator(2.0), middle, tdn.LeakyIntegrator(2.0), nn.Linear(4, 2))
    trained = [p for name, p in chain.named_parameters() if not name.startswith("2.")]
    x, target, losses = frames(8, 4, 3), torch.tensor([0.5, -0.5]), []
    for _ in range(12):
        y, state = chain.scan(x)
        loss = (y[-1] - target).square().mean()
        with torch.no_grad():
            for parameter, slope in zip(trained, torch.autograd.grad(loss, trained), strict=True):
                parameter -= 0.3 * slope
        before = chain[2].connection.weight.detach().clone()
        tdn.commit(chain, state)
        assert not torch.equal(chain[2].connection.weight, before)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
