"""Where a result has no gradient, asking for one is refused."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import hopf_form
from torchdyn_neuro.analysis import (
    avalanche_sizes,
    cv,
    fano,
    isi,
    memory_capacity,
    nullclines,
    phase_plane,
    step_stability,
)

PLANE = {"x": (0, -1.0, 1.0), "y": (1, -1.0, 1.0), "points": 20}


@pytest.mark.parametrize(
    "measure",
    [isi, cv, lambda s: fano(s, window=5.0), lambda s: avalanche_sizes(s).durations],
    ids=["isi", "cv", "fano", "avalanche_sizes"],
)
def test_what_is_counted_of_spikes(measure):
    spikes = (torch.arange(60).reshape(20, 3) % 7 < 3).float()
    spikes[4] = 0
    spikes[12] = 0
    spikes.requires_grad_()
    found = measure(spikes)
    torch.testing.assert_close(found.detach(), measure(spikes.detach()), equal_nan=True)
    with pytest.raises(ValueError, match=r"expected to count spikes, got a gradient asked of their number or times"):
        found.nansum().backward()


def test_what_is_drawn():
    omega = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    at = {"parameters": (0.1, omega)}
    plane = phase_plane(hopf_form, **PLANE, starts=torch.ones(1, 2), times=[1.0], **at)
    for value in (plane.rates, plane.trajectories, plane.fixed_points, nullclines(hopf_form, **PLANE, **at).x[0]):
        with pytest.raises(ValueError, match=r"expected a picture without a gradient"):
            value.sum().backward()


def test_a_memory_is_measured():
    u = torch.randn(200, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with pytest.raises(ValueError, match=r"memory_capacity: expected a measure without a gradient"):
        memory_capacity(u, torch.stack([u, u.roll(1)], -1), longest=2).sum().backward()


def test_the_factors_of_a_step_have_a_gradient():
    """Of Euler 1 - a dt, of the equation exp(-a dt)."""
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    found = step_stability(lambda x, a: -a * x, torch.zeros(1), integrator=tdn.Euler(), dt=0.5, parameters=(a,))
    (step,) = torch.autograd.grad(found.step.real.sum(), a, retain_graph=True)
    (equation,) = torch.autograd.grad(found.equation.real.sum(), a)
    assert step.item() == pytest.approx(-0.5, rel=1e-12)
    assert equation.item() == pytest.approx(-0.5 * math.exp(-0.25), rel=1e-12)
