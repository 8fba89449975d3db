"""The examples of plasticity find what their docstrings promise: see :mod:`.test_examples`."""

import torch

from .loading import load


def test_diehl_cook_2015(picture):
    """A smaller network after one passage; that of the script reaches 88 %."""
    figures = load("papers/Diehl_Cook_2015").main(picture, cells=60, epochs=1, least=0.65)
    names = figures["names"]
    assert figures["accuracy"][0] >= 0.65
    assert ((names > 0).sum(0) > 0).all()  # every digit has a neuron
    assert torch.allclose(figures["weight"].sum(1), torch.tensor(6.4), rtol=1e-4)
