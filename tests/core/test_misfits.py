"""What loaders, environments and this library hand out is taken, or refused in words that say how to go on."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

HOUSE = r"^\w+: expected .*, got .*; .*"


def x(*shape):
    return torch.rand(*(shape or (5, 2, 4)), generator=torch.Generator().manual_seed(0))


LAYERS = {
    "EventLinear": lambda: tdn.EventLinear(4, 3),
    "EventConv2d": lambda: tdn.EventConv2d(4, 3, 1),
    "SparseLinear": lambda: tdn.SparseLinear(4, 3, tdn.wiring.FixedOutDegree(2), 1.0),
    "OneToOne": lambda: tdn.OneToOne(4),
    "OneToOne channels": lambda: tdn.OneToOne((4, 1, 1)),
    "GapJunction": lambda: tdn.GapJunction(4),
    "DelayedLinear": lambda: tdn.DelayedLinear(4, 3),
    "PlasticLinear": lambda: tdn.PlasticLinear(4, 3, tdn.TsodyksMarkram()),
}
IMAGES = {"EventConv2d", "OneToOne channels"}
TAKE_NUMBERS = {"OneToOne", "OneToOne channels", "GapJunction"}


@pytest.mark.parametrize("name", LAYERS)
def test_a_connection_takes_its_input_or_says_what_it_wants(name):
    layer = LAYERS[name]()
    good = (x(5, 4, 6, 6) if name in IMAGES else x()).clamp(0, 1)
    y = layer(good)
    for numbers in (good > 0.5, (3 * good).long(), (3 * good).byte()):
        if name in TAKE_NUMBERS:
            assert_close(layer(numbers), layer(numbers.float()))
        else:
            with pytest.raises(TypeError, match=rf"{name}: expected a floating-point input.*x\.float\(\)"):
                layer(numbers)
    wrong = (good.numpy(), [good, good], None, 3)
    for value in wrong:
        with pytest.raises(TypeError, match=rf"{name.split()[0]}: expected .*, got {type(value).__name__}; pass"):
            layer(value)
    with pytest.raises(TypeError, match=r"pass torch\.as_tensor\(x\)"):
        layer(wrong[0])
    narrow = x(5, 7, 6, 6) if name in IMAGES else x(5, 2, 7)
    with pytest.raises(ValueError, match=HOUSE):
        layer(narrow)
    assert torch.equal(layer(good), y)


def test_a_sequence_of_images_is_led_to_stepwise():
    layer = tdn.EventConv2d(4, 3, 1)
    with pytest.raises(ValueError, match=r"EventConv2d: expected an input \[N, 4, H, W\].*Stepwise"):
        layer(x(5, 2, 4, 6, 6))
    assert tdn.Stepwise(layer)(x(5, 2, 4, 6, 6)).shape == (5, 2, 3, 6, 6)


MODELS = {
    "sequential": lambda: nn.Sequential(nn.Linear(4, 8), tdn.LIF()),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 8)), tdn.LIF()),
    "chain": lambda: tdn.Chain(nn.Linear(4, 8), tdn.LIF()),
    "recurrent": lambda: tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)),
}
RUNS = {
    "calibrate": tdn.calibrate,
    "activity_report": tdn.activity_report,
    "record": lambda model, x: tdn.record(model, x, ["1.v" if len(list(model.children())) > 1 else "neuron.v"]),
    "Streaming": lambda model, x: tdn.Streaming(model)(x),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("run", RUNS)
def test_what_is_run_for_a_user_refuses_what_the_model_cannot_take(run, model):
    module = MODELS[model]()
    given = {
        "ndarray": x().numpy(),
        "a list": [x(), torch.zeros(2)],
        "a tuple": (x(), x()),
        "a dict": {"x": x()},
        "NoneType": None,
        "torch.int64": x().long(),
        "torch.bool": x() > 0.5,
        "torch.float64": x().double(),
        "shape": x(5, 2, 7),
    }
    for value in given.values():
        with pytest.raises((TypeError, ValueError), match=HOUSE):
            RUNS[run](module, value)


@pytest.mark.parametrize(
    "run",
    [
        tdn.calibrate,
        tdn.activity_report,
        lambda model, x: tdn.record(model, x, ["v"]),
        lambda model, x: tdn.Streaming(model),
        lambda model, x: tdn.check(model),
        lambda model, x: tdn.set_dt(model, 1.0),
        lambda model, x: tdn.replace(model, nn.ReLU, tdn.LIF),
    ],
)
def test_the_model_comes_first(run):
    for value in (x(), np.zeros(3)):
        with pytest.raises(TypeError, match=r"\w+: expected a model, got \w+; pass the module first"):
            run(value, tdn.LIF())


def test_a_layer_of_torch_takes_one_tensor():
    for value in ([x(), x()], (x(), x()), {"a": x()}):
        for model in (tdn.Stepwise(nn.Linear(4, 3)), tdn.Stepwise(nn.Sequential(nn.ReLU(), nn.Linear(4, 3)))):
            kind = type(value).__name__
            with pytest.raises(TypeError, match=rf"Stepwise: expected one tensor for \w+, got a {kind}; pass"):
                model(value)
    with pytest.raises(TypeError, match="Chain: expected one tensor for Linear, got a tuple"):
        tdn.Chain(nn.Linear(4, 3), tdn.LIF())((x(), x()))


@pytest.mark.parametrize(
    "network",
    [
        lambda connection: tdn.Recurrent(tdn.LIF(), connection),
        lambda connection: tdn.Network(tdn.LIF(), connection, delay=2.0),
        lambda connection: tdn.Network(tdn.LIF(integrator=tdn.RK4()), connection, source="v"),
        lambda connection: tdn.Network(tdn.LeakyIntegrator(), connection),
    ],
    ids=["recurrent", "delayed", "by v", "rate"],
)
def test_a_connection_of_another_width_is_named(network):
    misfits = {
        "inputs": (nn.Linear(7, 7), "expected an input of width 7 for Linear, got 4"),
        "outputs": (nn.Linear(4, 7), "expected a connection to 4 neurons.*got 7 outputs of Linear"),
        "events": (tdn.EventLinear(7, 7), "expected an input of width 7 for EventLinear, got 4"),
        "signs": (tdn.dale(nn.Linear(7, 7)), "expected an input of width 7"),
        "row": (nn.Sequential(nn.Linear(7, 4), nn.ReLU()), "expected an input of width 7"),
        "pairs": (tdn.OneToOne(7), r"OneToOne: expected an input \[..., 7\]"),
        "gap": (tdn.GapJunction(7), r"GapJunction: expected potentials \[..., 7\]"),
        "type": (nn.Linear(4, 4).double(), "expected an input in torch.float64 for Linear, got torch.float32"),
    }
    for connection, message in misfits.values():
        with pytest.raises((TypeError, ValueError), match=message) as raised:
            network(connection)(x())
        assert re.match(HOUSE, str(raised.value))
    assert network(nn.Linear(4, 4))(x()).shape == (5, 2, 4)


def test_a_dynamic_connection_of_another_width_is_named():
    synapse = tdn.Chain(nn.Linear(7, 7), tdn.ExponentialSynapse())
    with pytest.raises(ValueError, match="Chain: expected an input of width 7 for Linear, got 4"):
        tdn.Recurrent(tdn.LIF(), synapse)(x())
    with pytest.raises(ValueError, match=r"Plastic: expected frames \[B, 7\]"):
        tdn.Recurrent(tdn.LIF(), tdn.Plastic(nn.Linear(7, 7), tdn.Hebbian()))(x())


def test_narrow_inputs_and_autocast_go_as_before():
    for source in ("v", "output"):
        cell = tdn.LIF(integrator=tdn.RK4()) if source == "v" else tdn.LeakyIntegrator()
        assert tdn.Network(cell, nn.Linear(4, 4), source=source)(x().bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert tdn.Chain(nn.Linear(4, 3), tdn.LIF())(x()).shape == (5, 2, 3)
        assert tdn.Stepwise(nn.Linear(4, 3))(x().bfloat16()).dtype == torch.bfloat16
    assert tdn.Chain(nn.LazyLinear(3), tdn.LIF())(x()).shape == (5, 2, 3)
