"""A sequence whose frames are all the same passes the layers in front of the first dynamics once."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.constant import over_time

STEPS = 6


class Counting(nn.Linear):
    """Notes the number of rows that it has seen: its forward is nobody's who is known."""

    rows = 0

    def forward(self, x):
        self.rows += x[..., 0].numel()
        return super().forward(x)


def constant(*shape, dtype=torch.float32):
    return torch.rand(1, *shape, dtype=dtype).expand(STEPS, *shape)


def rows_of(module, x):
    """The number of rows at each call of torch's linear function inside a module."""
    seen = []
    function = nn.functional.linear

    def linear(x, *rest):
        seen.append(x[..., 0].numel())
        return function(x, *rest)

    nn.functional.linear = linear
    try:
        module(x)
    finally:
        nn.functional.linear = function
    return seen


def test_a_chain_runs_layers_in_front_of_the_dynamics_once():
    chain = tdn.Chain(nn.Flatten(), nn.Linear(8, 5), tdn.Stepwise(nn.BatchNorm1d(5)), tdn.LIF(), nn.Linear(5, 2)).eval()
    assert rows_of(chain, constant(3, 2, 4)) == [3, 3 * STEPS]
    assert rows_of(chain, constant(3, 2, 4).contiguous()) == [3 * STEPS, 3 * STEPS]


@pytest.mark.parametrize("training", [True, False])
def test_a_chain_gives_what_it_gives_for_all_frames(training):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    one = tdn.Chain(*layers, tdn.LIF(1.5), nn.Linear(4, 2), tdn.LeakyIntegrator()).double().train(training)
    other, x = copy.deepcopy(one), 9 * constant(4, 1, 6, 6, dtype=torch.float64)
    (y, state), (y_all, state_all) = one.scan(x), other.scan(x.contiguous())
    assert len(y.unique()) > 10
    y.square().sum().backward()
    y_all.square().sum().backward()
    assert_close((y, state[-1]), (y_all, state_all[-1]))
    assert_close([p.grad for p in one.parameters()], [p.grad for p in other.parameters()], rtol=1e-9, atol=1e-9)
    assert_close(dict(one.named_buffers()), dict(other.named_buffers()))
    for a, b in zip(one.step(x[0], state)[0], other.step(x[0], state_all)[0], strict=True):
        assert_close(a, b)


def test_dropout_that_trains_draws_for_each_frame():
    torch.manual_seed(0)
    layer, x = nn.Dropout(0.5), torch.ones(1, 2, 20).expand(STEPS, 2, 20)
    frames = over_time(layer, x, layer)
    assert (frames[0] != frames[1]).any()
    chain = tdn.Chain(nn.Sequential(nn.Identity(), layer), tdn.LeakyIntegrator(1.0))
    assert (chain(x)[0] != chain(x)[1]).any()
    assert over_time(layer.eval(), x, layer).stride(0) == 0


def test_what_is_not_known_or_watched_gets_all_frames():
    own, x = Counting(3, 2), constant(2, 3)
    tdn.Chain(own, tdn.LIF())(x)
    assert own.rows == 2 * STEPS
    watched, seen = nn.Linear(3, 2), []
    watched.register_forward_hook(lambda module, given, y: seen.append(y.shape))
    tdn.Chain(nn.Sequential(watched), tdn.LIF())(x)
    assert seen == [(2 * STEPS, 2)]
    replaced = nn.Identity()
    replaced.forward = lambda x: x + torch.rand_like(x)
    assert over_time(replaced, x, replaced).unique().numel() == x.numel()


def test_what_follows_a_norm_that_trains_gets_one_frame_again():
    chain = tdn.Chain(tdn.Stepwise(nn.BatchNorm1d(3)), nn.Linear(3, 2), tdn.LIF())
    assert rows_of(chain, constant(4, 3)) == [4]
