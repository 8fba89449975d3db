"""The runner of steps with products that a card uses, here with C++ segments: it gives what eager and the driver give.

On a card its segments are Triton kernels and a CUDA graph replays it; ``interpreted_triton.py`` runs it with the
former, a stand-in for graphs with the latter.
"""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import zeros_state
from torchdyn_neuro.fused.operators.cuda_graph import repeated
from torchdyn_neuro.fused.recurrent import cut_loops, network_native, network_steps

from .agreement import assert_agrees, run
from .graph_stand_in import stand_in
from .test_products import CASES, drive, numbers


class Written(tdn.Dynamics):
    """Its second state is written and never read, so that no gradient goes through it to the step before."""

    def __init__(self, width):
        super().__init__()
        self.map = nn.Linear(width, width)

    def initial_state(self, x_t):
        return zeros_state(x_t), zeros_state(x_t)

    def step(self, x_t, state):
        v = torch.tanh(self.map(state[0]) + x_t)
        return v * x_t, (v, torch.sin(x_t * v))


@pytest.fixture
def calls(monkeypatch):
    """Steps with products run step by step; how often, forward and backward."""
    counted = {"run_forward": 0, "run_backward": 0}
    monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    for name in counted:
        function = getattr(network_steps, name)

        def spy(*arguments, name=name, function=function):
            counted[name] += 1
            return function(*arguments)

        monkeypatch.setattr(network_steps, name, spy)
    return counted


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *((name, steps) for name in CASES for steps in (1, 21)),
        *((name, 2) for name in ("rate, rk4", "spikes", "noise", "elman")),
    ],
)
def test_it_agrees_with_eager_and_with_the_driver(name, steps, calls, monkeypatch):
    torch.manual_seed(0)
    module, x = CASES[name]().double(), drive(name, steps, 9, 13)
    found = assert_agrees(module, x, relative=1e-10)
    assert calls == {"run_forward": 2, "run_backward": 2}
    monkeypatch.undo()
    expected = run(module, x, "cpp")
    for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 1, 13), (17, 70, 13), (9, 3, 2, 13)])
def test_any_batch(shape, calls):
    torch.manual_seed(0)
    assert_agrees(CASES["rate, heun"]().double(), numbers(*shape), relative=1e-10)
    assert calls["run_backward"]


@pytest.mark.parametrize("steps", [8, 9, 16])
def test_a_given_state_is_left_as_it_was_and_its_gradient_is_right(steps, calls):
    torch.manual_seed(0)
    module, x = CASES["two layers"]().double(), numbers(steps, 2, 13)
    state = numbers(2, 13), numbers(2, 13).flip(0)
    before = [leaf.clone() for leaf in state]
    assert_agrees(module, x, state, relative=1e-10)
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(state, before, strict=True))
    assert calls["run_backward"]


@pytest.mark.parametrize("steps", [1, 9])
def test_a_state_that_nobody_reads_sends_nothing_back(steps, calls):
    torch.manual_seed(0)
    state = numbers(2, 13), numbers(2, 13).flip(0)
    assert_agrees(Written(13).double(), numbers(steps, 2, 13), state, relative=1e-10)
    assert calls["run_backward"]


@pytest.mark.parametrize("name", ["rate, rk4", "noise", "gated"])
def test_a_recording_replays_it_and_equal_layers_share_it(name, calls, monkeypatch):
    graphs = stand_in(monkeypatch)
    recorded = repeated(cut_loops.compute_forward), repeated(cut_loops.compute_backward)
    monkeypatch.setattr(cut_loops, "loops", lambda x: recorded)
    torch.manual_seed(0)
    modules = [CASES[name]().double() for _ in range(5)]
    for k, module in enumerate(modules):
        x = drive(name, 11, 4, 13) + 0.1 * k
        found, expected = (run(module, x, backend) for backend in ("cpp", "eager"))
        for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert (graphs.recorded, graphs.replayed) == (2, 6)


@pytest.mark.parametrize("name", ["rate, rk4", "spikes", "two layers", "gated", "noise"])
@pytest.mark.parametrize("stepwise", [False, True])
def test_products_that_are_too_large_to_keep_are_computed_again(stepwise, name, monkeypatch):
    monkeypatch.setattr(cut_loops, "MOST_KEPT", 0)
    monkeypatch.setattr(cut_loops, "FEWEST_KEPT", 0)
    if stepwise:
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    torch.manual_seed(0)
    assert_agrees(CASES[name]().double(), drive(name, 19, 9, 13), relative=1e-10)


class Bare(tdn.Dynamics):
    """Nothing but a product, which is the state, the output and the next source."""

    def __init__(self, width):
        super().__init__()
        self.map = nn.Linear(width, width, bias=False)

    def initial_state(self, x_t):
        return (zeros_state(x_t) + 1,)

    def step(self, x_t, state):
        y = self.map(state[0])
        return y, (y,)


@pytest.mark.parametrize("stepwise", [False, True])
def test_a_step_that_is_a_product(stepwise, monkeypatch):
    if stepwise:
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    torch.manual_seed(0)
    assert_agrees(Bare(13).double(), numbers(19, 9, 13), (numbers(9, 13),), relative=1e-10)


def test_without_gradients_nothing_is_kept_for_them(calls):
    torch.manual_seed(0)
    module, x = CASES["rate, heun"]().double(), numbers(20, 2, 13)
    with torch.no_grad(), tdn.backend("cpp"):
        found = module(x)
    with torch.no_grad(), tdn.backend("eager"):
        torch.testing.assert_close(found, module(x))
    assert calls == {"run_forward": 1, "run_backward": 0}
