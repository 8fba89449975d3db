"""Delays inside a loop: their lines of frames lie in one sequence, are read where they are, and agree with eager."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import Learned
from torchdyn_neuro.core.state import leaves, lines_of, map_state
from torchdyn_neuro.fused.operators.cuda_graph import repeated
from torchdyn_neuro.fused.recurrent import cut_loops, network_native, network_steps

from .agreement import assert_agrees, run
from .graph_stand_in import stand_in
from .line_cases import CASES, N, assert_equal, delay, delayed, drive, learned, loop, numbers, rate


@pytest.mark.parametrize("steps", [1, 6, 23])
@pytest.mark.parametrize("name", CASES)
def test_it_agrees(name, steps):
    torch.manual_seed(0)
    module = CASES[name]().double()
    assert tdn.why_eager(module, drive(steps)) is None
    (y, *_), gradients = assert_agrees(module, drive(steps), relative=1e-10)
    assert all(gradient is not None for gradient in gradients)
    assert steps < 23 or y.abs().mean() > 0


@pytest.mark.parametrize("name", CASES)
def test_from_a_state(name):
    torch.manual_seed(0)
    module = CASES[name]().double()
    start = module.initial_state(drive()[0])
    places = {leaf: k for k, leaf in enumerate(leaves(start))}
    state = map_state(lambda leaf: numbers(*leaf.shape) + 0.1 * places[leaf], start)
    assert any(lines_of(start))
    _, gradients = assert_agrees(module, drive(11), state, relative=1e-10)
    # What is on its way arrives, and is known to.
    places = [k for k, line in enumerate(lines_of(state), start=1) if line]
    assert all(gradients[k].any() for k in places if gradients[k].numel())


@pytest.mark.parametrize("name", ["learned, for each neuron", "linear, for each synapse", "one delay for two lines"])
def test_pieces_are_the_whole(name):
    torch.manual_seed(0)
    module, x = CASES[name]().double(), drive()
    whole, last = module.scan(x)
    parts, state = [], None
    for piece in x.split([1, 3, 12, 7]):
        y, state = module.scan(piece, state)
        parts.append(y)
    assert torch.equal(torch.cat(parts), whole)
    assert all(torch.equal(a, b) for a, b in zip(leaves(state), leaves(last), strict=True))
    with torch.no_grad():
        assert torch.equal(module(x), whole)


@pytest.mark.parametrize("name", CASES)
def test_step_by_step_as_on_a_card(name, monkeypatch):
    torch.manual_seed(0)
    module = CASES[name]().double()
    expected = run(module, drive(), "cpp")
    calls = []
    monkeypatch.setattr(network_native, "takes", lambda *_: False)
    backward = network_steps.run_backward
    monkeypatch.setattr(network_steps, "run_backward", lambda *args: calls.append(1) or backward(*args))
    found = assert_agrees(module, drive(), relative=1e-10)
    assert len(calls) == 2
    assert_equal(found, expected)


@pytest.mark.parametrize("name", ["learned, for each neuron", "linear, for each synapse", "gaussian"])
def test_a_recording_replays_it_with_other_delays(name, monkeypatch):
    monkeypatch.setattr(network_native, "takes", lambda *_: False)
    graphs = stand_in(monkeypatch)
    recorded = repeated(cut_loops.compute_forward), repeated(cut_loops.compute_backward)
    monkeypatch.setattr(cut_loops, "loops", lambda x: recorded)
    torch.manual_seed(0)
    module = CASES[name]().double()
    for k in range(5):
        assert_equal(run(module, drive(11) + 0.1 * k, "cpp"), run(module, drive(11) + 0.1 * k, "eager"))
        for layer in module.modules():
            if isinstance(layer, tdn.DelayLine):
                with torch.no_grad():
                    layer.delay.raw += 0.3
    assert (graphs.recorded, graphs.replayed) == (2, 6)


@pytest.mark.parametrize("shape", [(5, 1, N), (40, 70, N), (9, 3, 2, N)])
@pytest.mark.parametrize("name", ["learned, for each neuron", "linear, for each synapse"])
def test_any_batch(name, shape):
    torch.manual_seed(0)
    assert_agrees(CASES[name]().double(), 3 * numbers(*shape), relative=1e-10)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 4, 1), (3, 4, 2), (4, 1), (2,), (3, 1, 2)])
def test_delays_over_axes_of_a_frame(shape):
    module = loop(delay(learned(*shape)), rate()).double()
    assert tdn.why_eager(module, drive(9, 3, 3, 4, 2)) is None
    assert_agrees(module, drive(12, 3, 3, 4, 2), relative=1e-10)


@pytest.mark.parametrize("name", ["learned, for each neuron", "linear, for each synapse", "gaussian"])
def test_it_keeps_up_with_what_is_learned(name):
    """Delays cross steps, the Gaussian narrows, and the same recording serves."""
    torch.manual_seed(0)
    module, x = CASES[name]().double(), drive(9)
    assert_agrees(module, x, relative=1e-10)
    recordings = [*vars(module)["_recordings"].by_kind.values()]
    for layer in module.modules():
        if isinstance(layer, tdn.DelayLine):
            with torch.no_grad():
                layer.delay.raw += 0.7
            if layer.kernel == "gaussian":
                layer.anneal(0.8)
    assert_agrees(module, x, relative=1e-10)
    assert [len(found) for found in recordings] == [1]
    # Another step is another number of frames.
    tdn.set_dt(module, 0.5)
    assert_agrees(module, x, relative=1e-10)


def test_what_is_not_learned_has_no_gradient():
    torch.manual_seed(0)
    module = loop(delayed(learned(N, N))).double()
    module.connection.delay.requires_grad_(False)
    assert_agrees(module, drive(), relative=1e-10)
    module.connection.weight.requires_grad_(False)
    assert_agrees(module, drive(), relative=1e-10)


@pytest.mark.parametrize("name", ["learned, for each neuron", "linear, for each synapse"])
def test_second_derivatives(name):
    torch.manual_seed(0)
    module, x = CASES[name]().double(), drive(5, 2).requires_grad_()
    module.neuron = rate().double()
    results = []
    for backend in ("eager", "cpp"):
        with tdn.backend(backend):
            y, last = module.scan(x)
            loss = y.square().sum() + sum(leaf.square().sum() for leaf in leaves(last))
        parameters = [x, *module.parameters()]
        first = torch.autograd.grad(loss, parameters, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), parameters)
        results.append([*first, *second])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("connection", [lambda: delay(learned(N)), lambda: delayed(learned(N, N))])
def test_bfloat16_inputs(connection):
    torch.manual_seed(0)
    module, x = loop(connection(), rate()).float(), drive(dtype=torch.bfloat16)
    assert tdn.why_eager(module, x) is None
    (y, *last), _ = fused = run(module, x, "cpp")
    expected = run(module, x, "eager")
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, expected[0][0])
    for one, other in zip((*last, *fused[1]), (*expected[0][1:], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_a_matrix_that_is_too_large_for_the_caches():
    torch.manual_seed(0)
    module = loop(tdn.DelayedLinear(160, 160, Learned(20 * numbers(160, 160)), max_delay=21.0)).double()
    assert_agrees(module, 2 * numbers(12, 3, 160), relative=1e-10)
