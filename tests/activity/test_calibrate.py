import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import torchdyn_neuro as tdn

X = (torch.rand(100, 4, 30, generator=torch.Generator().manual_seed(0)) < 0.05).float()


def seeded(*layers, chain=False):
    torch.manual_seed(1)
    return (tdn.Chain if chain else nn.Sequential)(*(layer() for layer in layers))


def dense(inputs, outputs, **arguments):
    return lambda: nn.Linear(inputs, outputs, **arguments)


def rates_by_hand(model, x):
    """Rates of the spiking layers, layer after layer, without any hook."""
    rates = []
    for layer in model:
        x = layer(x)
        if hasattr(layer, "surrogate"):
            rates.append(x.mean().item() * 1000 / layer.dt)
    return rates


CELLS = {
    "LIF": lambda: tdn.LIF(),
    "LIF in mV": lambda: tdn.LIF(v_rest=-70.0, v_th=-50.0, R=0.1),
    "AdEx": lambda: tdn.AdEx(dt=1.0, integrator=tdn.ExponentialEuler(substeps=4)),
    "HodgkinHuxley": lambda: tdn.HodgkinHuxley(dt=1.0, integrator=tdn.ExponentialEuler(substeps=20)),
    "Izhikevich": lambda: tdn.Izhikevich(scheme="izhikevich2003"),
    "noisy": lambda: tdn.LIF(noise=tdn.WhiteNoise(0.05)),
    "refractory": lambda: tdn.LIF(t_ref=3.0),
}


@pytest.mark.parametrize("cell", CELLS)
def test_rates_measured_by_hand(cell):
    model = seeded(dense(30, 40), CELLS[cell], dense(40, 20, bias=False), CELLS[cell])
    report = tdn.calibrate(model, X, rate=30.0)
    assert [layer.name for layer in report] == ["1", "3"]
    torch.manual_seed(2)
    with torch.no_grad():
        by_hand = rates_by_hand(model, X)
    # Noise is another one now; the rate of a layer follows from its weights alone otherwise.
    tolerance = 0.15 if cell == "noisy" else 0.02
    assert by_hand == pytest.approx([30.0, 30.0], rel=tolerance)
    if cell != "noisy":
        assert [layer.rate for layer in report] == pytest.approx(by_hand, rel=1e-6)


def test_weights_and_bias_are_scaled_alike_and_in_place():
    model = seeded(dense(30, 40), tdn.LIF)
    before = copy.deepcopy(model)
    parameters = list(model.parameters())
    report = tdn.calibrate(model, X, rate=40.0)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    factors = torch.cat(
        [(a / b).flatten() for a, b in zip(model[0].parameters(), before[0].parameters(), strict=True)]
    ).detach()
    torch.testing.assert_close(factors, factors[:1].expand_as(factors))
    assert report["1"].scaled == f"0 by {factors[0].item():.3g}"
    assert all(parameter.grad is None and parameter.requires_grad for parameter in parameters)


def test_again_changes_next_to_nothing():
    model = seeded(dense(30, 40), tdn.LIF, dense(40, 20), tdn.LIF)
    tdn.calibrate(model, X, rate=40.0)
    weight = model[0].weight.detach().clone()
    tdn.calibrate(model, X, rate=40.0)
    torch.testing.assert_close(model[0].weight.detach(), weight, rtol=0.02, atol=0)


FED = {
    "synapse between": ([dense(30, 40), lambda: tdn.ExponentialSynapse(), tdn.LIF], "0 by"),
    "affine norm": ([dense(30, 40), lambda: nn.LayerNorm(40), tdn.LIF], "1 by"),
    "norm without weights": ([dense(30, 40), lambda: nn.LayerNorm(40, elementwise_affine=False), tdn.LIF], "its input"),
    "parametrized": ([lambda: weight_norm(nn.Linear(30, 40)), tdn.LIF], "0 by"),
    "batch norm": ([dense(30, 40), lambda: tdn.Stepwise(nn.BatchNorm1d(40)), tdn.LIF], "1.module by"),
    "nothing": ([tdn.LIF], "its input"),
    "a convolution": (
        [
            lambda: tdn.Stepwise(nn.Unflatten(1, (3, 10))),
            lambda: tdn.Stepwise(nn.Conv1d(3, 8, 3)),
            lambda: tdn.Stepwise(nn.Flatten()),
            tdn.LIF,
        ],
        "1.module by",
    ),
}


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("case", FED)
def test_what_is_scaled(case, chain):
    layers, scaled = FED[case]
    model = seeded(*layers, chain=chain)
    (layer,) = tdn.calibrate(model, X, rate=30.0)
    assert layer.scaled.startswith(scaled)
    y = model(X)
    assert y.mean().item() * 1000 == pytest.approx(30.0, rel=0.03)
    assert layer.rate == pytest.approx(y.mean().item() * 1000, rel=1e-6)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.one = nn.Linear(30, 30), tdn.LIF()
        self.second, self.two = nn.Linear(30, 30), tdn.LIF()

    def forward(self, x):
        y = self.one(self.first(x))
        return self.two(self.second(y) + 0.1 * x)


def test_a_sum_gets_a_scale_in_front_and_the_weights_stay():
    torch.manual_seed(0)
    model = Residual()
    weight = model.second.weight.detach().clone()
    report = tdn.calibrate(model, X, rate=25.0)
    assert torch.equal(model.second.weight, weight)
    assert isinstance(model.two, tdn.Chain)
    assert isinstance(model.two[0], tdn.CurrentScale)
    assert "two.0.scale" in model.state_dict()
    assert [layer.name for layer in report] == ["one", "two.1"]
    assert report["two.1"].rate == pytest.approx(25.0, rel=0.02)
    # The scale is found and adjusted, not stacked, by the next calibration.
    again = tdn.calibrate(model, X, rate=50.0)
    assert [layer.name for layer in again] == ["one", "two.1"]
    assert again["two.1"].scaled.startswith("two.0 by")
    assert again["two.1"].rate == pytest.approx(50.0, rel=0.02)


def test_a_layer_that_feeds_two_cells_is_not_scaled_for_the_second():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.slow, self.fast = nn.Linear(30, 20), tdn.LIF(tau_mem=50.0), tdn.LIF(v_th=3.0)

        def forward(self, x):
            current = self.shared(x)
            return self.slow(current) + self.fast(current)

    torch.manual_seed(0)
    model = Two()
    report = tdn.calibrate(model, X, rate=30.0)
    assert [layer.rate for layer in report] == pytest.approx([30.0, 30.0], rel=0.02)
    assert [layer.scaled.split(" by")[0] for layer in report] == ["shared", "its input"]


def test_recurrent_scales_the_drive_only():
    model = seeded(dense(30, 40), lambda: tdn.Recurrent(tdn.LIF(), nn.Linear(40, 40)))
    feedback = model[1].connection.weight.detach().clone()
    (layer,) = tdn.calibrate(model, X, rate=30.0)
    assert layer.name == "1"
    assert layer.kind == "Recurrent"
    assert torch.equal(model[1].connection.weight, feedback)
    assert model(X).mean().item() * 1000 == pytest.approx(30.0, rel=0.02)


def test_conductances_are_scaled_together():
    model = seeded(
        lambda: nn.Unflatten(-1, (2, 15)),
        lambda: tdn.ConductanceSynapse(dt=0.5),
        lambda: tdn.ConductanceLIF(dt=0.5),
    )
    (layer,) = tdn.calibrate(model, X, rate=20.0)
    assert layer.rate == pytest.approx(20.0, rel=0.03)
    assert model(X).mean().item() * 2000 == pytest.approx(20.0, rel=0.03)


def test_nothing_else_is_disturbed():
    model = seeded(
        dense(30, 40), lambda: tdn.Stepwise(nn.BatchNorm1d(40)), lambda: nn.Dropout(0.5), tdn.LIF, dense(40, 4), tdn.LIF
    )
    model[4].eval()
    modes = [module.training for module in model.modules()]
    running = [buffer.clone() for buffer in model[1].buffers()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tdn.calibrate(model, X, rate=20.0)
    tdn.activity_report(model, X)
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(model[1].buffers(), running, strict=True))
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_cannot_be_reached_is_said():
    with pytest.raises(ValueError, match=r"at most 250 Hz, a spike of 1 in every step in which it can fire"):
        tdn.calibrate(nn.Sequential(nn.Linear(30, 4), tdn.LIF(t_ref=3.0)), X, rate=300.0)
    with pytest.raises(ValueError, match="got none in Linear"):
        tdn.calibrate(nn.Linear(3, 3), X)
    with pytest.raises(ValueError, match="pass the model inside it"):
        tdn.calibrate(tdn.Streaming(nn.Sequential(tdn.LIF())), X)
    model = nn.Sequential(nn.Linear(30, 4), tdn.LIF())
    nn.init.constant_(model[0].weight, -1.0)
    nn.init.zeros_(model[0].bias)
    before = model[0].weight.detach().clone()
    with pytest.warns(UserWarning, match=r"below the 50 Hz asked for, whatever the current: 1 \(0.0 Hz\)"):
        report = tdn.calibrate(model, X)
    assert report.silent == ["1"]
    assert torch.equal(model[0].weight, before)
    with pytest.warns(UserWarning, match="below the 50 Hz"):
        (alone,) = tdn.calibrate(tdn.LIF(), 0.1 * X)
    assert alone.scaled == "nothing: it is the model; put a layer with weights in front of it"


class OneCell(nn.Module):
    """One cell for several places of a forward, as an activation of a residual block is."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.act, self.way = nn.Linear(30, 20), nn.Linear(20, 10), tdn.LIF(), way

    def forward(self, x):
        spikes = self.act(self.first(x))
        if self.way == "weights":
            return self.act(self.second(spikes))
        return self.act(spikes) if self.way == "none" else self.act(0.1 * spikes + self.first(x))


def test_each_call_of_a_shared_cell_is_calibrated_by_the_weights_in_front_of_it():
    model = OneCell("weights")
    report = tdn.calibrate(model, X, rate=20.0)
    assert [layer.name for layer in report] == ["act (call 1)", "act (call 2)"]
    assert [round(layer.rate) for layer in report] == [20, 20]
    assert [layer.scaled.split(" by")[0] for layer in report] == ["first", "second"]
    rates = []
    model.act.register_forward_hook(lambda layer, inputs, output: rates.append(1000 * output.mean().item()))
    model(X)
    assert rates == pytest.approx([layer.rate for layer in report])


@pytest.mark.parametrize("way", ["none", "shared"])
def test_a_call_that_cannot_be_calibrated_by_itself_is_named(way):
    with pytest.warns(UserWarning, match=r"left as they are, .*: act \(call 2\) \(.* Hz\); give each place a module"):
        report = tdn.calibrate(OneCell(way), X, rate=20.0)
    assert round(report["act (call 1)"].rate) == 20
    assert report["act (call 2)"].scaled.startswith("nothing: it runs several times")
