import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def frames(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_each_works_on_what_the_one_before_leaves(weights):
    torch.manual_seed(0)
    rules = tdn.Hebbian(0.1), tdn.BCM(0.1, tau=3.0), tdn.WeightNormalization(1.0)
    connection = nn.Linear(3, 2, bias=False)
    together = tdn.Plastic(connection, tdn.Rules(*rules), weights=weights).double()
    apart = [tdn.Plastic(connection, rule, weights=weights).double() for rule in rules]
    state, states = together.initial_state(frames(4, 3)), [layer.initial_state(frames(4, 3)) for layer in apart]
    weight = state.weight
    for step in range(4):
        pre, post = frames(4, 3, seed=step), frames(4, 2, seed=9 + step)
        state = together.learn(pre, post, state)
        for index, layer in enumerate(apart):
            states[index] = layer.learn(pre, post, states[index]._replace(weight=weight))
            weight = states[index].weight
    assert_close(state.weight, weight)
    assert_close(state.weight.abs().sum(-1), torch.ones_like(state.weight[..., 0]))


def test_the_bounds_of_all_hold_at_the_end():
    rule = tdn.Rules(tdn.Hebbian(0.1, w_min=0.0, w_max=0.3), tdn.WeightNormalization(9.0))
    layer = tdn.Plastic(nn.Linear(3, 2, bias=False), rule)
    state = layer.learn(torch.ones(1, 3), torch.ones(1, 2), layer.initial_state(torch.ones(1, 3)))
    assert state.weight.min() >= 0
    assert state.weight.max() <= 0.3


class Dopamine(tdn.LearningRule):
    modulated = True

    def update(self, weight, activity, traces, dt):
        return weight + activity.modulator.mean(), traces


def test_a_modulator_reaches_one_among_others():
    torch.manual_seed(0)
    net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.Rules(tdn.Hebbian(0.0), Dopamine())), tdn.LIF())
    assert net.modulated
    _, (state, _) = net.scan(tdn.Modulated(torch.zeros(5, 2, 3), torch.full((5, 2), 0.2)))
    assert_close(state.weight[0], net[0].connection.weight + 1.0)
    assert not tdn.Rules(tdn.Hebbian()).modulated


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Rules: expected one rule at least, got none"):
        tdn.Rules()
    with pytest.raises(TypeError, match="Rules: expected learning rules, got ReLU"):
        tdn.Rules(tdn.Oja(), nn.ReLU())
    with pytest.raises(ValueError, match="expected bounds that a weight can keep, got one rule with w_min=2"):
        tdn.Rules(tdn.Oja(w_min=2.0), tdn.Hebbian(w_max=1.0))
