"""Limit cycles against SciPy and formulas; what a kick does to their phase."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn
from tests.analysis.systems import EI, differences, ei_network, ei_pair, gradient, hopf_form, lorenz, van_der_pol
from torchdyn_neuro.analysis import limit_cycle, phase_response, trajectory

START = torch.tensor([1.0, 0.0])


def scipy_period(mu: float) -> float:
    def crossing(t, y):
        return y[0]

    crossing.direction = 1
    run = solve_ivp(
        lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]],
        (0, 60),
        [1.0, 0.0],
        rtol=1e-10,
        atol=1e-12,
        events=crossing,
        method="DOP853",
    )
    return np.diff(run.t_events[0])[-1]


@pytest.mark.parametrize("mu", [0.5, 3.0])
def test_period_against_scipy(mu):
    cycle = limit_cycle(van_der_pol, START, settle=20.0, parameters=(mu,))
    assert cycle.period.item() == pytest.approx(scipy_period(mu), rel=1e-8)
    assert cycle.frequency.item() == pytest.approx(1000 / scipy_period(mu), rel=1e-8)
    assert cycle.stable
    assert cycle.error < 1e-8


def test_states_and_multipliers_of_the_normal_form():
    """radius sqrt(mu); deviations of the radius fall as exp(-2 mu T)."""
    at = {"parameters": (0.04, 0.5)}
    cycle = limit_cycle(hopf_form, torch.tensor([0.1, 0.0]), settle=100.0, **at)
    torch.testing.assert_close(
        cycle.states.norm(dim=-1), torch.full((len(cycle.states),), 0.2, dtype=torch.float64), rtol=1e-9, atol=0
    )
    assert cycle.period.item() == pytest.approx(4 * math.pi, rel=1e-10)
    assert cycle.multipliers[0].real.item() == pytest.approx(1.0, abs=1e-7)
    assert cycle.multipliers[1].real.item() == pytest.approx(math.exp(-2 * 0.04 * 4 * math.pi), rel=1e-6)
    torch.testing.assert_close(cycle.amplitude, torch.full((2,), 0.2, dtype=torch.float64), rtol=1e-4, atol=0)
    torch.testing.assert_close(cycle.high, -cycle.low, rtol=1e-4, atol=0)


def test_gradient_of_a_period():
    def period(mu):
        return limit_cycle(van_der_pol, START, settle=20.0, parameters=(mu,)).period

    assert gradient(period, 1.0) == pytest.approx(differences(period, 1.0, 1e-3), rel=1e-5)


def test_gradients_of_a_network_s_period_and_amplitude():
    """Into the module's own parameters."""
    network, current = ei_network(tau=tdn.Learned(10.0))
    start = torch.tensor([0.1, 0.1])
    cycle = limit_cycle(network, start, settle=120.0, input=current)
    cycle.period.backward()
    assert network.neuron.tau.raw.grad.item() == pytest.approx(cycle.period.item(), rel=1e-6)  # T is as tau

    def of_weight(w, which):
        found = limit_cycle(ei_pair, start, settle=120.0, parameters=(w, *EI[1:]))
        return found.period if which == "period" else found.high[0]

    slope = differences(lambda w: of_weight(w, "period"), 16.0, 1e-3)
    assert network.connection.weight.grad[0, 0].item() == pytest.approx(slope, rel=1e-5)
    # The largest value is between phases: found to the fineness of the grid.
    assert gradient(lambda w: of_weight(w, "high"), 16.0) == pytest.approx(
        differences(lambda w: of_weight(w, "high"), 16.0, 1e-2), rel=1e-3
    )


def test_what_has_no_cycle_says_so():
    with pytest.raises(ValueError, match=r"at rest after .* at \[0\.0"):
        limit_cycle(lambda x: -x, torch.ones(2), settle=20.0)
    with pytest.raises(ValueError, match="runs away"):
        limit_cycle(lambda x: x * x, torch.ones(1), settle=20.0)
    with pytest.raises(ValueError, match="reaches it"):
        limit_cycle(tdn.LIF(), torch.zeros(1), input=torch.full((1, 1), 2.0), between_spikes=True)
    with pytest.raises(ValueError, match="one system and one start"):
        limit_cycle(hopf_form, torch.ones(3, 2), parameters=(0.1, 0.5))


def test_chaos_is_no_cycle():
    """It comes back now and then, by one of the unstable cycles in the attractor."""
    with pytest.raises(ValueError, match="expected a"):
        limit_cycle(lorenz, torch.tensor([1.0, 1.0, 20.0]), settle=10.0)


def test_a_cycle_of_several_peaks_is_one_cycle():
    """The largest variable goes up three times in a period: it comes back after the third."""

    def nested(x):
        u, v, y = x.unbind(-1)
        follows = 20 * (u**3 - 3 * u * v**2) + 5 * u - y
        return torch.cat([hopf_form(x[..., :2], 1.0, 0.3), follows[..., None]], -1)

    cycle = limit_cycle(nested, torch.full((3,), 0.3), settle=100.0)
    assert cycle.period.item() == pytest.approx(2 * math.pi / 0.3, rel=1e-6)


def test_phase_response_of_the_normal_form():
    """Isochrons are rays: a kick along the tangent by d at radius R advances by d / (omega R) ms."""
    at = {"parameters": (0.04, 0.5)}
    cycle = limit_cycle(hopf_form, torch.tensor([0.1, 0.0]), settle=100.0, **at)
    found = phase_response(hopf_form, cycle, **at)
    tangent = torch.stack([-cycle.states[:, 1], cycle.states[:, 0]], -1) / 0.2
    torch.testing.assert_close(found.response, tangent / (0.5 * 0.2), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="cycle of this system"):
        phase_response(hopf_form, cycle, parameters=(0.04, 0.9))


def test_phase_response_against_a_kick():
    """A small kick to one variable, and the shift of the cycle many periods later."""
    at = {"parameters": EI}
    cycle = limit_cycle(ei_pair, torch.tensor([0.1, 0.1]), settle=120.0, **at)
    found = phase_response(ei_pair, cycle, **at)
    places, kick = [20, 80], torch.tensor([1e-4, 0.0])
    states = cycle.states[places]
    start = torch.cat([states, states + kick])
    late = trajectory(ei_pair, start, [6 * cycle.period.item()], rtol=1e-10, atol=1e-12, **at)[-1]
    speed = ei_pair(late[:2], *EI)
    shift = ((late[2:] - late[:2]) * speed).sum(-1) / speed.square().sum(-1)
    torch.testing.assert_close(found.response[places, 0], shift / 1e-4, rtol=2e-3, atol=0)
