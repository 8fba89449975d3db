import numpy as np
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_a_neuron_becomes_selective():
    """K patterns, each as often: the response is K r_0 to one of them and 0 to the others (Intrator & Cooper 1992)."""
    patterns = torch.eye(4, dtype=torch.float64) + 0.3
    torch.manual_seed(0)
    rule = tdn.BCM(0.1, tau=2.0, rate=0.5)
    plastic = tdn.Plastic(nn.Linear(4, 6, bias=False), rule, weights="mean").double()
    with torch.no_grad():
        plastic.connection.weight.uniform_(0.2, 0.5)
        state = plastic.initial_state(patterns)
        for _ in range(600):
            y, state = plastic.step(patterns, state)
            state = plastic.learn(patterns, y, state)
        y, _ = plastic.step(patterns, state)
    best, chosen = y.max(0)
    assert_close(best, torch.full((6,), 4 * 0.5).double(), atol=1e-5, rtol=0)
    assert_close(y.sum(0), best, atol=1e-5, rtol=0)
    assert len(chosen.unique()) > 1
    assert_close(state.traces.value, best, atol=1e-5, rtol=0)  # where the threshold meets the preferred response


def test_a_neuron_becomes_selective_in_a_sequence_of_patterns():
    generator = torch.Generator().manual_seed(0)
    patterns = torch.eye(3, dtype=torch.float64) + 0.2
    order = torch.stack([torch.randperm(3, generator=generator) for _ in range(500)]).flatten()
    plastic = tdn.Plastic(nn.Linear(3, 1, bias=False), tdn.BCM(0.01, tau=30.0)).double()
    with torch.no_grad():
        plastic.connection.weight.copy_(torch.tensor([[0.5, 0.45, 0.4]]))
        state = plastic.initial_state(patterns[:1])
        for x in patterns[order][:, None]:
            y, state = plastic.step(x, state)
            state = plastic.learn(x, y, state)
    responses = (patterns @ state.weight[0, 0]).sort().values
    # The threshold of one time constant wavers by the patterns it has seen last.
    assert_close(responses, torch.tensor([0.0, 0.0, 3.0]).double(), atol=0.15, rtol=0)


def test_against_a_loop_in_numpy():
    eta, tau, rate, decay, dt = 0.1, 4.0, 0.7, 0.05, 0.5
    rng = np.random.default_rng(0)
    pre, post = rng.random((20, 3)), 2 * rng.random((20, 2))
    w, theta = np.full((2, 3), 0.1), np.full(2, 0.3)
    rule = tdn.BCM(eta, tau=tau, rate=rate, decay=decay, threshold=0.3).double()
    weight = torch.full((1, 2, 3), 0.1, dtype=torch.float64)
    traces = rule.initial_traces(tdn.Activity(torch.from_numpy(pre[:1]), torch.from_numpy(post[:1]), weight), 1.0)
    for x, y in zip(pre, post, strict=True):
        w = w + dt * eta * np.outer(y * (y - theta), x) - (1 - np.exp(-dt * decay)) * w
        theta = theta + (1 - np.exp(-dt / tau)) * (y**2 / rate - theta)
        activity = tdn.Activity(torch.from_numpy(x)[None], torch.from_numpy(y)[None], weight)
        weight, traces = rule.update(weight, activity, traces, dt)
    assert_close(weight[0], torch.from_numpy(w))
    assert_close(traces.value[0], torch.from_numpy(theta))
