import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.activity.check import problems
from torchdyn_neuro.encoding import Poisson
from torchdyn_neuro.models import SpikingConvNet, SpikingPerceptron

SOUND = {
    "plain": lambda: nn.Sequential(
        nn.Linear(3, 4), tdn.ExponentialSynapse(), tdn.LIF(), nn.LayerNorm(4), nn.Flatten(2)
    ),
    "no dynamics": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)),
    "stepwise": lambda: nn.Sequential(tdn.Stepwise(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))), tdn.LIF()),
    "unfolded": lambda: tdn.Stepwise(nn.Sequential(nn.Conv2d(1, 2, 3), tdn.Unfolded(tdn.LIF()), nn.Flatten())),
    "perceptron": lambda: SpikingPerceptron((1, 8, 8), 10, hidden=[8]),
    "convolutional": lambda: SpikingConvNet((1, 8, 8), 10, channels=[4], hidden=8),
    "recurrent": lambda: tdn.Chain(nn.Linear(3, 4), tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4))),
    "attention over time": lambda: nn.Sequential(tdn.LIF(), nn.TransformerEncoderLayer(4, 2)),
    "chain": lambda: tdn.Chain(nn.Flatten(), nn.BatchNorm1d(4), tdn.LIF()),
    "streaming": lambda: tdn.Streaming(nn.Sequential(tdn.LIF(), nn.Linear(3, 3), tdn.LIF())),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_models_pass(name):
    tdn.check(SOUND[name]())


def fast_path():
    layer = nn.TransformerEncoderLayer(4, 2, batch_first=True)
    layer.activation = tdn.Unfolded(tdn.LIF())
    return tdn.Stepwise(layer)


def twice():
    cell = tdn.LIF()
    return tdn.Streaming(nn.Sequential(cell, nn.Linear(3, 3), cell))


def left_alone():
    model = tdn.Stepwise(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    model.module[1] = tdn.LIF()
    return model


def nested():
    return tdn.Stepwise(nn.Sequential(tdn.Stepwise(nn.Linear(3, 3)), tdn.Unfolded(tdn.LIF())))


WRONG = {
    "two clocks": (
        lambda: nn.Sequential(tdn.ExponentialSynapse(), tdn.AdEx()),
        ["got 0.1 ms in 1 (AdEx); 1 ms in 0 (ExponentialSynapse)"],
    ),
    "encoder": (
        lambda: nn.Sequential(Poisson(10, dt=0.5), nn.Linear(3, 3), tdn.LIF()),
        ["got 0.5 ms in 0 (Poisson); 1 ms in 2 (LIF)"],
    ),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm1d(4), tdn.LIF()), ["at 0, got BatchNorm1d"]),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2)), tdn.LIF(), nn.Flatten(), nn.GroupNorm(1, 3)
        ),
        ["at 0.0, got Conv2d", "at 0.1, got AvgPool2d", "at 2, got Flatten", "at 3, got GroupNorm"],
    ),
    "attention over the batch": (
        lambda: nn.Sequential(tdn.LIF(), nn.TransformerEncoderLayer(4, 2, batch_first=True)),
        ["at 1, got TransformerEncoderLayer"],
    ),
    "outside": (lambda: nn.Sequential(nn.Linear(3, 3), tdn.Unfolded(tdn.LIF())), ["expected 1 (Unfolded) inside a St"]),
    "not unfolded": (left_alone, ["expected no dynamics at module.1, where time is in the batch, got LIF"]),
    "nested": (nested, ["expected one Stepwise around module.0, got one inside another"]),
    "time first": (
        lambda: tdn.Stepwise(nn.TransformerEncoderLayer(4, 2)),
        ["expected module.self_attn (MultiheadAttention) to take the batch first inside a Stepwise"],
    ),
    "fast path": (fast_path, ["expected module (TransformerEncoderLayer) to run its activation in evaluation too"]),
    "one state for two": (twice, ["got LIF at 0, 2, with one state for all"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_deceive_is_named(name):
    make, expected = WRONG[name]
    model = make()
    found = problems(model)
    assert len(found) == len(expected), found
    for text, problem in zip(expected, found, strict=True):
        assert text in problem
    with pytest.raises(ValueError, match=rf"got {len(expected)} problem\(s\)") as caught:
        tdn.check(model)
    assert all(problem in str(caught.value) for problem in found)


def test_the_batch_norm_would_have_run():
    # The reason for the check: with as many rows as features nothing raises, and rows see each other.
    model = nn.Sequential(nn.BatchNorm1d(4, momentum=None), tdn.LIF())
    x = torch.rand(5, 4, 4)
    y = x.clone()
    y[4] += 100.0
    assert not torch.equal(model[0](x)[0], model[0](y)[0])  # the first step sees the last one


def test_a_learned_time_constant_that_left_the_stable_region():
    model = nn.Sequential(tdn.LIF(tau_mem=tdn.Learned(20.0), integrator=tdn.Euler()))
    tdn.check(model)
    with torch.no_grad():
        model[0].tau_mem.raw.fill_(-4.0)  # 20 ms e^-4 = 0.37 ms, below half a step
    with pytest.raises(ValueError, match="0: LIF: expected a step below twice tau_mem for Euler"):
        tdn.check(model)
