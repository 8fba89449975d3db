"""Operations counted one by one, in plain loops, and their energy."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.metrics import EfficiencyCounter, efficiency_report


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def spikes(*shape, share=0.3):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(0)) < share).float()


def test_linear_layers_by_hand():
    """3 inputs of 0.5 for 10 steps: 3 x 5 MAC each; the spikes of the cell meet 2 weights each."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), tdn.LIF(2.0), nn.Linear(5, 2), tdn.LeakyIntegrator())
    nn.init.uniform_(model[0].weight, 1.0, 4.0)
    x = torch.full((10, 4, 3), 0.5)
    fired = model[:2](x).sum().item()
    report = efficiency_report(model, x)
    assert fired > 10
    assert (report["0"].multiply_accumulates, report["0"].accumulates, report["0"].dense) == (150.0, 0.0, 15.0)
    assert (report["2"].multiply_accumulates, report["2"].accumulates) == (0.0, pytest.approx(2 * fired / 4))
    assert report.spikes == pytest.approx(fired / 4)
    assert report.dense == 25
    assert report.energy() == pytest.approx((150 * 4.6 + 2 * fired / 4 * 0.9) / 1000)
    assert report.energy(multiply_accumulate=2.0, accumulate=1.0) == pytest.approx((300 + 2 * fired / 4) / 1000)
    assert "nJ for each sample" in str(report)
    assert (len(report), report.left_out) == (2, [])


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_by_hand(groups):
    """Each spike meets the weights of the outputs whose window holds it: fewer at the border."""
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=groups)
    x = spikes(3, 2, 2, 5, 6)
    expected = 0
    for step, row, channel, i, j in torch.nonzero(x).tolist():
        del step, row, channel
        windows = sum(abs(2 * a - i) <= 1 and abs(2 * b - j) <= 1 for a in range(3) for b in range(3))
        expected += windows * 4 // groups
    report = efficiency_report(tdn.Stepwise(layer), x)
    assert report["module"].accumulates == expected / 2
    assert efficiency_report(tdn.Chain(layer), x)["0"].accumulates == expected / 2


def test_absent_weights_and_counts():
    layer = nn.Linear(4, 6, bias=False)
    tdn.sparse(layer, 0.5)
    present = (layer.weight != 0).sum(0)
    x = torch.tensor([2.0, 0.0, 1.0, 3.0]).expand(5, 1, 4)
    assert efficiency_report(layer, x)[""].accumulates == 5 * float((present * x[0, 0]).sum())


RECURRENT = {
    "Recurrent": lambda: tdn.Recurrent(tdn.LIF(2.0), nn.Linear(5, 5)),
    "in a Chain": lambda: tdn.Chain(tdn.Recurrent(tdn.LIF(2.0), nn.Linear(5, 5))),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_what_is_fed_back_counts(name):
    torch.manual_seed(0)
    model, x, lengths = RECURRENT[name](), 4 * torch.rand(9, 3, 5), torch.tensor([9, 2, 5])
    y = model(x)
    assert y.sum() > 5
    report = efficiency_report(model, x)
    (layer,) = report
    assert layer.accumulates == pytest.approx(5 * y[:-1].sum().item() / 3)
    with tdn.padded(lengths):
        (layer,) = efficiency_report(model, x)
    fed_back = sum(y[: length - 1, row].sum().item() for row, length in enumerate(lengths))
    assert layer.accumulates == pytest.approx(5 * fed_back / 3)


@pytest.mark.parametrize(
    ("layer", "fan_out"),
    [
        (lambda: tdn.DelayedLinear(4, 3, 2.0), 3),
        (lambda: tdn.EventLinear(4, 3), 3),
        (lambda: tdn.DaleLinear(3, 1, 2), 2),
        (lambda: tdn.OneToOne(4), 1),
        (lambda: tdn.Chain(tdn.Plastic(nn.Linear(4, 3), tdn.Hebbian(0.01)), tdn.LIF()), 3),
    ],
)
def test_layers_of_this_library(layer, fan_out):
    x = spikes(6, 2, 4)
    report = efficiency_report(layer(), x)
    assert report.accumulates == fan_out * x.sum().item() / 2


def test_padding_costs_nothing():
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), tdn.Unfolded(tdn.LIF(2.0)), nn.Flatten(), nn.Linear(8, 2))
    nn.init.uniform_(conv[0].weight, 0.0, 0.5)
    model = nn.Sequential(tdn.Stepwise(conv), tdn.LeakyIntegrator())
    x, lengths = 6 * torch.rand(7, 2, 1, 4, 4), torch.tensor([7, 3])
    alone = [efficiency_report(model, x[:length, row : row + 1]) for row, length in enumerate(lengths)]
    with tdn.padded(lengths):
        report = efficiency_report(model, x)
    assert report.spikes == sum(each.spikes for each in alone) / 2 > 0
    for name in ("0.module.0", "0.module.3"):
        assert report[name].accumulates == sum(each[name].accumulates for each in alone) / 2
        assert report[name].multiply_accumulates == sum(each[name].multiply_accumulates for each in alone) / 2


def test_several_batches_and_what_is_not_counted():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Bilinear(4, 4, 2))
    front = model[:2]
    counter = EfficiencyCounter(front)
    with counter:
        front(torch.rand(3, 5, 4))
        front(torch.rand(6, 1, 4))
    assert counter.report().multiply_accumulates == 16 * (3 * 5 + 6) / 6
    front(torch.rand(3, 5, 4))
    assert counter.samples == 6
    assert EfficiencyCounter(model).report().left_out == ["2"]
    assert "not counted: 2" in str(EfficiencyCounter(model).report())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return x @ self.linear.weight


def test_what_is_used_in_another_way_is_told():
    assert efficiency_report(Tied(), torch.rand(3, 5, 4)).left_out == ["linear (not called)"]
    attention = tdn.layers.SpikingSelfAttention(4, 2)
    assert efficiency_report(attention, spikes(3, 2, 4, 5)).left_out == ["(model)"]
