"""Sub-steps as repetitions: one body in the graph and in the text, and the numbers of the eager loop."""

import pytest
import torch
from torch import Tensor

import torchdyn_neuro as tdn
from torchdyn_neuro.core.repeat import repeat
from torchdyn_neuro.fused.cpp.source import emit_backward, emit_forward
from torchdyn_neuro.fused.dispatch import find_fused
from torchdyn_neuro.fused.operators.registry import get_loop
from torchdyn_neuro.fused.plan.loops import plan_backward, plan_forward
from torchdyn_neuro.fused.record.graph import ordered
from torchdyn_neuro.fused.record.repeat import expanded, has_repeats

from .agreement import assert_agrees

CELLS = {
    "AdEx": lambda n: tdn.AdEx(C=tdn.Learned(281.0), tau_w=tdn.Learned(100.0), integrator=tdn.RK4(substeps=n)),
    "EIF": lambda n: tdn.EIF(Delta_T=tdn.Learned(3.0), integrator=tdn.Heun(substeps=n)),
    "EIF in a refractory period": lambda n: tdn.EIF(t_ref=0.5, integrator=tdn.Midpoint(substeps=n)),
    "Hodgkin-Huxley": lambda n: tdn.HodgkinHuxley(C=tdn.Learned(1.0), integrator=tdn.RK4(substeps=n)),
    "Hodgkin-Huxley by exponentials": lambda n: tdn.HodgkinHuxley(integrator=tdn.ExponentialEuler(substeps=n)),
    "noise": lambda n: tdn.EIF(noise=tdn.WhiteNoise(tdn.Learned(3.0)), integrator=tdn.RK4(substeps=n)),
    "adaptation": lambda n: tdn.LIF(
        adaptation=tdn.SpikeFrequencyAdaptation(tdn.Learned(50.0)), integrator=tdn.Euler(substeps=n)
    ),
    "crossings": lambda n: tdn.EIF(integrator=tdn.Interpolated(tdn.RK4(substeps=n))),
}
STRENGTH = {"AdEx": 20000.0, "adaptation": 6.0}


def currents(name, *shape, dtype=torch.float64):
    strength = 20.0 if name.startswith("Hodgkin") else STRENGTH.get(name, 400.0)
    return strength * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("name", CELLS)
def test_substeps_agree(name):
    # What looks for crossings within each sub-step is written out, and takes seconds to compile for every two of them.
    cell, x = CELLS[name](2 if name == "crossings" else 4).double(), currents(name, 21, 2, 70)
    (y, *_), _ = assert_agrees(cell, x, relative=1e-9)
    assert y.any() or name.startswith("Hodgkin")


def test_substeps_agree_in_float32():
    assert_agrees(CELLS["AdEx"](10), currents("AdEx", 12, 2, 70, dtype=torch.float32), relative=2e-5)


def test_a_spike_between_substeps_counts():
    cell = tdn.HodgkinHuxley(integrator=tdn.ExponentialEuler(substeps=5), dt=0.5).double()
    (y, *_), _ = assert_agrees(cell, torch.full((40, 1, 3), 20.0, dtype=torch.float64), relative=1e-9)
    assert y.any()


class Leak(tdn.Dynamics):
    """Ten short steps of a leak, of which the first state is also read past the arguments of the body."""

    def __init__(self, past: bool):
        super().__init__()
        self.past, self.rate = past, tdn.Positive(tdn.Learned(0.1))

    def initial_state(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(x_t), torch.ones_like(x_t)

    def step(self, x_t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        at_first = state[0]

        def body(x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            v, held = state
            drawn = at_first if self.past else 0.5
            return v + self.rate() * (x * held - v) * torch.exp(-v * v) + 0.01 * drawn, held

        path = repeat(body, x_t, state, 10)
        return path[-1][0] * path[4][0], path[-1]


def graph_of(module):
    x = torch.zeros(2, 1, 3, dtype=torch.float64, requires_grad=True)
    return get_loop(find_fused(module, x, module.initial_state(x[0]), "cpp")[0].key).graph


@pytest.mark.parametrize("past", [False, True])
def test_a_body_that_reads_past_its_arguments_is_written_out(past):
    module = Leak(past).double()
    x = currents("", 9, 2, 40) / 400
    assert_agrees(module, x, module.initial_state(x[0]), relative=1e-12)
    assert has_repeats(graph_of(Leak(past).double())) != past


def test_what_no_round_changes_is_no_result_of_the_rounds():
    graph = graph_of(Leak(False).double())
    assert graph.next_states[1] is graph.states[1]


def test_the_text_does_not_grow_with_the_number_of_substeps():
    graphs = [graph_of(CELLS["AdEx"](count).double()) for count in (2, 50)]
    few, many = [
        (len(emit_forward(plan_forward(g)).function), len(emit_backward(plan_backward(g)).function)) for g in graphs
    ]
    assert all(abs(one - other) < 100 for one, other in zip(few, many, strict=True))


def test_the_written_out_graph_holds_every_round():
    graph = expanded(graph_of(Leak(False).double()))
    assert not has_repeats(graph)
    gradients = [g for g in (*graph.grad_states, *graph.grad_inputs) if g is not None]
    assert sum(node.op == "exp" for node in ordered(graph.outputs)) == 10
    assert not any(node.op.startswith("repeat") for node in ordered(gradients))


class Roots(tdn.Dynamics):
    """Two states that know nothing of each other, one of them with an infinite slope."""

    def initial_state(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(x_t), torch.zeros_like(x_t)

    def step(self, x_t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        def body(x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            v, w = state
            return v.abs().sqrt() + x.abs().sqrt(), 0.5 * w + x

        path = repeat(body, x_t, state, 4)
        return (path[-1][0], path[1][1]), path[-1]


def gradients_of_each_result(backend):
    x = torch.tensor([0.0, 0.5, -0.2, 2.0], dtype=torch.float64).expand(11, 2, 4).contiguous().requires_grad_()
    with tdn.backend(backend):
        y, last = Roots().scan(x)
    return [torch.autograd.grad(result.sum(), x, retain_graph=True)[0] for result in (*y, *last)]


def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope_in_a_round():
    assert has_repeats(graph_of(Roots()))
    expected = gradients_of_each_result("eager")
    assert [gradient.isnan().any().item() for gradient in expected] == [True, False, True, False]
    torch.testing.assert_close(gradients_of_each_result("cpp"), expected, rtol=1e-13, atol=0, equal_nan=True)


class Widened(tdn.Dynamics):
    """A body of another precision than all around it, and masks that pass from round to round."""

    def initial_state(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(x_t), torch.zeros_like(x_t, dtype=torch.bool)

    def step(self, x_t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        def body(x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            v, above = state
            v = (0.9 * v.double() + torch.where(above, -0.1, 1.0) * x).to(v.dtype)
            return v, v > 0.7

        state = repeat(body, x_t, state, 5)[-1]
        return state[0], state


def test_a_round_in_another_type():
    x = torch.rand(9, 2, 40, generator=torch.Generator().manual_seed(0))
    module = Widened()
    assert_agrees(module, x, module.initial_state(x[0]), relative=1e-6)
