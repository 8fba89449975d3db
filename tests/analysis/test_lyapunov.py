"""Lyapunov exponents of a map and of a flow that are known."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import hopf_form, lorenz
from torchdyn_neuro.analysis import lyapunov_spectrum


def test_the_logistic_map():
    start = torch.linspace(0.11, 0.87, 200, dtype=torch.float64)[:, None]
    found = lyapunov_spectrum(lambda x: 4 * x * (1 - x), start, kind="map", duration=200, settle=20)
    assert found.mean().item() == pytest.approx(math.log(2), rel=0.02)


def test_the_lorenz_flow():
    """0.9056, 0, -14.572 (Sprott 2003); their sum is the trace, -(10 + 1 + 8 / 3)."""
    torch.manual_seed(0)
    start = torch.randn(200, 3, dtype=torch.float64) * 5 + torch.tensor([0.0, 0.0, 25.0])
    found = lyapunov_spectrum(lorenz, start, duration=21.0, settle=9.0, dt=0.015).mean(0)
    assert found.sum().item() == pytest.approx(-41 / 3, rel=1e-4)
    assert found[0].item() == pytest.approx(0.9056, rel=0.02)
    assert found[1].item() == pytest.approx(0.0, abs=0.02)
    assert found[2].item() == pytest.approx(-14.572, rel=0.02)


def test_a_cycle_and_the_first_exponents_alone():
    found = lyapunov_spectrum(
        hopf_form, torch.tensor([0.3, 0.0]), duration=100.0, settle=50.0, dt=0.2, parameters=(0.1, 0.5)
    )
    torch.testing.assert_close(found, torch.tensor([0.0, -0.2]).double(), rtol=1e-3, atol=1e-3)
    one = lyapunov_spectrum(
        lambda x: -x * torch.tensor([3.0, 1.0]).double(), torch.ones(2), duration=10.0, settle=10.0, count=1
    )
    assert one.tolist() == [pytest.approx(-1.0, rel=1e-4)]


def test_what_has_no_exponents_says_so():
    with pytest.raises(ValueError, match="run away"):
        lyapunov_spectrum(lambda x: x * x, torch.ones(1), duration=50.0, settle=0.0)
    with pytest.raises(ValueError, match="crossed it"):
        lyapunov_spectrum(tdn.LIF(), torch.zeros(1), input=torch.full((1, 1), 2.0), between_spikes=True, settle=60.0)
    with pytest.raises(ValueError, match="at most 1 exponents"):
        lyapunov_spectrum(lambda x: -x, torch.ones(1), count=2)
    with pytest.raises(ValueError, match="kind to be one of"):
        lyapunov_spectrum(lambda x: -x, torch.ones(1), kind="both")
