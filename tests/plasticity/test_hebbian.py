import math

import pytest
import torch

import torchdyn_neuro as tdn

ETA, ALPHA = 0.02, 2.0


@pytest.mark.parametrize("dt", [1.0, 7.5, 300.0])
def test_at_constant_rates_the_weight_is_their_product_over_alpha(dt):
    rule = tdn.Hebbian(ETA, alpha=ALPHA).double()
    pre, post, weight = (
        torch.full(shape, value).double() for shape, value in (((1, 1), 3), ((1, 1), 0.75), ((1, 1, 1), 5))
    )
    start, steady = 5.0, 3.0 * 0.75 / ALPHA
    for n in range(1, 5):
        weight, _ = rule.update(weight, tdn.Activity(pre, post, weight), (), dt)
        expected = steady + (start - steady) * math.exp(-ETA * ALPHA * dt * n)
        assert weight.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("pre", "grows"), [(1.3, False), (1.5, True)])
def test_in_a_closed_loop_it_diverges_where_the_input_squared_exceeds_alpha(pre, grows):
    """r_post = w r_pre gives dw/dt = eta (r_pre^2 - alpha) w, that is exp(eta (r_pre^2 - alpha) t)."""
    dt, steps = 0.05, 600
    plastic = tdn.Plastic(torch.nn.Linear(1, 1, bias=False), tdn.Hebbian(ETA, alpha=ALPHA), dt=dt).double()
    x = torch.full((1, 1), pre, dtype=torch.float64)
    with torch.no_grad():
        plastic.connection.weight.fill_(0.8)
        state = plastic.initial_state(x)
        for _ in range(steps):
            y, state = plastic.step(x, state)
            state = plastic.learn(x, y, state)
    expected = 0.8 * math.exp(ETA * (pre**2 - ALPHA) * steps * dt)
    assert (expected > 0.8) == grows
    assert state.weight.item() == pytest.approx(expected, rel=1e-3)  # first order: the rates move during a step


@pytest.mark.parametrize(("pre", "grows"), [(1.3, False), (1.5, True)])
def test_a_chain_closes_that_loop(pre, grows):
    """Each step multiplies the weight by 1 + (1 - exp(-eta alpha dt)) (r_pre^2 / alpha - 1)."""
    fast = tdn.LeakyIntegrator(0.02)  # it follows its input at once
    net = tdn.Chain(tdn.Plastic(torch.nn.Linear(1, 1, bias=False), tdn.Hebbian(ETA, alpha=ALPHA)), fast).double()
    torch.nn.init.constant_(net[0].connection.weight, 0.8)
    with torch.no_grad():
        _, (state, _) = net.scan(torch.full((100, 1, 1), pre, dtype=torch.float64))
    expected = 0.8 * (1 + (1 - math.exp(-ETA * ALPHA)) * (pre**2 / ALPHA - 1)) ** 100
    assert (expected > 0.8) == grows
    assert state.weight.item() == pytest.approx(expected, rel=1e-12)
