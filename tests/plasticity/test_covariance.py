import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_against_a_loop_in_numpy():
    eta, tau, dt = 0.03, 6.0, 0.5
    rng = np.random.default_rng(0)
    pre, post = rng.random((20, 3)), rng.random((20, 2))
    w, m, n = np.zeros((2, 3)), np.full(3, 0.4), np.full(2, 0.2)
    rule = tdn.Covariance(eta, tau=tau, pre_mean=0.4, post_mean=0.2).double()
    weight = torch.zeros(1, 2, 3, dtype=torch.float64)
    frame = tdn.Activity(torch.from_numpy(pre[:1]), torch.from_numpy(post[:1]), weight)
    traces = rule.initial_traces(frame, 1.0)
    for x, y in zip(pre, post, strict=True):
        w += dt * eta * np.outer(y - n, x - m)
        m += (1 - np.exp(-dt / tau)) * (x - m)
        n += (1 - np.exp(-dt / tau)) * (y - n)
        activity = tdn.Activity(torch.from_numpy(x)[None], torch.from_numpy(y)[None], weight)
        weight, traces = rule.update(weight, activity, traces, dt)
    assert_close(weight[0], torch.from_numpy(w))
    assert_close(traces.pre[0], torch.from_numpy(m))


def test_the_drift_is_the_covariance():
    """Activity without memory around means far from 0: eta cov 2 / (1 + exp(-dt / tau)) per ms."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(3000, 200, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(3000, 200, 3, generator=generator, dtype=torch.float64)
    x = 5.0 + own + torch.tensor([0.8, 0.0, -0.8]) * shared
    post = 3.0 + shared
    layer = tdn.Plastic(torch.nn.Linear(3, 1), tdn.Covariance(1e-3, tau=10.0, pre_mean=5.0, post_mean=3.0)).double()
    torch.nn.init.zeros_(layer.connection.weight)
    with torch.no_grad():
        state = layer.initial_state(x[0])
        for t in range(300):
            state = layer.learn(x[t], post[t], state)
    drift = state.weight.mean(0).flatten() / (300 * 1e-3)
    factor = 2 / (1 + np.exp(-1 / 10.0))
    # 60 000 products, correlated over some steps: a standard error of about 0.005.
    assert drift.tolist() == pytest.approx([0.8 * factor, 0.0, -0.8 * factor], abs=0.03)


def test_fixed_thresholds_are_those_of_the_book():
    """tau=None and one threshold at 0: v (u - theta_u)."""
    rule = tdn.Covariance(0.1, tau=None, pre_mean=0.5)
    weight, pre, post = torch.zeros(1, 1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0]])
    activity = tdn.Activity(pre, post, weight)
    traces = rule.initial_traces(activity, 1.0)
    weight, after = rule.update(weight, activity, traces, 1.0)
    assert_close(weight, torch.tensor([[[0.1, -0.1]]]))
    assert after is traces
