import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn


def test_rates_and_shares_by_arithmetic():
    # A cell without leak (per ms: v += I) that is reset by subtraction fires at the rate I per step, at most 1.
    current = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(200, 3, 4)
    model = nn.Sequential(tdn.IF(reset="subtract"))
    (layer,) = tdn.activity_report(model, current)
    assert layer.neurons == (4,)
    assert layer.rate == pytest.approx(1000 * (0.25 + 0.5 + 1.0) / 4, rel=0.01)
    assert layer.silent == 0.25
    assert layer.saturated == 0.25
    assert layer.verdict == ""


def test_a_cell_that_fires_as_often_as_its_refractory_period_allows_is_saturated():
    report = tdn.activity_report(nn.Sequential(tdn.LIF(t_ref=3.0)), torch.full((100, 2, 5), 1e4))
    assert report["0"].rate == pytest.approx(250.0)
    assert report["0"].saturated == 1
    assert report.saturated == ["0"]
    assert report.silent == []


@pytest.mark.parametrize("wrap", [nn.Sequential, tdn.Chain, lambda *layers: nn.Sequential(tdn.Chain(*layers))])
def test_layers_inside_chains_count_one_by_one(wrap):
    torch.manual_seed(0)
    layers = [tdn.LIF(), nn.Linear(4, 6), tdn.Recurrent(tdn.LIF(), nn.Linear(6, 6)), tdn.LeakyIntegrator()]
    x = 3 * torch.rand(50, 2, 4)
    first = layers[0](x)
    second = layers[2](layers[1](first))
    report = tdn.activity_report(wrap(*layers), x)
    assert [layer.kind for layer in report] == ["LIF", "Recurrent"]
    assert [layer.rate for layer in report] == pytest.approx([1000 * y.mean().item() for y in (first, second)])


def test_the_table_names_what_is_wrong():
    model = nn.Sequential(tdn.LIF(), tdn.LIF(v_th=100.0))
    model.unused = tdn.LIF()
    model.forward = lambda x: model[1](model[0](x))
    report = tdn.activity_report(model, torch.full((50, 1, 3), 1000.0))
    assert report.silent == ["1"]
    assert report.saturated == ["0"]
    lines = str(report).splitlines()
    assert lines[0].split() == ["layer", "class", "neurons", "Hz", "silent", "saturated", "scaled"]
    assert lines[1].split() == ["0", "LIF", "3", "1000.0", "0%", "100%", "SATURATED"]
    assert lines[2].split() == ["1", "LIF", "3", "0.0", "100%", "0%", "SILENT"]
    assert lines[3].split() == ["unused", "LIF", "-", "-", "-", "-", "NOT", "CALLED"]


def test_a_layer_that_runs_twice_is_shown_call_by_call():
    cell = tdn.LIF()
    model = nn.Sequential(cell, nn.Linear(3, 3), cell)
    x = 5 * torch.ones(40, 1, 3)
    first = model[0](x)
    second = cell(model[1](first))
    report = tdn.activity_report(model, x)
    assert [layer.name for layer in report] == ["0 (call 1)", "0 (call 2)"]
    assert report["0 (call 1)"].rate == pytest.approx(1000 * first.mean().item())
    assert report["0 (call 2)"].rate == pytest.approx(1000 * second.mean().item())
