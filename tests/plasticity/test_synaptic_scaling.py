import numpy as np
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

TARGET = 0.02  # spikes per ms


def mean_rates(rule, strength=(1.0, 3.0), steps=500):
    """Spikes per ms of four cells in the second half, under the first strength of a Poisson input, then the second."""
    torch.manual_seed(0)
    cells = tdn.Chain(tdn.Plastic(nn.Linear(20, 4, bias=False), rule, weights="mean"), tdn.LIF(20.0))
    nn.init.uniform_(cells[0].connection.weight, 0.5, 1.5)
    start, found, state = cells[0].connection.weight.detach().clone(), [], None
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for factor in strength:
            x = (torch.rand(steps, 8, 20, generator=generator) < 0.06 * factor).float()
            y, state = cells.scan(x, state)
            found.append(y[steps // 2 :].mean((0, 1)))
    return torch.stack(found), start, state[0].weight


def test_the_mean_rate_is_held_under_a_changed_input():
    scaled, start, weight = mean_rates(tdn.SynapticScaling(0.6, target=TARGET, tau=50.0))
    assert_close(scaled, torch.full((2, 4), TARGET), atol=0.003, rtol=0)
    ratio = weight / start
    assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-4, rtol=0)  # of one neuron all alike, in float32
    assert ratio.max() < 1
    alone, _, _ = mean_rates(tdn.SynapticScaling(0.0, target=TARGET), steps=200)
    assert (alone[1] / alone[0]).min() > 2


def test_against_a_loop_in_numpy():
    eta, target, tau, dt = 0.2, 0.5, 6.0, 0.5
    rng = np.random.default_rng(0)
    post = rng.random((15, 2))
    w, mean = np.array([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]), np.array([0.2, 0.2])
    rule = tdn.SynapticScaling(eta, target=target, tau=tau, start=0.2).double()
    weight, pre = torch.from_numpy(w)[None], torch.zeros(1, 3).double()
    traces = rule.initial_traces(tdn.Activity(pre, torch.zeros(1, 2).double(), weight), 1.0)
    for y in post:
        mean = mean + (1 - np.exp(-dt / tau)) * (y - mean)
        w = w * np.exp(dt * eta * (target - mean))[:, None]
        weight, traces = rule.update(weight, tdn.Activity(pre, torch.from_numpy(y)[None], weight), traces, dt)
    assert_close(weight[0], torch.from_numpy(w))
