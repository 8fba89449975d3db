"""On a card recurrent layers and steps with products give what the eager loop gives, plain and replayed."""

import copy

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.recurrent import cut_loops, network_native

from .agreement import assert_agrees, run
from .places import CARD, NEEDS_CARD, everywhere, everywhere_of
from .test_products import CASES, drive

CELLS = {
    "LIF": lambda: tdn.LIF(tau_mem=tdn.Learned(5.0)),
    "ALIF": lambda: tdn.ALIF(tau_mem=tdn.Learned(torch.linspace(4, 8, 70))),
    "SynapticLIF": lambda: tdn.SynapticLIF(),
    "LeakyIntegrator": lambda: tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0)),
    "noisy LIF": lambda: tdn.LIF(noise=tdn.WhiteNoise(tdn.Learned(0.3))),
}


def recurrent(name, dtype, place):
    torch.manual_seed(0)
    return tdn.Recurrent(CELLS[name](), nn.Linear(70, 70)).to(place.device, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@everywhere_of(CELLS, ["ALIF"])
def test_a_recurrent_layer_again_and_again(name, place, dtype):
    """As often as it takes until a card replays a recording, with other numbers each time."""
    module = recurrent(name, dtype, place)
    for k in range(5):
        x = place.put(20 * torch.rand(21, 3, 70, generator=torch.Generator().manual_seed(k), dtype=dtype))
        (y, *_), _ = assert_agrees(module, x, relative=1e-9 if dtype == torch.float64 else 1e-3, backend=place.backend)
        assert y.any()


@everywhere_of(CASES, ["rate, rk4", "two layers"])
def test_products_inside_a_step_again_and_again(name, place):
    torch.manual_seed(0)
    module = CASES[name]().double().to(place.device)
    for k in range(3):
        x = drive(name, 21, 9, 13)
        x = place.put(tuple(leaf + 0.01 * k for leaf in x) if isinstance(x, tuple) else x + 0.01 * k)
        assert_agrees(module, x, relative=1e-9, backend=place.backend)


@everywhere
def test_a_weight_that_changes_is_seen_by_a_replay(place):
    """What an optimizer does between two calls, and a copy of the layer, which shares the recording."""
    module = recurrent("LIF", torch.float64, place)
    x = place.put(20 * torch.rand(21, 3, 70, dtype=torch.float64))
    for k in range(5):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(1.02)
        for each in (module, copy.deepcopy(module)):
            found, expected = run(each, x, place.backend), run(each, x, "eager")
            for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, msg=lambda text, k=k: f"{k}: {text}")


@everywhere
def test_without_gradients_and_in_inference_mode(place):
    module = recurrent("LIF", torch.float32, place)
    x = place.put(20 * torch.rand(21, 3, 70))
    for context in (torch.no_grad, torch.inference_mode):
        for _ in range(4):
            with context(), tdn.backend(place.backend):
                found = module(x)
            with context(), tdn.backend("eager"):
                torch.testing.assert_close(found, module(x))


@pytest.mark.parametrize("name", ["LIF", "LeakyIntegrator"])
@pytest.mark.parametrize("steps", [1, 9])
@everywhere
def test_gradients_that_come_from_the_last_state_alone(place, steps, name, monkeypatch):
    # Step by step, as on a card, on a CPU too.
    monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    module, found = recurrent(name, torch.float64, place), []
    x = place.put(20 * torch.rand(steps, 3, 70, dtype=torch.float64)).requires_grad_()
    for backend in ("eager", *4 * [place.backend]):
        with tdn.backend(backend):
            _, last = module.scan(x)
        found.append(torch.autograd.grad(last.neuron.v.sin().sum(), [x, *module.parameters()]))
    for gradients in found[1:]:
        torch.testing.assert_close(gradients, found[0], rtol=1e-9, atol=1e-9)


@everywhere
def test_auto_runs_products_without_a_warning(place, recwarn):
    module = CASES["rate, rk4"]().double().to(place.device)
    x = place.put(drive("rate, rk4", 9, 2, 13))
    for _ in range(4):
        torch.testing.assert_close(run(module, x, "auto")[0], run(module, x, "eager")[0], rtol=1e-10, atol=1e-10)
    assert not [warning for warning in recwarn if "torchdyn_neuro" in str(warning.message)]


@NEEDS_CARD
def test_a_card_has_recorded_them():
    network, layer = CASES["rate, heun"]().to("cuda"), recurrent("LIF", torch.float32, CARD)
    x = torch.rand(21, 3, 70, device="cuda")
    for _ in range(4):
        run(network, x[..., :13], "triton")
        run(layer, x, "triton")
    for repeated in (function.__self__ for function in cut_loops.RECORDED):
        assert repeated.recorded
        assert not repeated.failed
