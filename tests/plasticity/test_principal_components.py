"""Oja and Sanger: what they converge to."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

VALUES = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25]).double()


def inputs():
    """Rows whose mean product x x^T is exactly a matrix with these eigenvalues, and its eigenvectors as rows."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))[0]
    mixed = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))[0]
    return 5**0.5 * mixed @ torch.diag(VALUES.sqrt()) @ vectors.mT, vectors.mT


@torch.no_grad()
def learned(rule, units, weights, steps, x):
    """The weights after steps in which linear neurons answer to all rows at once."""
    torch.manual_seed(1)
    plastic = tdn.Plastic(nn.Linear(x.shape[1], units, bias=False), rule, weights=weights).double()
    state = plastic.initial_state(x)
    for _ in range(steps):
        y, state = plastic.step(x, state)
        state = plastic.learn(x, y, state)
    return state.weight


def test_oja_finds_the_first_principal_component():
    x, vectors = inputs()
    weight = learned(tdn.Oja(0.005, alpha=4.0), 2, "mean", 1000, x)
    expected = vectors[0] / 2  # of length 1 / sqrt(alpha)
    for own in weight:
        assert_close(own * (own @ expected).sign(), expected, atol=0.005, rtol=0)  # steps are not infinitely small


def test_oja_finds_it_in_a_stream_of_random_samples():
    _, vectors = inputs()
    generator = torch.Generator().manual_seed(2)
    samples = torch.randn(1000, 1, 5, generator=generator, dtype=torch.float64) * VALUES.sqrt() @ vectors
    plastic = tdn.Plastic(nn.Linear(5, 1, bias=False), tdn.Oja(0.005)).double()
    with torch.no_grad():
        state = plastic.initial_state(samples[0])
        for x in samples:
            y, state = plastic.step(x, state)
            state = plastic.learn(x, y, state)
    weight = state.weight.flatten()
    assert abs(weight @ vectors[0]) > 0.97
    assert weight.norm().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("eta", "dt"), [(0.3, 1.0), (0.05, 20.0)])
def test_a_step_of_oja_is_exact_for_a_held_activity(eta, dt):
    """w(t) = x / (alpha y) + (w_0 - x / (alpha y)) exp(-eta alpha y^2 t)."""
    rule, x, y = tdn.Oja(eta, alpha=0.7).double(), torch.tensor([[1.0, -3.0]]).double(), torch.tensor([[1.6]]).double()
    start = torch.tensor([[[0.2, 0.4]]]).double()
    weight, _ = rule.update(start, tdn.Activity(x, y, start), (), dt)
    goal = x / (0.7 * y)
    assert_close(weight[0], goal + (start[0] - goal) * torch.exp(-eta * 0.7 * y**2 * dt))
    silent, _ = rule.update(start, tdn.Activity(x, 0 * y, start), (), dt)
    assert torch.equal(silent, start)


@pytest.mark.parametrize("weights", ["mean", "sum"])
def test_sanger_finds_the_first_components_in_order(weights):
    x, vectors = inputs()
    weight = learned(tdn.Sanger(0.15 if weights == "mean" else 0.03), 3, weights, 300, x)
    signs = (weight * vectors[:3]).sum(1, keepdim=True).sign()
    assert_close(weight * signs, vectors[:3], atol=1e-6, rtol=0)


def test_a_step_of_sanger_written_out():
    pre, post = torch.rand(2, 4).double(), torch.rand(2, 3).double()
    start = torch.rand(2, 3, 4).double()
    weight, _ = tdn.Sanger(0.1).double().update(start, tdn.Activity(pre, post, start), (), 0.5)
    for b in range(2):
        for i in range(3):
            left = pre[b] - sum(post[b, k] * start[b, k] for k in range(i + 1))
            assert_close(weight[b, i], start[b, i] + 0.5 * 0.1 * post[b, i] * left)


def test_sanger_refuses_groups():
    layer = tdn.Plastic(nn.Conv1d(4, 4, 1, groups=2), tdn.Sanger())
    with pytest.raises(ValueError, match="Sanger: expected neurons that share their inputs, got a convolution in 2"):
        layer.initial_state(torch.rand(1, 4, 3))
