import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def frames(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def plastic(rule, weights="rows", connection=None):
    torch.manual_seed(0)
    return tdn.Plastic(connection or nn.Linear(5, 3, bias=False), rule, weights=weights).double()


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
@pytest.mark.parametrize("connection", [None, nn.Conv1d(5, 3, 2, bias=False)], ids=["linear", "convolution"])
def test_all_inputs_of_a_neuron_sum_up(weights, connection):
    for norm, p in (("sum", 1), ("length", 2)):
        layer = plastic(tdn.WeightNormalization(2.5, norm=norm), weights, connection)
        x = frames(4, 5) if connection is None else frames(4, 5, 6)
        state = layer.initial_state(x)
        y, _ = layer.step(x, state)
        after = layer.learn(x, torch.zeros_like(y), state).weight
        inputs = state.weight.ndim - (1 if connection is None else 2)
        assert_close(after.flatten(inputs).norm(p, dim=-1), torch.full_like(after.flatten(inputs)[..., 0], 2.5))
        ratio = after / state.weight
        assert_close(
            ratio,
            ratio.flatten(inputs)[..., :1]
            .reshape(*ratio.shape[:inputs], 1, *[1] * (ratio.ndim - inputs - 1))
            .expand_as(ratio),
        )


def test_every_neuron_may_have_a_sum_of_its_own():
    layer = plastic(tdn.WeightNormalization(torch.tensor([1.0, 2.0, 3.0])))
    x = frames(2, 5)
    after = layer.learn(x, frames(2, 3), layer.initial_state(x)).weight
    assert_close(after.abs().sum(-1), torch.tensor([[1.0, 2.0, 3.0]] * 2).double())


def test_it_comes_at_every_whole_interval():
    rule = tdn.Rules(tdn.Hebbian(0.1), tdn.WeightNormalization(1.0, every=3.0))
    layer, x = plastic(rule, "mean"), frames(7, 4, 5) + 0.5
    state, sums = layer.initial_state(x[0]), []
    for pre in x:
        state = layer.learn(pre, torch.ones(4, 3).double(), state)
        sums.append(state.weight.abs().sum(-1))
    at = [bool((total - 1).abs().max() < 1e-12) for total in sums]
    assert at == [False, False, True, False, False, True, False]
    odd = plastic(tdn.WeightNormalization(every=2.5))
    with pytest.raises(ValueError, match=r"expected every to be a whole number of steps of 1 ms, got 2\.5 ms"):
        odd.initial_state(x[0])


def test_a_neuron_without_weights_is_left_alone_also_in_the_gradient():
    rule = tdn.WeightNormalization(norm="length")
    weight = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], requires_grad=True)
    found, _ = rule.update(weight, tdn.Activity(torch.ones(1, 2), torch.ones(1, 2), weight), (), 1.0)
    assert_close(found.detach(), torch.tensor([[[0.0, 0.0], [0.6, 0.8]]]))
    found.sum().backward()
    assert weight.grad.isfinite().all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected norm to be one of 'sum', 'length'"):
        tdn.WeightNormalization(norm="max")
    with pytest.raises(ValueError, match="expected every above 0 ms"):
        tdn.WeightNormalization(every=0.0)
