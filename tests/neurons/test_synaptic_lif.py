"""The post-synaptic potential against its closed form, also where the two time constants meet."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp
from torch.testing import assert_close

import torchdyn_neuro as tdn


def psp(t, tau_mem, tau_syn, weight):
    """Potential at ``t`` after a jump of ``weight`` in the synaptic current."""
    if tau_mem == tau_syn:
        return weight * t / tau_mem * torch.exp(-t / tau_mem)
    rise = torch.exp(-t / tau_mem) - torch.exp(-t / tau_syn)
    return weight * tau_syn / (tau_mem - tau_syn) * rise


@pytest.mark.parametrize("taus", [(20.0, 5.0), (5.0, 20.0), (10.0, 10.0), (8.0, 8.0 + 1e-3), (3.0, 90.0)])
@pytest.mark.parametrize("dt", [0.1, 1.0, 6.0])
def test_potential_after_one_spike(taus, dt):
    x = torch.zeros(40, 1, 1, dtype=torch.float64)
    x[3] = 0.6
    tau_mem, tau_syn = (torch.tensor(tau, dtype=torch.float64) for tau in taus)
    v = tdn.record(tdn.SynapticLIF(tau_mem, tau_syn, dt=dt).double(), x, ["v"])["v"].flatten()
    t = dt * (torch.arange(40, dtype=torch.float64) - 3).clamp(min=0)
    assert (v > 0).any()
    assert_close(v, psp(t, *taus, 0.6), rtol=0, atol=1e-9)


def test_gradient_at_equal_time_constants():
    steps, tau = 25, 10.0
    cell = tdn.SynapticLIF(tdn.Learned(tau), tdn.Learned(tau)).double()
    x = torch.zeros(steps + 1, 1, 1, dtype=torch.float64)
    x[0] = 0.6
    # The surrogate is not zero below threshold: only without the path through the reset is the gradient analytic.
    _, state = cell.scan(x)
    state.v.sum().backward()
    # v = w ts / (tm - ts) (exp(-t/tm) - exp(-t/ts)); limits of its derivatives at tm = ts = tau, with z = t / tau.
    z = steps / tau
    by_membrane = 0.6 * math.exp(-z) * (z**2 / 2 - z) / tau
    by_synapse = 0.6 * math.exp(-z) * z**2 / 2 / tau
    assert_close(cell.tau_mem.raw.grad.item() / tau, by_membrane)
    assert_close(cell.tau_syn.raw.grad.item() / tau, by_synapse)


def test_current_and_refractory_period():
    cell = tdn.SynapticLIF(10.0, 5.0, t_ref=4.0, reset="value", v_reset=-0.3)
    x = torch.zeros(30, 1, 1)
    x[0] = 6.0
    seen = tdn.record(cell, x, ["v", "s", "output"])
    first = seen["output"].flatten().nonzero()[0].item()
    assert_close(seen["v"][first : first + 5].flatten(), torch.full((5,), -0.3))
    assert seen["v"][first + 5] != -0.3
    assert_close(seen["s"].flatten(), 6 * torch.exp(-torch.arange(30.0) / 5))


@pytest.mark.parametrize(
    "integrator", [tdn.Euler(), tdn.Heun(), tdn.Midpoint(), tdn.RK4(), tdn.ExponentialEuler(), tdn.Exact(substeps=3)]
)
def test_every_integrator_approaches_the_solution(integrator):
    cell = tdn.SynapticLIF(10.0, 4.0, R=2.0, v_rest=-1.0, v_th=9.0, integrator=integrator, dt=0.05).double()
    state = cell.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    state = state._replace(v=state.v + 3, s=state.s + 2)
    _, state = cell.scan(torch.zeros(200, 1, 1, dtype=torch.float64), state)
    truth = solve_ivp(lambda t, y: [(-(y[0] + 1) + 2 * y[1]) / 10, -y[1] / 4], (0, 10), [2, 2], rtol=1e-11, atol=1e-12)
    bound = {1: 2e-2, 2: 1e-4, 4: 1e-8}[integrator.order]
    assert abs(state.v.item() - truth.y[0, -1]) < (1e-9 if isinstance(integrator, tdn.Exact) else bound)
