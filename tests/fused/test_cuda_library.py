"""On a card every class, rule and method of learning gives what it gives on a CPU, whatever runs it."""

import copy

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from tests.contract_cases import build, concrete_dynamics, sequence
from tests.learning.models import LABELS, found, furthest, recurrent
from tests.learning.models import sequence as frames
from tests.plasticity.test_rules_contract import RULES, WEIGHTS, chain, rates
from torchdyn_neuro.core.state import first_frame
from torchdyn_neuro.learning import RTRL, TBPTT, EProp, LocalLosses, ThreeFactor

from .agreement import run
from .places import everywhere, everywhere_of

CLASSES = {cls.__name__: cls for cls in concrete_dynamics()}
METHODS = {
    "EProp": lambda: EProp(block=5),
    "EProp, random": lambda: EProp("random", block=5),
    "ThreeFactor": lambda: ThreeFactor(),
    "RTRL": lambda: RTRL(),
    "TBPTT": lambda: TBPTT(7),
    "LocalLosses": lambda: LocalLosses(),
}


def same(found, expected, relative=1e-9):
    for got, wanted in zip(found, expected, strict=True):
        assert (got is None) == (wanted is None) or not (wanted if got is None else got).any()
        if got is not None and wanted is not None:
            assert got.shape == wanted.shape
            difference = (got.cpu().double() - wanted.double()).abs()
            assert not got.numel() or difference.max() <= relative * max(1.0, wanted.double().abs().max())


@everywhere_of(CLASSES, ["LIF"])
def test_every_class(name, place):
    module, x = build(CLASSES[name]).double(), sequence(CLASSES[name], dtype=torch.float64)
    # Of the same random numbers, which a card would draw anew.
    state = module.initial_state(first_frame(x))
    expected = run(module, x, "eager", state)
    for backend in ("eager", "auto"):
        results = run(copy.deepcopy(module).to(place.device), place.put(x), backend, place.put(state))
        for got, wanted in zip(results, expected, strict=True):
            same(got, wanted)


@pytest.mark.parametrize("weights", WEIGHTS)
@everywhere_of(RULES, ["Hebbian"])
def test_every_rule(name, weights, place):
    net, x = chain(name, weights), rates(9, 4, 3)
    expected = run(net, x, "eager")
    for got, wanted in zip(run(net.to(place.device), place.put(x), "auto"), expected, strict=True):
        same(got, wanted)


@everywhere_of(["PairSTDP", "TripletSTDP", "RewardSTDP", "InhibitorySTDP"], ["RewardSTDP"])
def test_rules_of_spikes(name, place):
    timing = tdn.RewardSTDP(tdn.PairSTDP()) if name == "RewardSTDP" else getattr(tdn, name)()
    made = tdn.Plastic(nn.Linear(3, 2, bias=False), timing)
    x = (rates(30, 4, 3) < 0.3).double()
    if name == "RewardSTDP":
        x = tdn.Modulated(x, rates(30, 4))
    net = tdn.Chain(made, tdn.LIF(5.0)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.abs() * 8)
    expected = run(net, x, "eager")
    assert expected[0][0].any()
    for got, wanted in zip(run(net.to(place.device), place.put(x), "auto"), expected, strict=True):
        same(got, wanted)


@everywhere_of(METHODS, ["TBPTT"])
def test_every_method_of_learning(name, place):
    model, method = recurrent(tdn.LIF(tdn.Learned(4.0))), METHODS[name]()
    torch.manual_seed(0)
    method.prepare(model)
    method.double()
    x = frames()
    outcome, expected = found(method, model, x)
    there, gradients = found(
        copy.deepcopy(method).to(place.device), model.to(place.device), place.put(x), place.put(LABELS)
    )
    same([there.loss.detach()], [outcome.loss.detach()])
    assert furthest({key: value.cpu() for key, value in gradients.items()}, expected) < 1e-9


@everywhere
def test_a_model_is_calibrated_streamed_and_recorded(place):
    torch.manual_seed(0)
    model = tdn.Chain(nn.Linear(6, 20), tdn.LIF(), nn.Linear(20, 3), tdn.LeakyIntegrator()).to(place.device)
    x = place.put(torch.rand(50, 4, 6))
    rates_of_layers = [row.rate for row in tdn.calibrate(model, x, rate=50.0).layers.values()]
    assert any(rate > 10 for rate in rates_of_layers)
    found = tdn.record(model, x, ["1.v"])
    assert found["1.v"].device.type == place.device
    live = tdn.Streaming(model)
    with torch.no_grad():
        torch.testing.assert_close(torch.stack([live.step(x_t) for x_t in x]), model(x), rtol=1e-5, atol=1e-6)


@everywhere
def test_a_whole_step_compiled_by_torch(place):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), tdn.LIF(), nn.Linear(20, 3), tdn.LeakyIntegrator()).to(place.device)
    x = place.put(3 * torch.rand(20, 4, 6))
    expected = model(x)
    expected.sum().backward()
    gradient = model[0].weight.grad.clone()
    model.zero_grad()
    y = torch.compile(model, backend="aot_eager")(x)
    y.sum().backward()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(model[0].weight.grad, gradient)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_runs_the_kernels_as_the_eager_loop(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 64), tdn.LIF(), nn.Linear(64, 3), tdn.LeakyIntegrator()).cuda()
    x = 5 * torch.rand(30, 4, 6, device="cuda")
    results = []
    for backend in ("eager", "auto"):
        model.zero_grad()
        with tdn.backend(backend), torch.autocast("cuda", dtype):
            y = model(x)
        y.float().sum().backward()
        results.append((y, *(parameter.grad for parameter in model.parameters())))
    for expected, got in zip(*results, strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, rtol=0.02, atol=0.02)
