"""The examples of learning rules find what their docstrings promise."""

import numpy as np
import pytest
import torch

from .loading import load


def test_song_miller_abbott_2000(picture):
    figures = load("papers/Song_Miller_Abbott_2000").main(picture)
    shares = np.array(figures["shares"])
    assert shares.sum() == pytest.approx(1)
    assert min(shares[:2].sum(), shares[-2:].sum()) > 0.2  # of 0.1 per tenth if spread out
    assert shares[4:6].sum() < 0.15
    assert 10 < figures["rate"] < 120
    assert figures["before"] - figures["after"] > 3
    assert figures["early"] - figures["late"] > 0.6


def triplet_change(pre, post, A2_plus, A3_plus, A2_minus, A3_minus, tau_x, tau_y):
    """Pfister & Gerstner (2006), eqs. 3 and 4, all spikes, by sums over pairs of times."""

    def trace(times, at, tau):
        lag = np.subtract.outer(at, times)
        return np.where(lag > 0, np.exp(-np.abs(lag) / tau), 0).sum(1)

    up = trace(pre, post, 16.8) * (A2_plus + A3_plus * trace(post, post, tau_y))
    return up.sum() - (trace(post, pre, 33.7) * (A2_minus + A3_minus * trace(pre, pre, tau_x))).sum()


def test_pfister_gerstner_2006(picture):
    figures = load("papers/Pfister_Gerstner_2006").main(picture)
    cortex, hippocampus = (figures["changes"][tissue] for tissue in ("visual cortex", "hippocampus"))
    values = (5e-10, 6.2e-3, 7e-3, 2.3e-4, 101, 125)  # Table 3, all spikes, full
    starts = {rate: np.arange(60) * 1000 / rate for rate in (0.1, 10, 20, 40, 50)}
    expected = [triplet_change(at, at + 10, *values) for at in starts.values()]
    expected += [triplet_change(at + 10, at, *values) for at in starts.values()]
    assert cortex["all/full"] == pytest.approx(expected, abs=1e-6)
    values, at = (6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946, 27), np.arange(60) * 1000.0  # Table 4, all spikes, full
    outer, inner = (10, 20, 20, 20), (5, 10, 15, 5)
    expected = [triplet_change(np.sort([*at, *(at + b)]), at + a, *values) for a, b in zip(inner, outer, strict=True)]
    inner = (5, 10, 5, 15)
    expected += [triplet_change(at + a, np.sort([*at, *(at + b)]), *values) for a, b in zip(inner, outer, strict=True)]
    assert hippocampus["all/full"] == pytest.approx(expected, abs=1e-9)
    for fits in figures["errors"].values():
        assert min(fits["pairs"] / error for name, error in fits.items() if name != "pairs") > 2


def test_vogels_2011(picture):
    figures = load("papers/Vogels_2011").main(picture)
    assert figures["rates"][0] > 30
    assert np.mean(figures["rates"][-5:]) == pytest.approx(10, rel=0.2)
    assert figures["tuned"] > 0.9
    assert figures["follows"][1] > figures["follows"][0] + 0.1
    assert figures["cv"] > 0.7


def test_fremaux_2010(picture):
    figures = load("papers/Fremaux_2010").main(picture)
    centred, raw = figures["reward less expectation"], figures["reward alone"]
    assert centred["first"] < 0.7  # of two actions, chance is a half
    assert centred["last"] > 0.85
    assert raw["last"] < centred["last"] - 0.2


def test_diehl_cook_2015(picture):
    """A smaller network after one passage; that of the script reaches 88 %."""
    figures = load("papers/Diehl_Cook_2015").main(picture, cells=60, epochs=1, least=0.65)
    names = figures["names"]
    assert figures["accuracy"][0] >= 0.65
    assert ((names > 0).sum(0) > 0).all()  # every digit has a neuron
    assert torch.allclose(figures["weight"].sum(1), torch.tensor(6.4), rtol=1e-4)


def test_masquelier_2008(picture):
    """Fewer neurons for a shorter time than in the script."""
    figures = load("papers/Masquelier_2008").main(picture, seconds=12, rows=8, least=1)
    assert (figures["hit"][0] == 1).all()  # by firing all the time
    assert (figures["others"][0] > 30).all()
    assert figures["others"][-1].float().mean() < 10
    early, late = figures["latency"]
    assert late < 0.8 * early
