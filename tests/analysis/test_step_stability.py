"""What a step of an integrator does beside the equation."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import Rate, ei_network
from torchdyn_neuro.analysis import fixed_point, step_stability

ZERO = torch.zeros(1)
TURN = torch.tensor([[-0.1, -1.0], [1.0, -0.1]], dtype=torch.float64)


def decay(x):
    return -0.5 * x


@pytest.mark.parametrize(
    ("integrator", "dt", "verdict", "factor"),
    [
        (tdn.Euler(), 1.0, "faithful", 0.5),
        (tdn.Euler(), 3.0, "false oscillation", -0.5),
        (tdn.Euler(), 5.0, "unstable step", -1.5),
        (tdn.RK4(), 1.0, "faithful", 1 - 0.5 + 0.125 - 0.125 / 6 + 0.0625 / 24),
        (tdn.Midpoint(), 5.0, "unstable step", 1 - 2.5 + 3.125),
    ],
)
def test_a_decay(integrator, dt, verdict, factor):
    found = step_stability(decay, ZERO, integrator=integrator, dt=dt)
    assert found.verdict == verdict
    assert found.step.real.item() == pytest.approx(factor, rel=1e-12)
    assert found.equation.real.item() == pytest.approx(math.exp(-0.5 * dt), rel=1e-12)


def test_the_longest_step():
    """Euler: 2 Re / |lambda|^2, 2 / |lambda| for a real one; RK4: |lambda| dt = 2.78529..."""
    assert step_stability(decay, ZERO, integrator=tdn.Euler(), dt=1.0).longest == pytest.approx(4.0, rel=1e-9)
    assert step_stability(decay, ZERO, integrator=tdn.RK4(), dt=1.0).longest == pytest.approx(2.785293563 * 2, rel=1e-8)
    found = step_stability(lambda x: x @ TURN.T, torch.zeros(2), integrator=tdn.Euler(), dt=0.5)
    assert found.verdict == "unstable step"
    assert found.longest == pytest.approx(0.2 / 1.01, rel=1e-9)
    assert math.isnan(step_stability(lambda x: x, ZERO, integrator=tdn.Euler(), dt=1.0).longest)


def test_euler_makes_an_oscillation_that_the_network_has_not():
    """One inhibitory unit, r' = (-r + F(-20 r + 5)) / 10, with its own integrator and dt."""
    connection = torch.nn.Linear(1, 1, bias=False)
    connection.weight.data.fill_(-20.0)
    current = torch.full((1, 1), 5.0)
    verdicts = {}
    for dt in (1.0, 3.0, 5.0):
        network = tdn.Network(Rate(integrator=tdn.Euler(), dt=dt), connection)
        x = fixed_point(network, torch.full((1,), 0.2), input=current)
        found = step_stability(network, x, input=current)
        verdicts[dt] = found.verdict
        slope = (x * (1 - x)).item() * -20
        assert found.step.real.item() == pytest.approx(1 + dt * (slope - 1) / 10, rel=1e-9)
        # The network itself: from beside the fixed point.
        with tdn.backend("eager"):
            run, _ = network.scan(current.expand(150, 1, 1), network.initial_state(current))
        swings = run[-50:].max() - run[-50:].min() > 1e-3
        assert swings == (found.verdict == "unstable step")
    assert verdicts[1.0] == "faithful"
    assert set(verdicts.values()) == {"faithful", "false oscillation", "unstable step"}


def test_exponential_euler_of_a_network():
    """In a network it takes the coupling from the start of the step: it can hide what grows, and make grow."""
    network, current = ei_network()
    network.neuron.integrator = tdn.ExponentialEuler()
    x = fixed_point(network, torch.tensor([0.3, 0.4]), input=current)
    found = step_stability(network, x, input=current, dt=0.01)
    assert found.verdict == "faithful"
    torch.testing.assert_close(found.step.abs(), found.equation.abs(), rtol=1e-4, atol=0)


def test_wrong_use():
    with pytest.raises(ValueError, match="an integrator and a step"):
        step_stability(decay, ZERO)
    with pytest.raises(ValueError, match="expected a fixed point, got a state that changes"):
        step_stability(decay, ZERO + 1, integrator=tdn.Euler(), dt=1.0)
    with pytest.raises(ValueError, match="method relaxation"):
        step_stability(decay, ZERO, integrator=tdn.ExponentialEuler(), dt=1.0)
