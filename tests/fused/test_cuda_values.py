"""On a card every cell, Chain and size gives what the eager loop gives there, in values and gradients."""

import copy

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state

from .agreement import assert_agrees, run
from .cells import composed, shipped
from .places import everywhere, everywhere_of

EXAMPLES = {**shipped(torch.float32), **composed(torch.float32)}
FEW = ("LIF", "STP, synapse, LIF")
NARROW = {
    "LIF": lambda: tdn.LIF(tau_mem=tdn.Learned(5.0)),
    "ALIF": lambda: tdn.ALIF(),
    "LeakyIntegrator": lambda: tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0)),
    "SynapticLIF": lambda: tdn.SynapticLIF(),
    "Chain": lambda: tdn.Chain(tdn.ExponentialSynapse(tdn.Learned(3.0)), tdn.LIF(tau_mem=tdn.Learned(5.0))),
}
RELATIVE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Of float32 the eager kernels of a card round fused products once where ours round twice."""


def example(name, dtype, place):
    module, x = EXAMPLES[name]
    return copy.deepcopy(module).to(place.device, dtype), place.put(map_state(lambda leaf: leaf.to(dtype), x))


def numbers(place, *shape, dtype=torch.float32):
    return place.put(torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@everywhere_of(EXAMPLES, FEW)
def test_every_cell(name, place, dtype):
    module, x = example(name, dtype, place)
    (y, *_), _ = assert_agrees(module, x, relative=RELATIVE[dtype], backend=place.backend)
    assert len(y.unique()) > 1  # it spiked


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@everywhere_of(NARROW, ["LIF"])
def test_narrow_inputs_and_outputs_with_wide_states(name, place, dtype):
    torch.manual_seed(0)
    module, x = NARROW[name]().to(place.device), 3 * numbers(place, 20, 2, 70)
    (y, *_), _ = assert_agrees(module, x.to(dtype), relative=2 * torch.finfo(dtype).eps, backend=place.backend)
    assert y.dtype == dtype
    assert y.any()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
@everywhere
def test_narrow_spikes(place, dtype):
    module, x = tdn.LIF().to(place.device), 3 * numbers(place, 20, 2, 70)
    results = []
    for backend in ("eager", place.backend):
        with tdn.backend(backend), torch.no_grad():
            results.append(module.scan(x, output_dtype=dtype)[0])
    assert results[0].dtype == dtype
    assert torch.equal(*results)
    assert results[0].any()


@pytest.mark.parametrize("frame", [(1, 1), (3, 5), (2, 3, 43), (1, 70001)])
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 100])
@everywhere
def test_lengths_and_frames(steps, frame, place):
    """Of both kinds of blocks, full ones and others, and of segments that are full and that are not."""
    if steps == 100 and frame == (1, 70001) and place.device == "cpu":
        steps = 3
    module = tdn.ALIF(tau_mem=tdn.Learned(10.0)).to(place.device)
    assert_agrees(module, 20 * numbers(place, steps, *frame), relative=1e-4, backend=place.backend)


@everywhere
def test_offsets_that_outgrow_32_bits(place):
    stride = 2**30 + 8  # the third frame lies beyond 2**31 elements; no page in between is ever touched
    memory = torch.empty(2 * stride + 4, dtype=torch.bfloat16, device=place.device)
    x = memory.as_strided((3, 1, 4), (stride, 4, 1))
    x.copy_(20 * numbers(place, 3, 1, 4))
    with tdn.backend("eager"):
        expected = tdn.LIF().to(place.device)(x)
    with tdn.backend(place.backend):
        assert torch.equal(tdn.LIF().to(place.device)(x), expected)
    assert expected.any()


@everywhere
def test_channels_last(place):
    tau = tdn.Learned(torch.linspace(5, 20, 6).reshape(6, 1, 1))
    module, x = tdn.LIF(tau_mem=tau).double().to(place.device), 3 * numbers(place, 20, 3, 6, 5, 4, dtype=torch.float64)
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
    assert_agrees(module, last, relative=1e-10, backend=place.backend)
    with tdn.backend(place.backend):
        assert module(last).stride() == last.stride()


@everywhere
def test_a_given_state_in_pieces(place):
    torch.manual_seed(0)
    module, x = tdn.SynapticLIF(tau_mem=tdn.Learned(10.0)).to(place.device), 20 * numbers(place, 30, 2, 70)
    with tdn.backend(place.backend), torch.no_grad():
        whole, end = module.scan(x)
        first, state = module.scan(x[:13])
        second, last = module.scan(x[13:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    map_state(lambda one, other: torch.testing.assert_close(one, other, rtol=0, atol=0), last, end)
    assert_agrees(module, x[13:], state, relative=1e-4, backend=place.backend)


@everywhere
def test_second_derivatives_and_many_rows_at_once(place):
    torch.manual_seed(0)
    module = tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0)).double().to(place.device)
    x = numbers(place, 5, 2, 3, dtype=torch.float64).requires_grad_()
    found = []
    for backend in ("eager", place.backend):
        with tdn.backend(backend):
            (first,) = torch.autograd.grad((module(x) ** 3).sum(), x, create_graph=True)
            second = torch.autograd.grad(first.square().sum(), [x, *module.parameters()])
            rows = torch.eye(6, dtype=x.dtype, device=x.device).reshape(6, 2, 3)
            (jacobian,) = torch.autograd.grad(module(x)[-1], x, rows, is_grads_batched=True)
        found.append((first.detach(), *second, jacobian))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


@everywhere
def test_auto_chooses_the_kernels(place, recwarn):
    module, x = tdn.LIF().to(place.device), 20 * numbers(place, 9, 2, 5)
    torch.testing.assert_close(run(module, x, "auto")[0], run(module, x, place.backend)[0], rtol=0, atol=0)
    assert not [warning for warning in recwarn if "torchdyn_neuro" in str(warning.message)]
