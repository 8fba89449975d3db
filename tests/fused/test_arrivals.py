"""Where no gradient arrives there is none, whatever slope it would meet in a step with products; eager is right."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.repeat import repeat
from torchdyn_neuro.core.state import leaves, register_state, zeros_state
from torchdyn_neuro.fused.recurrent import cut_loops, network_native

from .agreement import assert_agrees

WIDTH = 5


@register_state
class Two(NamedTuple):
    """s, r: two states."""

    s: Tensor
    r: Tensor


class Step(tdn.Dynamics):
    """A step of a user's own: two outputs, two states, two matrices without a bias, a parameter for each neuron."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.first, self.second = (nn.Linear(WIDTH, WIDTH, bias=False, dtype=torch.float64) for _ in range(2))
        self.p = nn.Parameter(torch.linspace(0.5, 1.5, WIDTH, dtype=torch.float64))
        values = torch.linspace(-0.9, 1.1, WIDTH**2, dtype=torch.float64).reshape(WIDTH, WIDTH)
        with torch.no_grad():
            self.first.weight.copy_(values)
            self.second.weight.copy_(values.t().flip(0))

    def initial_state(self, x_t):
        return Two(zeros_state(x_t), zeros_state(x_t) + 0.25)

    def step(self, x_t, state):
        outputs, state = self.function(self, x_t, *state)
        return outputs, Two(*state)


def root(x):
    """Its slope at zero is infinite."""
    return x.abs().sqrt()


def rounds(x, s):
    """Two that know nothing of each other, three rounds of each, one of them through roots."""
    states = repeat(lambda x, s: Two(s.s * 0.9 + x, root(s.r)), x, Two(s, x), 3)
    return states[-1].s + states[0].r, states[-1].r


ABSENT = {
    "a state that nobody reads": lambda m, x, s, r: ((m.first(s), root(x)), (root(x), r * m.p)),
    "behind a product": lambda m, x, s, r: ((m.first(s), root(m.second(x))), (root(m.second(x)), r * m.p)),
    "before a product": lambda m, x, s, r: ((m.first(s), m.first(root(x))), (m.second(root(x)), r * m.p)),
    "between products": lambda m, x, s, r: ((x * m.p, m.first(root(m.second(x)))), (m.second(root(m.first(x))), s)),
    "a state of two steps ago": lambda m, x, s, r: ((m.first(r), root(x) * s), (root(x * m.p), s)),
    "states that change places": lambda m, x, s, r: ((m.first(x), root(x)), (r * root(x), s + m.second(x))),
    "two that arrive apart": lambda m, x, s, r: ((m.first(root(x)), root(x)), (m.second(x) * root(x), r * m.p)),
    "a slope of a parameter": lambda m, x, s, r: ((m.first(x), root(m.p - 1) * x), (root(m.p - 1) + x, r * m.p)),
    "rounds": lambda m, x, s, r: ((m.first(s), rounds(x, s)[1]), (rounds(x, s)[0], rounds(x, m.second(r))[1])),
}
RESULTS = [(0,), (1,), (2,), (3,), (0, 3), (0, 1, 2, 3)]


def drive(steps):
    x = torch.tensor([0.0, 0.5, -0.2, 0.0, 2.0], dtype=torch.float64).repeat(steps, 2, 1)
    x[steps // 2, 1] = 0
    return x


def gradients(module, x, which, backend):
    """The gradients of the sum of these results, weighted, with respect to input and parameters."""
    x = x.clone().requires_grad_()
    with tdn.backend(backend):
        (y, z), state = module.scan(x)
    results = [(y, z, *leaves(state))[k] for k in which]
    loss = sum((leaf * torch.linspace(0.5, 2, leaf.numel(), dtype=x.dtype).view_as(leaf)).sum() for leaf in results)
    return torch.autograd.grad(loss, [x, *module.parameters()], allow_unused=True, materialize_grads=True)


def assert_absent(module, x, which, backend="cpp"):
    expected, got = (gradients(module, x, which, name) for name in ("eager", backend))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)
    return expected


@pytest.mark.parametrize("name", ABSENT)
@pytest.mark.parametrize("which", RESULTS, ids=str)
def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope(name, which):
    assert_absent(Step(ABSENT[name]), drive(11), which)


@pytest.mark.parametrize("name", ABSENT)
def test_step_by_step(name, monkeypatch):
    monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    for which in RESULTS:
        assert_absent(Step(ABSENT[name]), drive(3), which)


@pytest.mark.parametrize("name", ["between products", "states that change places", "rounds"])
def test_a_long_sequence_is_cut_into_spans(name, monkeypatch):
    monkeypatch.setattr(cut_loops, "FEWEST_ROWS", 1)
    for which in RESULTS:
        assert_absent(Step(ABSENT[name]), drive(21), which)


@pytest.mark.parametrize("place", ["the matrix", "the source"])
def test_a_product_with_what_is_infinite(place):
    module = Step(lambda m, x, s, r: ((x * m.p, torch.tanh(m.second(x))), (torch.tanh(m.first(x)), s)))
    x = drive(6) + 3
    with torch.no_grad():
        if place == "the matrix":
            module.second.weight[0, 0] = float("inf")
        else:
            module.first.weight.abs_(), module.second.weight.abs_()
            x[-1] = float("inf")
    expected = assert_absent(module, x, (0,) if place == "the matrix" else (3,))
    assert all(gradient.isfinite().all() for gradient in expected)


def test_a_recurrent_cell_with_substeps_learns():
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.AdEx(dt=1.0, integrator=tdn.RK4(substeps=3)), nn.Linear(4, 4)).double()
    x = 2e3 * torch.rand(20, 2, 4, dtype=torch.float64)
    (y, *_), _ = assert_agrees(layer, x, relative=1e-9)
    assert y.any()


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("place", ["the matrix", "the gradient"])
def test_no_input_is_too_inactive_to_meet_what_is_not_finite(place, stepwise, monkeypatch):
    if stepwise:
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    module = Step(lambda m, x, s, r: ((m.first(x), x * m.p), (m.first(x), root(m.second(0 * r)))))
    x = torch.zeros(3, 20, WIDTH, dtype=torch.float64)
    x[:, 1, 2] = 1.0
    if place == "the matrix":
        with torch.no_grad():
            module.first.weight[0, 0] = float("inf")
    found = assert_absent(module, x, (0, 3))
    outputs = []
    for backend in ("eager", "cpp"):
        with torch.no_grad(), tdn.backend(backend):
            outputs.append(module(x)[0])
    torch.testing.assert_close(*outputs, equal_nan=True)
    # The sums are not finite because of inputs that are zero.
    assert outputs[0].isnan().any() if place == "the matrix" else found[3].isnan().all()


class Delayed(Step):
    """A line of past frames behind roots and before a product, beside a state that reads what leaves it."""

    def __init__(self, delay):
        super().__init__(None)
        self.delay = tdn.Delay(delay, max_delay=3.0).double()

    def initial_state(self, x_t):
        return zeros_state(x_t), self.delay.initial_state(x_t)

    def step(self, x_t, state):
        s, line = state
        late, line = self.delay.step(root(x_t * self.p), line)
        return (self.first(s), root(x_t) + self.second(late)), (root(late) + x_t, line)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("delay", [2.0, tdn.Learned(torch.linspace(1.0, 2.5, WIDTH))])
def test_a_line_of_past_frames(delay, stepwise, monkeypatch):
    if stepwise:
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    module, x = Delayed(delay), drive(7)
    assert tdn.why_eager(module, x) is None
    for which in [(0,), (1,), (2,), (3,), (0, 1, 2, 3)]:
        assert_absent(module, x, which)
