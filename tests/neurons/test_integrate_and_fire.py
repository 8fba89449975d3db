"""The perfect integrator: spikes count the input."""

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_spikes_count_the_charge():
    x = torch.tensor([0.25, 0.125, 0.5, 0.0]).expand(64, 2, -1)
    spikes, state = tdn.IF().scan(x)
    assert_close(spikes.sum(0)[0], torch.tensor([16.0, 8.0, 32.0, 0.0]))
    assert_close(spikes.sum(0) + state.v, x.sum(0))
    assert_close(spikes[:, 0, 0].nonzero().flatten(), torch.arange(3, 64, 4))


@pytest.mark.parametrize("integrator", [tdn.Euler(), tdn.Heun(), tdn.Midpoint(), tdn.RK4()])
def test_interval_scales_with_capacitance_and_refractory_period(integrator):
    cell = tdn.IF(C=2.0, v_rest=-1.0, v_th=1.0, v_reset=-2.0, reset="value", t_ref=3.0, dt=0.5, integrator=integrator)
    spikes = cell(torch.full((200, 1, 1), 1.0)).flatten().nonzero().flatten()
    # First from v_rest: 2 / (0.25 per step) = 8 steps; then from v_reset: 12 steps after 6 of refractoriness.
    assert spikes[0] == 7
    assert set(spikes.diff().tolist()) == {18}


def test_gradient_of_the_potential_is_dt_over_capacitance():
    x = torch.full((10, 1, 1), 0.05, requires_grad=True)
    _, state = tdn.IF(C=4.0, dt=0.5).scan(x)
    state.v.sum().backward()
    assert_close(x.grad, torch.full_like(x, 0.125))
