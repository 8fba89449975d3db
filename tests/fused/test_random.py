"""Keys of random numbers in the fused loops: the words and numbers of the eager loop, and nothing kept of them."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import torchdyn_neuro as tdn
from torchdyn_neuro.core import random
from torchdyn_neuro.core.state import leaves

from ..threads import on_threads
from .agreement import assert_agrees, run
from .cells import Jittered, JitteredState, Words


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def numbers(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_words_are_those_of_the_eager_loop():
    x = numbers(20, 3, 170)
    state = Words().initial_state(x[0])
    state = state._replace(key=torch.cat([state.key[:2], -state.key[2:]]))
    results = {}
    for name in ("eager", "cpp"):
        with tdn.backend(name), torch.no_grad():
            results[name] = [leaf for part in Words().scan(x, state) for leaf in leaves(part)]
    for found, expected in zip(results["cpp"], results["eager"], strict=True):
        assert torch.equal(found, expected)
    assert results["eager"][0].max() > 2**31


class Normal(tdn.Dynamics):
    """Puts out two normal numbers and a uniform one."""

    def initial_state(self, x_t):
        return (random.start_key(x_t),)

    def step(self, x_t, state):
        (key,) = state
        return (*random.normals(key, 0, x_t.dtype), random.uniform(key, 1, x_t.dtype)), (key + 1,)


def test_numbers_are_within_four_units_in_the_last_place():
    x = torch.zeros(100, 8, 512)
    state = Normal().initial_state(x[0])
    results = {}
    for name in ("eager", "cpp"):
        for dtype in (torch.float32, torch.float64):
            with tdn.backend(name):
                results[name, dtype], _ = Normal().scan(x.to(dtype), state)
    narrow, wide = [zip(results["eager", d], results["cpp", d], strict=True) for d in (torch.float32, torch.float64)]
    for (eager, fused), (exact, other) in zip(narrow, wide, strict=True):
        unit = torch.nextafter(eager.abs(), torch.tensor(torch.inf)) - eager.abs()
        assert ((fused - eager).abs() / unit).max() <= 4
        torch.testing.assert_close(other, exact, rtol=1e-13, atol=1e-15)
        # A number of 24 bits is off by 2^-25 at most, and the normal of it by the root of twice that.
        assert (eager - exact).abs().max() < 2.0**-12
        # On average the angle counts, of which half a unit in the last place is 2^-22 at most.
        assert (eager - exact).abs().mean() < 2.0**-22


@pytest.mark.parametrize("shape", [(1, 1, 1), (21, 2, 13), (40, 1, 300), (9, 3, 4, 5)])
def test_a_noisy_cell_agrees(shape):
    cell, x = Jittered().double(), numbers(*shape)
    (y, *_), gradients = assert_agrees(cell, x, cell.initial_state(x[0]), relative=1e-12)
    assert all(gradient.any() for gradient in gradients[-2:]) or shape[0] == 1
    assert len(y.unique()) == y.numel()


def test_a_noisy_cell_agrees_in_float32():
    cell, x = Jittered(), numbers(21, 2, 130, dtype=torch.float32)
    assert_agrees(cell, x, cell.initial_state(x[0]), relative=5e-6)


def test_from_a_given_state_and_in_two_halves():
    cell, x = Jittered().double(), numbers(37, 4, 30)
    state = cell.initial_state(x[0])
    assert_agrees(cell, x, state._replace(v=state.v + 0.3), relative=1e-12)
    with tdn.backend("cpp"), torch.no_grad():
        whole, last = cell.scan(x, state)
        again, _ = cell.scan(x, state)
        first, between = cell.scan(x[:17], state)
        second, end = cell.scan(x[17:], between)
        row, _ = cell.scan(x[:, 2:3], JitteredState(*(leaf[2:3] for leaf in state)))
    assert torch.equal(again, whole)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(end, last, strict=True))
    assert torch.equal(last.key, state.key + 37)
    # Not to the last bit: the end of a row of numbers is computed by other vectors.
    torch.testing.assert_close(row, whole[:, 2:3], rtol=1e-14, atol=1e-14)


def test_threads_change_no_bit():
    cell, x = Jittered(), numbers(50, 20, 100, dtype=torch.float32)
    state = cell.initial_state(x[0])
    first, *others = on_threads(lambda: run(cell, x, "cpp", state))
    for results, gradients in others:
        assert all(torch.equal(a, b) for a, b in zip((*results, *gradients), (*first[0], *first[1]), strict=True))


def test_channels_last():
    cell, x = Jittered().double(), numbers(19, 2, 6, 5, 4)
    laid_out = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
    state = cell.initial_state(x[0])
    with tdn.backend("cpp"):
        expected, last = cell.scan(x, state)
        found, end = cell.scan(laid_out, state)
        torch.manual_seed(5)
        plain = cell(x)
        torch.manual_seed(5)
        torch.testing.assert_close(cell(laid_out), plain, rtol=1e-13, atol=1e-13)
    assert found.stride() == laid_out.stride()
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    assert torch.equal(end.key, last.key)


@pytest.mark.parametrize("steps", [1, 17, 33])
@pytest.mark.parametrize("together", [True, False], ids=["together", "step by step"])
def test_in_a_recurrent_layer(steps, together, monkeypatch):
    from torchdyn_neuro.fused.recurrent import network_native

    if not together:
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    layer = tdn.Recurrent(Jittered(), nn.Linear(13, 13)).double()
    x = numbers(steps, 9, 13)
    state = layer.initial_state(x[0])
    (y, *_), gradients = assert_agrees(layer, x, state, relative=1e-12)
    assert all(gradient.any() for gradient in gradients[-4:]) or steps == 1
    with tdn.backend("cpp"):
        first, between = layer.scan(x[: steps // 2 + 1], state)
        if steps > 1:
            second, _ = layer.scan(x[steps // 2 + 1 :], between)
            # Torch's products sum in an order that depends on where a frame lies in memory.
            same = torch.equal if together else torch.allclose
            assert same(torch.cat([first, second]), y)


def test_in_a_chain():
    chain = tdn.Chain(tdn.ExponentialSynapse(tdn.Learned(4.0)), Jittered(), nn.Linear(13, 5), Jittered()).double()
    x = numbers(25, 2, 13)
    state = chain.initial_state(x[0])
    assert_agrees(chain, x, state, relative=1e-12, backend="auto")
    whole, _ = chain.scan(x, state)
    first, between = chain.scan(x[:9], state)
    second, _ = chain.scan(x[9:], between)
    assert torch.equal(torch.cat([first, second]), whole)


def test_second_derivatives():
    cell, x = Jittered().double(), numbers(12, 2, 5)
    state = cell.initial_state(x[0])
    found = []
    for name in ("eager", "cpp"):
        leaf = x.clone().requires_grad_()
        with tdn.backend(name):
            first = torch.autograd.grad(
                cell.scan(leaf, state)[0].square().sum(), [leaf, *cell.parameters()], create_graph=True
            )
            found.append(torch.autograd.grad(sum(g.square().sum() for g in first), [leaf, *cell.parameters()]))
    for eager, fused in zip(*found, strict=True):
        assert eager.any()
        torch.testing.assert_close(fused, eager, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
def test_compiled_as_one_graph():
    cell, x = Jittered(), numbers(9, 2, 5, dtype=torch.float32)
    graphs = []

    def keep(graph, inputs):
        graphs.append(str(graph.graph))
        return graph

    compiled = torch.compile(cell, fullgraph=True, backend=keep)
    for name in ("cpp", "auto", "eager"):
        results = []
        for model in (cell, compiled):
            leaf = x.clone().requires_grad_()
            torch.manual_seed(2)
            with tdn.backend(name):
                y = model(leaf)
            results.append((y, *torch.autograd.grad(y.sum(), [leaf, *cell.parameters()])))
        for one, two in zip(*results, strict=True):
            torch.testing.assert_close(two, one)
    assert ["loop_forward" in graph for graph in graphs] == [True, True, False]


REFUSED = {
    "multiplied": lambda key, x: key * 3,
    "subtracted": lambda key, x: key - 1,
    "shifted": lambda key, x: key >> 1,
    "masked": lambda key, x: key & 255,
    "negated": lambda key, x: -key,
    "made of a float": lambda key, x: key + x.to(torch.int64),
    "made of a mask": lambda key, x: key + (x > 0),
    "compared": lambda key, x: torch.where(key > 0, key, key + 1),
    "a float added": lambda key, x: (key + 0.5).to(torch.int64),
    "taken for a mask": lambda key, x: torch.where(key.to(torch.bool), key, key + 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_is_done_with_whole_numbers(name):
    class Odd(Jittered):
        def step(self, x_t, state):
            y_t, state = super().step(x_t, state)
            return y_t, state._replace(key=REFUSED[name](state.key, x_t))

    cell, x = Odd().double(), numbers(5, 2, 3)
    state = cell.initial_state(x[0])
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match=r"int64|not in the table"):
        cell.scan(x, state)
    with tdn.backend("eager"):
        expected, _ = cell.scan(x, state)
    cell.pointwise = False
    assert torch.equal(cell.scan(x, state)[0], expected)


def most_bytes(function):
    """Bytes that are taken at the same time, at most, while a function runs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as found:
        function()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        most = max(most, taken)
    return most


class Still(Jittered):
    """The same without noise."""

    def step(self, x_t, state):
        v = torch.exp(-1 / self.tau()) * state.v + x_t + self.sigma() * x_t * torch.tanh(state.v)
        return torch.tanh(v), JitteredState(v, state.key)


@pytest.mark.parametrize("training", [False, True])
def test_no_sequence_of_numbers_is_kept(training):
    x = numbers(400, 2, 256, dtype=torch.float32).requires_grad_()
    found = {}
    for cell in (Jittered(), Still()):
        state = cell.initial_state(x[0].detach())

        def pass_through(cell=cell, state=state):
            with torch.set_grad_enabled(training), tdn.backend("cpp"):
                y, _ = cell.scan(x, state)
                if training:
                    torch.autograd.grad(y.sum(), [x, *cell.parameters()])

        pass_through()  # compiles
        found[type(cell)] = most_bytes(pass_through)
    sequence = x.numel() * x.element_size()
    control = most_bytes(lambda: torch.empty_like(x))
    assert control == sequence
    assert found[Still] >= sequence  # the outputs
    # In training v and the key are kept, 12 bytes, at every eighth step; without noise v, 4 bytes, at every sixteenth.
    assert found[Jittered] - found[Still] <= (0.32 if training else 0.01) * sequence
