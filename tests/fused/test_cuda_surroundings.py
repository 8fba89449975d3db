"""On a card: the bits of noise are those of a CPU, streams do not meet, memory is what was promised, graphs hold."""

import contextlib

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state
from torchdyn_neuro.fused.operators.cuda_graph import record_on_cuda, repeated

from .cells import JitteredState, Words
from .graph_stand_in import Stream, stand_in
from .places import NEEDS_CARD, everywhere


@everywhere
def test_the_bits_of_noise_are_those_of_a_cpu(place):
    x = torch.linspace(-1, 1, 17 * 3 * 150, dtype=torch.float64).reshape(17, 3, 150).sin()
    key = torch.arange(3 * 150).reshape(3, 150) * 0x9E3779B97F4A7C15 - 77
    state = JitteredState(torch.zeros(3, 150, dtype=torch.float64), key)
    results = []
    for device, backend in (("cpu", "eager"), (place.device, "eager"), place):
        with tdn.backend(backend), torch.no_grad():
            y, last = Words().scan(x.to(device), map_state(lambda leaf, device=device: leaf.to(device), state))
        results.append([leaf.cpu() for leaf in (*y, last.key)])
    for found in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found, results[0], strict=True))
    assert results[0][0].max() > 2**31


@everywhere
def test_noise_of_one_key_is_the_same_everywhere(place):
    module, x = tdn.LIF(noise=tdn.WhiteNoise(0.3)).double(), torch.ones(30, 2, 9, dtype=torch.float64)
    state = module.initial_state(x[0])
    with tdn.backend("eager"):
        expected, end = module.scan(x, state)
    with tdn.backend(place.backend):
        found, last = module.to(place.device).scan(place.put(x), place.put(state))
    torch.testing.assert_close(found.cpu(), expected)
    map_state(lambda one, other: torch.testing.assert_close(one.cpu(), other), last, end)


def layers(place):
    torch.manual_seed(0)
    yield nn.Sequential(nn.Linear(64, 64), tdn.LIF(tau_mem=tdn.Learned(10.0))).to(place.device)
    yield tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(10.0)), nn.Linear(64, 64)).to(place.device)


@everywhere
def test_two_streams_do_not_meet(place):
    """The same module, and with it the same recordings, at work for two callers at a time."""
    for module in layers(place):
        inputs = [20 * torch.rand(50, 8, 64, device=place.device) for _ in range(2)]

        def work(x, module=module):
            found = []
            for _ in range(6):
                leaf = x.clone().requires_grad_()
                with tdn.backend(place.backend):
                    y = module(leaf)
                found.append((y.detach(), *torch.autograd.grad(y.sin().sum(), [leaf, *module.parameters()])))
            return found

        alone = [work(x)[-1] for x in inputs]
        together = place.side_by_side(*(lambda x=x, work=work: work(x) for x in inputs))
        for expected, runs in zip(alone, together, strict=True):
            for found in runs:
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def kept_bytes(run):
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


@everywhere
def test_what_is_kept_and_what_is_needed_at_most(place):
    """Of a sequence: itself and 0.4 of it are kept, and at most its result and both gradients are there besides."""
    module, x = tdn.LIF().to(place.device), torch.rand(100, 64, 1024, device=place.device, requires_grad=True)
    size = x.numel() * x.element_size()
    results = []
    with tdn.backend(place.backend):
        assert kept_bytes(lambda: results.append(module(x))) <= 1.42 * size
        if place.device == "cpu":
            return
        results.clear()
        gradient = torch.ones_like(x)
        torch.autograd.grad(module(x), x, gradient)  # whatever is compiled or reserved is there now
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.autograd.grad(module(x), x, gradient)
        assert torch.cuda.max_memory_allocated() - before <= 2.5 * size


@everywhere
def test_repeated_calls_leave_nothing_behind(place):
    # A CPU does not count; the calls themselves are exercised.
    held = (lambda: 0) if place.device == "cpu" else torch.cuda.memory_allocated
    for module in layers(place):
        x, after = torch.rand(30, 8, 64, device=place.device), []
        for _ in range(12):
            with tdn.backend(place.backend):
                module(x).sum().backward()
            module.zero_grad()
            after.append(held())
        assert after[-1] <= after[5]  # by then everything is recorded


@everywhere
def test_somebody_else_records_our_loops(place, monkeypatch):
    """A whole training step in a graph of the user's, forward and backward."""
    if place.device == "cpu":
        stand_in(monkeypatch)
    for module in layers(place):
        x = 20 * torch.rand(20, 4, 64, device=place.device)

        def step(x=x, module=module):
            leaf = x.clone().requires_grad_()
            with tdn.backend(place.backend):
                y = module(leaf)
            return [y.detach(), *torch.autograd.grad(y.sin().sum(), [leaf, *module.parameters()])]

        replay, results = record_on_cuda(step)
        for k in range(3):
            x.uniform_(0, 15 + 5 * k)
            replay()
            torch.testing.assert_close(results, step(), rtol=1e-4, atol=1e-4)


@everywhere
def test_a_recording_that_fails_leaves_the_next_ones_alone(place, monkeypatch):
    """On a card it fails in the middle of a recording, as reading a number there does."""
    if place.device == "cpu":
        stand_in(monkeypatch)
    x, stream = torch.ones(3, device=place.device), torch.cuda.current_stream()
    fails = repeated(lambda x: [x * float(x.sum())])
    for k in range(5):
        expected = pytest.warns(UserWarning, match="captur") if k == 2 else contextlib.nullcontext()
        with expected:
            assert (fails(x)[0] == 3).all()
    assert torch.cuda.current_stream() == stream
    assert not Stream.generator_is_recorded
    assert torch.rand(3, device=place.device).unique().numel() == 3  # a card's generator is not recorded any more
    holds = repeated(lambda x: [x.cumsum(0) * 2])
    for k in range(5):
        assert torch.equal(holds(x + k)[0], (x + k).cumsum(0) * 2)
    assert len(holds.__self__.recorded) == 1


@NEEDS_CARD
def test_the_current_device_stays():
    x = torch.rand(9, 2, 5, device="cuda")
    with tdn.backend("triton"):
        tdn.LIF().to("cuda")(x)
    assert torch.cuda.current_device() == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_module_left_on_the_cpu_runs_eagerly_and_says_why():
    module, x = tdn.LIF(), 3 * torch.rand(9, 2, 5, device="cuda")
    with tdn.backend("eager"):
        expected = module(x)
    with pytest.warns(UserWarning, match=r"on cuda:0, where the input is, got one on cpu; call module.to\(x.device\)"):
        assert torch.equal(module(x), expected)
    with pytest.raises(tdn.NotPointwise, match=r"call module\.to"), tdn.backend("triton"):
        module(x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_other_types_flags_and_sizes_of_one_kernel_are_other_launches():
    """What Triton has compiled is found again by us; what it was compiled for must be the same."""
    module = tdn.LIF(tau_mem=tdn.Learned(torch.full((70,), 5.0))).cuda()
    for rows in (2, 1000, 2, 3000):
        for wanted in (False, True):
            x = (3 * torch.rand(9, rows, 70, device="cuda")).requires_grad_(wanted)
            results = []
            for backend in ("eager", "triton"):
                with tdn.backend(backend):
                    y, last = module.scan(x[::2] if rows == 1000 else x)
                    results.append((y, last.v))
            for expected, got in zip(*results, strict=True):
                torch.testing.assert_close(got, expected)
