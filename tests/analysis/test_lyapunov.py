"""Lyapunov exponents of a map and of a flow that are known."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import differences, gradient, hopf_form, lorenz
from torchdyn_neuro.analysis import eigenvalues, fixed_point, lyapunov_spectrum


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


def test_what_is_no_map_is_not_iterated():
    unit = tdn.RateUnit()
    for system in (unit, tdn.analysis.as_field(unit, input=torch.zeros(1, 1))):
        at = {"input": torch.zeros(1, 1)} if system is unit else {}
        with pytest.raises(ValueError, match=r"kind='map' a function that returns the next state .* pass kind='flow'"):
            lyapunov_spectrum(system, torch.zeros(1, 1), kind="map", **at)
    with pytest.raises(ValueError, match=r"whole numbers of iterations, got 0 and 10.5"):
        lyapunov_spectrum(lambda x: 4 * x * (1 - x), torch.ones(1) / 3, kind="map", duration=10.5, settle=0)


def test_gradient_of_the_exponent_of_a_map():
    """On the cycle of two of r x (1 - x) it is ln|4 + 2 r - r^2| / 2."""

    def exponent(r):
        at = {"kind": "map", "duration": 20, "settle": 200, "parameters": (r,), "gradient": True}
        return lyapunov_spectrum(lambda x, r: r * x * (1 - x), torch.full((1,), 0.4), **at)[0]

    r = 3.3
    assert gradient(exponent, r) == pytest.approx((1 - r) / (4 + 2 * r - r * r), rel=1e-6)
    assert torch.func.grad(exponent)(torch.tensor(r).double()).item() == pytest.approx(gradient(exponent, r), rel=1e-6)


def test_gradient_of_the_exponents_of_flows():
    """At rest that of the eigenvalue, -1 + w (1 - r^2) with r = tanh(w r); on a cycle of the normal form 0, -2 mu."""

    def unit(r, w):
        return -r + torch.tanh(w * r)

    def eigenvalue(w):
        return eigenvalues(unit, fixed_point(unit, torch.ones(1), parameters=(w,)), parameters=(w,)).real[0]

    def exponent(w):
        given = {"duration": 2.0, "settle": 20.0, "dt": 0.2, "parameters": (w,), "gradient": True}
        return lyapunov_spectrum(unit, torch.full((1,), 0.8), **given)[0]

    assert gradient(exponent, 2.0) == pytest.approx(gradient(eigenvalue, 2.0), rel=1e-3)  # of so long a step
    assert gradient(exponent, 2.0) == pytest.approx(differences(exponent, 2.0), rel=1e-6)

    def across(mu):
        given = {"duration": 4 * math.pi, "settle": 40.0, "dt": math.pi / 25, "parameters": (mu, 0.5), "gradient": True}
        return lyapunov_spectrum(hopf_form, torch.tensor([0.5, 0.0]), **given)[1]

    assert gradient(across, 0.2) == pytest.approx(-2.0, rel=1e-3)


def test_a_gradient_that_is_not_there_is_refused():
    a = torch.tensor(0.5, requires_grad=True)
    found = lyapunov_spectrum(lambda x, a: -a * x, torch.ones(1), duration=5.0, settle=0.0, parameters=(a,))
    assert found.tolist() == pytest.approx([-0.5])
    with pytest.raises(ValueError, match=r"exponents with a gradient, .* pass gradient=True"):
        found.sum().backward()
    with torch.no_grad():
        assert not lyapunov_spectrum(lambda x, a: -a * x, torch.ones(1), duration=5.0, parameters=(a,)).requires_grad
    r = torch.tensor(4.0, requires_grad=True)
    at = {"kind": "map", "duration": 60, "settle": 0, "parameters": (r,), "gradient": True}
    wild = lyapunov_spectrum(lambda x, r: r * x * (1 - x), torch.full((1,), 0.3), **at)
    with pytest.raises(ValueError, match=r"where chaos leaves one, .* shorter duration"):
        wild.sum().backward()
