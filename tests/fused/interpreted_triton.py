"""Triton's kernels, run in its interpreter, against the eager loop; ``test_triton.py`` starts this."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from triton.runtime.interpreter import InterpreterBuilder

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state
from torchdyn_neuro.fused.plan.loops import plan_backward, plan_forward
from torchdyn_neuro.fused.record.ops import OPS
from torchdyn_neuro.fused.record.recorder import Operand
from torchdyn_neuro.fused.record.trace import trace_step
from torchdyn_neuro.fused.triton import source as triton_source
from torchdyn_neuro.fused.triton.kernels import TritonKernels

from . import test_arrivals as arrivals
from . import test_products as networks
from .agreement import assert_agrees
from .agreement import run as run_backend
from .cells import Example, Words, composed, shipped
from .operations import FUNCTIONS
from .test_numbers import (
    ABSENT,
    CASTS,
    CONSTANTS,
    MIXED,
    Step,
    assert_absent,
    assert_same,
    assert_same_values,
    assert_summed_before_rounded,
    numbers,
)
from .test_repeat import gradients_of_each_result
from .triton_interpreter import let_elements_be_indices

let_elements_be_indices()


@pytest.fixture(autouse=True)
def _functions_are_rounded_once(monkeypatch):
    """The interpreter computes with NumPy, whose float32 ``exp`` is off by up to 2.4 units in the last place.

    Torch is off by 0.6 and a card by 1. Such a difference in a decay grows from step to step, so that a comparison
    of the kernels would be one of libraries.
    """
    compute = InterpreterBuilder.unary_op

    def rounded_once(self, arg, op):
        if arg.data.dtype != np.float32:
            return compute(self, arg, op)
        return compute(self, arg, lambda data: op(data.astype(np.float64)).astype(np.float32))

    monkeypatch.setattr(InterpreterBuilder, "unary_op", rounded_once)


def run(step, x: Tensor, states: list[Tensor], parameters: list[Tensor], every: int):
    """Outputs, last states and gradients, for arriving gradients that are all different, by kernels and eagerly."""
    steps, *frame = x.shape
    operand = Operand(dtype=x.dtype, gradient=True, broadcast=(False,) * len(frame))
    shapes = [(1,) * (len(frame) - p.ndim) + tuple(p.shape) for p in parameters]
    broadcast = [replace(operand, broadcast=tuple(size == 1 for size in shape)) for shape in shapes]
    graph = trace_step(step, [operand], [operand] * len(states), broadcast)
    forward, backward = plan_forward(graph), plan_backward(graph)
    kernels, inners = TritonKernels(forward, backward), [1] * len(parameters)
    y, last = torch.empty_like(x), [torch.empty_like(state) for state in states]
    rows = [x.new_empty((steps - 1) // every, *frame) if k in backward.states else None for k in range(len(states))]
    kernels.forward([x], states, parameters, inners, [y], last, rows, every)

    leaves = [leaf.detach().clone().requires_grad_() for leaf in (x, *states, *parameters)]
    sequence, now, given = leaves[0], leaves[1 : 1 + len(states)], leaves[1 + len(states) :]
    outputs = []
    for x_t in sequence.unbind(0):
        (y_t,), now = step([x_t], now, given)
        outputs.append(y_t)
    expected = [torch.stack(outputs), *now]
    arriving = [torch.linspace(-1, 2, result.numel(), dtype=x.dtype).reshape(result.shape) for result in expected]
    gradients = torch.autograd.grad(expected, leaves, arriving, allow_unused=True, materialize_grads=True)

    first = [torch.empty_like(states[k]) for k in backward.carried]
    grad_x = [torch.empty_like(x) for node in graph.grad_inputs if node is not None]
    learned = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
    sums = [x.new_empty(frame) for _ in learned]
    kernels.backward(
        [x for _ in backward.inputs],
        [states[k] for k in backward.states],
        [rows[k] for k in backward.states],
        parameters,
        inners,
        [arriving[0] for _ in backward.output_gradients],
        [arriving[1 + k] for k in backward.carried],
        first,
        grad_x,
        sums,
        every,
        tuple(x.shape),
    )
    found = {0: grad_x[0] if grad_x else torch.zeros_like(x)}
    found |= {1 + k: gradient for k, gradient in zip(backward.carried, first, strict=True)}
    for k, total in zip(learned, sums, strict=True):
        found[1 + len(states) + k] = total.sum_to_size(parameters[k].shape)
    pairs = list(zip([y, *last], [result.detach() for result in expected], strict=True))
    return pairs + [(found[k], gradients[k]) for k in found]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_is_that_of_torch_in_value_and_gradient(name, dtype):
    function, values = FUNCTIONS[name]

    def step(inputs, states, parameters):
        y = function(inputs[0] + 0.0 * states[0], parameters[0])
        return [y], [0.5 * states[0] + 0.1 * inputs[0]]

    x = torch.stack([values, values.flip(0)]).to(dtype).unsqueeze(1)
    tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype == torch.float64 else {}
    for found, expected in run(
        step, x, [torch.zeros(1, len(values), dtype=dtype)], [torch.tensor(1.5, dtype=dtype)], 8
    ):
        torch.testing.assert_close(found, expected, **tolerance)


def test_every_operation_of_the_table_was_met():
    missing = set(OPS)
    for function, values in FUNCTIONS.values():
        x = Operand(dtype=values.dtype, gradient=True, broadcast=(False, False))
        graph = trace_step(lambda i, s, p, f=function: ([f(i[0], p[0])], []), [x], [], [x])
        plan = plan_backward(graph)
        missing -= {node.op for node in (*plan.hoisted, *plan.body, *plan_forward(graph).body)}
    assert not missing


@pytest.mark.parametrize("lines", [0, 1000])
@pytest.mark.parametrize("every", [1, 3, 8])
@pytest.mark.parametrize(("steps", "frame"), [(1, (1, 1)), (7, (3, 5)), (16, (2, 3, 4))])
def test_lengths_segments_and_shapes_of_parameters(every, steps, frame, lines, monkeypatch):
    # Both ways to write a segment: step by step, and as a whole.
    monkeypatch.setattr(triton_source, "_MOST_LINES", lines)

    def step(inputs, states, parameters):
        v, a = states
        tau, gain = parameters
        v = v * torch.exp(-1 / tau) + gain * inputs[0] - a
        y = torch.tanh(v)
        return [y], [v - 0.5 * y, 0.9 * a + 0.1 * y * y]

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps, *frame, generator=generator, dtype=torch.float64)
    states = [torch.randn(frame, generator=generator, dtype=torch.float64) for _ in range(2)]
    per_neuron = torch.rand(frame[-1], generator=generator, dtype=torch.float64) + 0.5
    for found, expected in run(step, x, states, [torch.tensor(5.0, dtype=torch.float64), per_neuron], every):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


EXAMPLES = {**shipped(torch.float64), **composed(torch.float64)}


def narrowed(name):
    """In float32; the numbers of an example are such that this rounds none of them."""
    module, x = EXAMPLES[name]
    return Example(copy.deepcopy(module).float(), map_state(lambda leaf: leaf.float(), x))


def shortened(example, steps=9):
    """Fewer steps, in two segments still, and one row: the interpreter takes its time for each block of each step.

    Several blocks are for the tests of operations, shapes, products and of cells in float32.
    """
    return example.module, map_state(lambda leaf: leaf[:steps, :1], example.x)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_cell_equals_the_eager_loop(name):
    # Behind a synapse the first spike comes late.
    module, x = shortened(EXAMPLES[name], 16 if name.startswith("synapse") else 9)
    (y, *_), _ = assert_agrees(module, x, relative=1e-12, backend="triton")
    assert len(y.unique()) > 1  # it spiked


# Each operation is tried in both types above; here one cell for each kind of state and parameter.
IN_FLOAT32 = [
    "LIF",
    "AdEx",
    "EscapeLIF",
    "Izhikevich",
    "ConductanceLIF",
    "STP, synapse, LIF",
    "BalancedResonateAndFire",
]


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_a_cell_in_float32_equals_the_eager_loop(name):
    module, x = narrowed(name)
    (y, *_), _ = assert_agrees(module, x, backend="triton")
    assert len(y.unique()) > 1


def test_hodgkin_huxley_in_float32():
    # Of a potential that swings by 100 mV and passes through zero, the last digit is 8e-6 mV, at every step anew.
    module, x = narrowed("HodgkinHuxley")
    expected, found = (run_backend(module, x, name) for name in ("eager", "triton"))
    for one, other in zip((*expected[0], *expected[1]), (*found[0], *found[1]), strict=True):
        torch.testing.assert_close(other, one, rtol=1.3e-6, atol=5e-5)
    assert found[0][0].sum() > 0


def compare(module, x):
    """Outputs and the gradients of the input and of all parameters, by the kernels and by the eager loop."""
    results = []
    for name in ("eager", "triton"):
        with tdn.backend(name):
            y = module(x)
        total = (y.float() * torch.linspace(-1, 2, y.numel()).view_as(y)).sum()
        results.append([y.detach(), *torch.autograd.grad(total, [x, *module.parameters()])])
    assert results[0][0].dtype == results[1][0].dtype
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected)
    assert results[0][0].abs().sum() > 0


def test_random_words_are_those_of_the_eager_loop():
    x = torch.linspace(-1, 1, 17 * 2 * 15, dtype=torch.float64).reshape(17, 2, 15).sin()
    state = Words().initial_state(x[0])
    results = {}
    for name in ("eager", "triton"):
        with tdn.backend(name), torch.no_grad():
            y, last = Words().scan(x, state)
            results[name] = [*y, *last]
    for found, expected in zip(results["triton"], results["eager"], strict=True):
        assert torch.equal(found, expected)
    assert results["eager"][0].max() > 2**31


def test_substeps_are_written_out():
    cell = tdn.EIF(tau_mem=tdn.Learned(10.0), integrator=tdn.Heun(substeps=3)).double()
    x = 400 * torch.rand(17, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (y, *_), _ = assert_agrees(cell, x, relative=1e-9, backend="triton")
    assert y.any()


def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope_in_a_round():
    expected, got = map(gradients_of_each_result, ("eager", "triton"))
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=0, equal_nan=True)


def test_a_recurrent_layer():
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0)), torch.nn.Linear(4, 4))
    compare(layer, (3 * torch.rand(10, 2, 4)).requires_grad_())


@pytest.mark.parametrize("name", ["rate, rk4", "spikes", "noise", "gated", "conductance"])
def test_a_step_with_products(name):
    torch.manual_seed(0)
    assert_agrees(networks.CASES[name]().double(), networks.drive(name, 11, 2, 13), relative=1e-10, backend="triton")


@pytest.mark.parametrize("name", ["between products", "rounds"])
def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope_beside_products(name):
    for which in arrivals.RESULTS:
        arrivals.assert_absent(arrivals.Step(arrivals.ABSENT[name]), arrivals.drive(3), which, "triton")


def test_a_chain_with_a_parameter_per_channel_of_images():
    torch.manual_seed(0)
    tau = tdn.Learned(torch.rand(3, 1, 1) + 4)
    chain = tdn.Chain(tdn.ExponentialSynapse(tau=tdn.Learned(3.0)), tdn.LIF(tau_mem=tau, R=tdn.Learned(torch.ones(2))))
    compare(chain, torch.rand(9, 2, 3, 4, 2).requires_grad_())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_inputs_and_outputs_with_wide_states(dtype):
    torch.manual_seed(0)
    x = (3 * torch.rand(20, 2, 5)).to(dtype).requires_grad_()
    compare(tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0)), x)
    compare(tdn.LIF(tau_mem=tdn.Learned(5.0)), x)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_what_its_type_holds(name):
    assert_same(Step(CONSTANTS[name]), numbers(), backend="triton")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", set(CASTS) - {"bfloat16"})  # the interpreter cuts where a card rounds
def test_casts_of_any_number(name, dtype):
    with torch.no_grad():
        assert_same_values(Step(CASTS[name]), numbers(dtype), "triton")


@pytest.mark.parametrize("name", MIXED)
def test_mixed_types_and_special_values(name):
    parameter = torch.linspace(0.05, 1.0, 10, dtype=torch.float64)
    assert_same(Step(MIXED[name], parameter=parameter), numbers(torch.float32), backend="triton")


@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_gradient_of_a_parameter_is_summed_before_it_is_rounded(shape):
    assert_summed_before_rounded(shape, "triton")


@pytest.mark.parametrize("lines", [0, 1000])
@pytest.mark.parametrize("name", ABSENT)
def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope(name, lines, monkeypatch):
    monkeypatch.setattr(triton_source, "_MOST_LINES", lines)
    for which in range(3):
        assert_absent(name, which, "triton")


def test_offsets_that_outgrow_32_bits():
    stride = 2**30 + 8  # the third frame lies beyond 2**31 elements; no page in between is ever touched
    memory = torch.empty(2 * stride + 4, dtype=torch.bfloat16)
    x = memory.as_strided((3, 1, 4), (stride, 4, 1))
    x.copy_(20 * torch.rand(3, 1, 4, generator=torch.Generator().manual_seed(0)))
    compare(tdn.LIF(tau_mem=tdn.Learned(5.0)), x.requires_grad_())
