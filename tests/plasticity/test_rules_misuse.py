"""Learning rules where a number would be wrong without a word: absent weights, values of neurons, empty batches."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

WEIGHTS = ["rows", "mean", "sum"]


def test_rules_in_a_row_do_not_count_absent_weights():
    """What Hebb's rule asks for where there is no connection is not there for the sum that comes next."""
    torch.manual_seed(0)
    sparse = tdn.sparse(nn.Linear(6, 4, bias=False), 0.5)
    with torch.no_grad():
        sparse.parametrizations.weight.original.abs_()
    rule = tdn.Rules(tdn.Hebbian(0.1, w_min=0.05), tdn.WeightNormalization(total=1.0))
    _, (state, _) = tdn.Chain(tdn.Plastic(sparse, rule), tdn.LeakyIntegrator()).scan(torch.rand(5, 2, 6))
    there = sparse.parametrizations.weight[0].mask.any(-1)
    assert there.any()
    assert_close(state.weight.sum(-1)[:, there], torch.ones(2, int(there.sum())))


FEW = torch.tensor([0.1, 0.2, 0.3, 0.4])
BY_NEURON = {
    "Hebbian.eta": lambda q: tdn.Hebbian(q),
    "Hebbian.alpha": lambda q: tdn.Hebbian(0.1, alpha=q),
    "Oja.eta": lambda q: tdn.Oja(q),
    "Oja.alpha": lambda q: tdn.Oja(0.1, alpha=q),
    "BCM.eta": lambda q: tdn.BCM(q),
    "BCM.decay": lambda q: tdn.BCM(0.1, decay=q),
    "BCM.tau": lambda q: tdn.BCM(0.1, tau=10 * q),
    "Covariance.eta": lambda q: tdn.Covariance(q),
    "SynapticScaling.eta": lambda q: tdn.SynapticScaling(q, tau=2.0, target=1.0),
    "TripletRate.tau_minus": lambda q: tdn.TripletRate(tdn.TripletSTDP(0.1, 0.1, 9e3, 9e3, tau_minus=q)),
    "PairSTDP.A_plus": lambda q: tdn.PairSTDP(q, 0.0),
    "VoltageSTDP.A_LTD": lambda q: tdn.VoltageSTDP(q, theta_minus=-1.0, v_rest=0.0),
}


@pytest.mark.parametrize("name", BY_NEURON)
@pytest.mark.parametrize(("weights", "conv"), [("rows", False), ("mean", False), ("rows", True)])
def test_one_value_for_each_neuron_is_that_of_the_neuron_behind(name, weights, conv):
    """As many inputs as neurons: along the wrong axis the values would fit as well."""
    torch.manual_seed(0)
    connection = nn.Conv1d(4, 4, 2, bias=False) if conv else nn.Linear(4, 4, bias=False)
    x, make = torch.rand(3, 2, 4, *(3,) * conv), BY_NEURON[name]

    def learned(quantity):
        net = tdn.Chain(tdn.Plastic(connection, make(quantity), weights=weights), tdn.LeakyIntegrator(5.0))
        with tdn.backend("eager"):
            return net.scan(x)[1][0].weight - net[0].connection.weight

    found = learned(FEW[:, None] if conv else FEW)
    for neuron, value in enumerate(FEW.tolist()):
        axis = 1 if weights == "rows" else 0
        assert_close(found.select(axis, neuron), learned(value).select(axis, neuron), rtol=1e-4, atol=1e-6)
    assert found.abs().max() > 1e-4


def test_sanger_takes_one_rate_for_each_neuron():
    pre, post, weight = torch.rand(1, 4), torch.rand(1, 4), torch.rand(1, 4, 4)
    activity = tdn.Activity(pre, post, weight)
    found = tdn.Sanger(FEW).update(weight, activity, (), 1.0)[0] - weight
    one = tdn.Sanger(1.0).update(weight, activity, (), 1.0)[0] - weight
    assert_close(found, FEW[:, None] * one)


@pytest.mark.parametrize("tau_d", [10.0, None])
def test_reward_takes_one_eligibility_time_for_each_neuron_and_one_time_of_dopamine(tau_d):
    torch.manual_seed(0)
    connection, x, reward = nn.Linear(4, 4), 2 * torch.rand(8, 4, 4).round(), torch.rand(8, 4)

    def learned(tau_e):
        plastic = tdn.Plastic(connection, tdn.RewardSTDP(tdn.PairSTDP(0.1, 0.1), tau_e, tau_d))
        state = plastic.initial_state(x[0])
        for pre, modulator in zip(x, reward, strict=True):
            state = plastic.learn(pre, pre.flip(1), state, modulator=modulator)
        return state.weight - connection.weight

    found = learned(10 * FEW)
    for neuron, value in enumerate((10 * FEW).tolist()):
        assert_close(found[:, neuron], learned(value)[:, neuron], rtol=1e-4, atol=1e-6)


def test_a_time_of_dopamine_for_each_neuron_is_refused():
    plastic = tdn.Plastic(nn.Linear(4, 4), tdn.RewardSTDP(tdn.PairSTDP(), tau_d=10 * FEW))
    with pytest.raises(ValueError, match="expected one tau_d"):
        plastic.initial_state(torch.zeros(4, 4))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    "rule", [tdn.Hebbian(0.1), tdn.BCM(0.1), tdn.SynapticScaling(0.1), tdn.PairSTDP(), tdn.Sanger(0.1)]
)
def test_an_empty_batch_teaches_nothing(rule, weights):
    net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), rule, weights=weights), tdn.LIF())
    # The loops are started for no rows alike, whatever the rule, with traces or without.
    for backend in ("eager", "auto") if isinstance(rule, tdn.Hebbian | tdn.PairSTDP) else ("eager",):
        with tdn.backend(backend):
            _, (state, _) = net.scan(torch.rand(4, 0, 3))
        if weights == "rows":
            assert state.weight.shape == (0, 2, 3)
        else:
            assert torch.equal(state.weight, net[0].connection.weight)
            value = getattr(state.traces, "value", torch.zeros(()))
            assert value.isfinite().all()


def test_an_empty_batch_is_not_written_back():
    net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Oja()), tdn.LIF())
    _, state = net.scan(torch.rand(4, 0, 3))
    with pytest.raises(ValueError, match="a batch with rows"):
        tdn.commit(net, state)


def test_weights_of_another_kind_are_not_written_back():
    """The mean over neurons of a weight that the rows share would fit the module as well."""
    net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Oja(), weights="mean"), tdn.LIF())
    _, state = net.scan(torch.rand(4, 5, 3))
    net[0].weights = "rows"
    with pytest.raises(ValueError, match=r"expected weights \[B, 2, 3\]"):
        tdn.commit(net, state)


ROWS, FEWER, NARROW = torch.rand(4, 3), torch.rand(1, 3), torch.rand(4, 1)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_by_hand_nothing_is_repeated_to_fit(weights):
    """One row, or one input, would meet the weights of all."""
    plastic, post = tdn.Plastic(nn.Linear(3, 2), tdn.RewardSTDP(tdn.PairSTDP()), weights=weights), torch.ones(4, 2)
    state, reward = plastic.initial_state(ROWS), torch.rand(4)
    plastic.learn(ROWS, post, plastic.step(ROWS, state)[1], modulator=reward)
    for frames in (NARROW, *((FEWER,) if weights == "rows" else ())):
        with pytest.raises(ValueError, match=r"expected frames \[4, 3\] for this state"):
            plastic.step(frames, state)
        with pytest.raises(ValueError, match=r"expected frames \[4, 3\] for this state"):
            plastic.learn(frames, post, state, modulator=reward)
    for behind, modulator in ((post[:1], reward), (post, reward[:2]), (post, reward[:, None])):
        with pytest.raises(ValueError, match="of as many rows as pre"):
            plastic.learn(ROWS, behind, state, modulator=modulator)


@pytest.mark.parametrize("bound", [float("nan"), "0", torch.zeros(3), True])
def test_bounds_are_numbers(bound):
    with pytest.raises(TypeError, match="Hebbian: expected w_max to be a number or None"):
        tdn.Hebbian(w_max=bound)


def test_bounds_of_rules_inside_others_must_overlap_too():
    with pytest.raises(ValueError, match="bounds that a weight can keep"):
        tdn.Rules(tdn.RewardSTDP(tdn.PairSTDP(w_min=1.0)), tdn.Hebbian(w_max=0.0))
