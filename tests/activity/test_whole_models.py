"""Spiking models of torchvision and torch, and a recurrent one: alive, the same in evaluation, learning."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import torchdyn_neuro as tdn

from .models import NAMES, spiking, vgg11

RATE = {"recurrent": 20.0, "transformer": 100.0, "vgg11": 200.0, "resnet18": 200.0}
RATE_OF_LEARNING = {"recurrent": 5e-2, "transformer": 5e-3, "vgg11": 1e-3, "resnet18": 1e-3}
LAYERS = {"recurrent": 1, "transformer": 2, "vgg11": 9, "resnet18": 17}


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_fires_evaluation_agrees_and_the_loss_falls(name):
    model, x = spiking(name)
    report = tdn.calibrate(model, x, rate=RATE[name])
    assert len(report) == LAYERS[name]
    assert not report.silent, report
    assert not report.saturated, report
    assert all(0.95 * RATE[name] <= layer.rate <= 1.1 * RATE[name] for layer in report), report

    labels = torch.arange(x.shape[1]) % 4
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE_OF_LEARNING[name])
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x).mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0], losses

    # Norms over the batch differ by their own definition: with running statistics in both, nothing else may.
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    trained = model(x).detach()
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x), trained)
    assert not tdn.activity_report(model, x).silent


def test_without_calibration_vgg11_is_dead():
    model, x = spiking("vgg11")
    before = tdn.activity_report(model, x)
    assert len(before.silent) >= 7, before
    y = model(x)
    torch.testing.assert_close(y, y[:, :1].expand_as(y))  # one output for all samples


def test_full_vgg11():
    torch.manual_seed(0)
    model = vgg11(1)
    names = tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0, verbose=False)
    assert len(names) == 9
    report = tdn.calibrate(tdn.Stepwise(model), torch.rand(2, 3, 32, 32).expand(4, 2, 3, 32, 32), rate=200.0)
    assert not report.silent
    assert all(190 <= layer.rate <= 220 for layer in report), report
