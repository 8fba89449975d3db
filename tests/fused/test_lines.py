"""Delays inside a loop: their lines of frames lie in one sequence, are read where they are, and agree with eager."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro import Learned
from torchdyn_neuro.core.state import leaves, lines_of, map_state
from torchdyn_neuro.fused.recurrent import network_native, network_steps

from .agreement import assert_agrees, run
from .test_products import Rate

N, M = 7, 5
GENERATOR_SEED = 5


def numbers(*shape, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(GENERATOR_SEED), dtype=torch.float64).to(dtype)


def drive(steps=23, batch=5, *frame, dtype=torch.float64):
    return 3 * numbers(steps, batch, *(frame or (N,)), dtype=dtype)


def lif(**options):
    return tdn.LIF(Learned(10.0), **options)


def learned(*shape):
    """Delays of a whole number of steps, of a fraction, and longer than a sequence of few steps."""
    return Learned(0.4 + 6 * numbers(*shape)) if shape else Learned(2.3)


class TwoLines(tdn.Dynamics):
    """One delay reads two lines to which the same frame is given."""

    pointwise = None

    def __init__(self):
        super().__init__()
        self.delay, self.map = tdn.Delay(learned(N), max_delay=7.0), nn.Linear(N, N)

    def initial_state(self, x_t):
        v = torch.zeros_like(x_t)
        return v, self.delay.initial_state(v), self.delay.initial_state(v)

    def step(self, x_t, state):
        v, first, second = state
        a, first = self.delay.step(v, first)
        b, second = self.delay.step(v, second)
        v = torch.tanh(x_t + self.map(a) - 0.5 * b)
        return v, (v, first, second)


def rate(integrator=None):
    return Rate(Learned(6.0), integrator=integrator or tdn.Euler())


def loop(connection, neuron=None):
    return tdn.Recurrent(neuron or lif(), connection)


def delay(*args, **options):
    return tdn.Delay(*args, max_delay=7.0, **options)


def delayed(*args, inputs=N, **options):
    return tdn.DelayedLinear(inputs, N, *args, max_delay=7.0, **options)


CASES = {
    "whole steps": lambda: loop(tdn.Chain(tdn.Delay(3.0), nn.Linear(N, N))),
    "no step": lambda: loop(tdn.Chain(tdn.Delay(0.0), nn.Linear(N, N))),
    "a fraction": lambda: loop(tdn.Chain(tdn.Delay(2.3), nn.Linear(N, N))),
    "learned": lambda: loop(tdn.Chain(delay(learned()), nn.Linear(N, N))),
    "learned, for each neuron": lambda: loop(tdn.Chain(delay(learned(N)), nn.Linear(N, N))),
    "gaussian": lambda: loop(tdn.Chain(delay(learned(N), kernel="gaussian"), nn.Linear(N, N))),
    "gaussian, one": lambda: loop(tdn.Chain(delay(learned(), kernel="gaussian"), nn.Linear(N, N))),
    "linear": lambda: loop(delayed(3.0, bias=True)),
    "linear, learned": lambda: loop(delayed(learned(), bias=True)),
    "linear, for each input": lambda: loop(delayed(learned(N))),
    "linear, for each synapse": lambda: loop(delayed(learned(N, N), bias=True)),
    "linear, for each synapse, fixed": lambda: loop(delayed(6 * numbers(N, N).round())),
    "linear, for each synapse, gaussian": lambda: loop(delayed(learned(N, N), kernel="gaussian")),
    "linear, gaussian": lambda: loop(delayed(learned(), kernel="gaussian")),
    "behind a synapse": lambda: loop(
        tdn.Chain(tdn.ExponentialSynapse(Learned(5.0)), delay(learned(N)), nn.Linear(N, N))
    ),
    "before a synapse": lambda: loop(tdn.Chain(delay(learned(N)), tdn.AlphaSynapse(Learned(5.0)), nn.Linear(N, N))),
    "no matrix": lambda: loop(delay(learned(N)), rate()),
    "other widths": lambda: loop(tdn.Chain(nn.Linear(N, M), delay(learned(M)), nn.Linear(M, N)), rate()),
    "other widths, for each synapse": lambda: loop(
        tdn.Chain(nn.Linear(N, M), delayed(learned(N, M), inputs=M)), rate()
    ),
    "two, one after the other": lambda: loop(tdn.Chain(delay(learned(N)), nn.Linear(N, N), delay(learned())), rate()),
    "in the neuron": lambda: loop(nn.Linear(N, N), tdn.Chain(tdn.ExponentialSynapse(3.0), delay(learned(N)), lif())),
    "feedback of three steps": lambda: tdn.Network(lif(), tdn.Chain(delay(learned(N)), nn.Linear(N, N)), delay=3.0),
    "rates": lambda: loop(delayed(learned(N, N)), rate(tdn.RK4())),
    "one delay for two lines": TwoLines,
}


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
    for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


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


@pytest.mark.parametrize("shape", [(), (N,), (N, N)])
def test_a_delay_without_a_value_ends_as_in_eager(shape):
    module = loop(delayed(learned(*shape)))
    with torch.no_grad():
        module.connection.delay.raw.fill_(torch.nan)
    outcomes = []
    for backend in ("eager", "auto"):
        with tdn.backend(backend):
            try:
                outcomes.append(module(drive(dtype=torch.float32)).isnan())
            except (RuntimeError, IndexError) as error:
                outcomes.append(type(error))
    assert outcomes[0] is outcomes[1] or torch.equal(*outcomes)


class Twice(TwoLines):
    """Gives a line two frames in a step."""

    def step(self, x_t, state):
        v, first, second = state
        _, first = self.delay.step(v, first)
        return super().step(x_t, (v, first, second))


class Untouched(TwoLines):
    """Leaves a line as it is."""

    def step(self, x_t, state):
        y, (v, first, _) = super().step(x_t, state)
        return y, (v, first, state[2])


class Fading(TwoLines):
    """Changes what is in a line."""

    def step(self, x_t, state):
        y, (v, first, second) = super().step(x_t, state)
        return y, (v, first._replace(history=0.9 * first.history), second)


class LooksBeside(TwoLines):
    """Looks at frames beside the delay."""

    def step(self, x_t, state):
        y, after = super().step(x_t, state)
        return y + 0.1 * state[1].history.mean(), after


class Older(TwoLines):
    """Gives a delay other frames than those of its state."""

    def step(self, x_t, state):
        return super().step(x_t, (state[0], state[1]._replace(history=state[1].history.tanh()), state[2]))


class Exchanged(TwoLines):
    """Exchanges two lines."""

    def step(self, x_t, state):
        v, first, second = state
        y, (v, first, second) = super().step(x_t, (v + x_t, first, second))
        return y, (v, second, first)


@pytest.mark.parametrize("kind", [Twice, Untouched, Fading, LooksBeside, Older, Exchanged])
def test_a_line_that_takes_another_way_runs_eagerly(kind):
    torch.manual_seed(0)
    module = kind().double()
    assert tdn.why_eager(module, drive()) is not None
    state = map_state(lambda leaf: numbers(*leaf.shape), module.initial_state(drive()[0]))
    state = state[0], state[1], state[2]._replace(history=state[2].history.flip(0))
    results = [run(module, drive(), backend, state) for backend in ("eager", "auto")]
    for expected, got in zip(*((*values, *gradients) for values, gradients in results), strict=True):
        assert torch.equal(got, expected)


def test_hooks_on_a_delay_run_eagerly():
    module, seen = CASES["learned"]().double(), []
    module.connection[0].register_forward_hook(lambda *_: seen.append(1))
    assert "hooks on Delay" in tdn.why_eager(module, drive())
    module(drive(9))
    assert len(seen) == 9


def test_a_subclass_is_not_taken_for_a_delay():
    class Other(tdn.Delay):
        def read(self, line):
            return super().read(line).square()

    module = loop(tdn.Chain(Other(3.0), nn.Linear(N, N)), rate()).double()
    assert tdn.why_eager(module, drive()) is not None
    assert_agrees(module, drive(), relative=1e-10, backend="auto")


def test_it_compiles_and_runs():
    torch.manual_seed(0)
    module, x = CASES["learned"](), drive(4, dtype=torch.float32)
    compiled = torch.compile(module, backend="eager")
    torch.testing.assert_close(compiled(x), module(x))
