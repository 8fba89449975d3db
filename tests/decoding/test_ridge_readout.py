"""Ridge regression against its normal equations."""

import numpy as np
import pytest
import torch

from torchdyn_neuro.decoding import ridge_readout


def test_it_solves_the_normal_equations():
    generator = torch.Generator().manual_seed(0)
    x = 2 + torch.randn(20, 5, 7, generator=generator)
    y = torch.randn(20, 5, 3, generator=generator)
    layer = ridge_readout(x, y, alpha=2.0)
    X, Y = x.reshape(-1, 7).numpy().astype(float), y.reshape(-1, 3).numpy().astype(float)
    centred = X - X.mean(0)
    W = np.linalg.solve(centred.T @ centred + 2 * np.eye(7), centred.T @ (Y - Y.mean(0))).T
    assert layer.weight.detach().numpy() == pytest.approx(W, abs=1e-5)
    assert layer.bias.detach().numpy() == pytest.approx(Y.mean(0) - W @ X.mean(0), abs=1e-5)
    assert layer.weight.requires_grad


def test_labels_become_classes_and_one_target_stays_one():
    x = torch.eye(3, dtype=torch.float64).repeat(4, 1)
    labels = torch.tensor([0, 2, 1]).repeat(4)
    layer = ridge_readout(x, labels, alpha=1e-6)
    assert layer.weight.dtype == torch.float64
    assert torch.equal(layer(x).argmax(1), labels)
    assert ridge_readout(x, x[:, :1]).weight.shape == (1, 3)


def test_wrong_use():
    x = torch.rand(10, 3)
    with pytest.raises(ValueError, match=r"ridge_readout: expected targets for states \(10, 3\).*got \(9,\)"):
        ridge_readout(x, torch.zeros(9, dtype=torch.long))
    with pytest.raises(ValueError, match=r"ridge_readout: expected targets for states .* in torch\.float32; pass one"):
        ridge_readout(x, torch.rand(10))
    with pytest.raises(ValueError, match="ridge_readout: expected labels from 0, got -1"):
        ridge_readout(x, torch.full((10,), -1))
    with pytest.raises(ValueError, match="ridge_readout: expected states that are finite"):
        ridge_readout(x * torch.nan, x)
    with pytest.raises(TypeError, match=r"ridge_readout: expected states .* of floats"):
        ridge_readout(x.long(), x)
    with pytest.raises(TypeError, match="ridge_readout: expected targets as a tensor, got list"):
        ridge_readout(x, [1.0])
    with pytest.raises(ValueError, match="alpha"):
        ridge_readout(x, x, alpha=0.0)
