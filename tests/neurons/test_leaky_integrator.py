"""The membrane without a threshold is a linear filter."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_is_the_discrete_filter_of_its_propagator():
    x = np.random.default_rng(0).normal(size=(80, 2, 3))
    y = tdn.LeakyIntegrator(7.0, R=2.0, v_rest=-3.0, dt=0.5).double()(torch.tensor(x))
    decay = np.exp(-0.5 / 7)
    assert_close(y, torch.tensor(-3 + lfilter([2 * (1 - decay)], [1, -decay], x, axis=0)))


@pytest.mark.parametrize("integrator", [tdn.Euler(), tdn.Heun(), tdn.Midpoint(), tdn.RK4(), tdn.ExponentialEuler()])
def test_every_integrator_approaches_the_step_response(integrator):
    y = tdn.LeakyIntegrator(10.0, integrator=integrator, dt=0.1).double()(torch.ones(300, 1, 1, dtype=torch.float64))
    t = 0.1 * torch.arange(1, 301, dtype=torch.float64)
    bound = {1: 0.1 / 20, 2: 1e-5, 4: 1e-9}[integrator.order]
    assert (y.flatten() - (1 - torch.exp(-t / 10))).abs().max() < bound


def test_learned_quantities_pass_gradcheck():
    def run(x, tau, R, v_rest):
        module = tdn.LeakyIntegrator(tdn.Learned(8.0), R=tdn.Learned(1.5), v_rest=tdn.Learned(0.3)).double()
        values = {"tau_mem.raw": tau, "R.raw": R, "v_rest.raw": v_rest}
        return torch.func.functional_call(module, values, (x,))

    raw = [torch.tensor(0.1 * k, dtype=torch.float64, requires_grad=True) for k in range(3)]
    x = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *raw))
