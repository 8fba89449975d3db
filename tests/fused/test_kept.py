"""What a replay hands to the derivative: what takes long, and nothing that is as soon computed again."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.fuse import fuse
from torchdyn_neuro.fused.operators.registry import get_loop
from torchdyn_neuro.fused.plan.kept import worth_keeping
from torchdyn_neuro.fused.signature import signature

from .agreement import assert_agrees


class Cell(tdn.Dynamics):
    """One state v; ``slope(v, x)`` is what is put out and what v follows."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def initial_state(self, x_t):
        return (torch.zeros_like(x_t),)

    def step(self, x_t, state):
        (v,) = state
        y = self.slope(v, x_t)
        return y, (0.5 * v + y,)


def exponential(v, x):
    return torch.exp(-((v - x) * (v - x)))


def square(v, x):
    return (v - x) * (v - x)


def kept(module, x):
    found = fuse(module, signature(x, module.initial_state(x[0]), None), "cpp")
    return [node.op for node in worth_keeping(get_loop(found.key).backward_plan)]


def test_an_exponential_is_kept():
    x = torch.randn(30, 2, 40, dtype=torch.float64, requires_grad=True)
    cell = Cell(exponential)
    assert kept(cell, x) == ["exp"]
    assert_agrees(cell, x)


def test_a_difference_is_not():
    x = torch.randn(30, 2, 40, dtype=torch.float64, requires_grad=True)
    cell = Cell(square)
    assert kept(cell, x) == []
    assert_agrees(cell, 0.1 * x)


def test_states_that_the_derivative_does_not_read():
    # v goes into the slope of the surrogate only, which is made of what is kept.
    assert_agrees(tdn.LIF().double(), 3 * torch.rand(30, 2, 40, dtype=torch.float64))
    assert_agrees(Swap(), torch.randn(30, 2, 40, dtype=torch.float64))


class Swap(tdn.Dynamics):
    """Two states that change places, of which the derivative reads neither."""

    def initial_state(self, x_t):
        return torch.zeros_like(x_t), torch.ones_like(x_t)

    def step(self, x_t, state):
        a, b = state
        depth = torch.exp(-((a - x_t) * (a - x_t)) - torch.sin(a + 2 * x_t))
        return depth, (b, 0.3 * a + 0.2 * depth)
