"""Leaky integrate-and-fire neuron with an excitatory and an inhibitory current."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def response(t, tau_mem, tau):
    """Potential t after an arrival of weight 1: the current exp(-t/tau) against the leak."""
    if tau == tau_mem:
        return t / tau * math.exp(-t / tau)
    return tau / (tau_mem - tau) * (math.exp(-t / tau_mem) - math.exp(-t / tau))


@pytest.mark.parametrize("taus", [(20.0, 5.0, 10.0), (10.0, 10.0, 3.0), (8.0, 2.0, 8.0)])
@pytest.mark.parametrize("dt", [0.5, 2.0])
def test_potentials_are_exact_at_any_step(taus, dt):
    """One arrival of each kind and a constant current: the sum of three closed forms."""
    tau_mem, tau_exc, tau_inh = taus
    cell = tdn.TwoSynapseLIF(*taus, R=2.0, I_e=0.05, v_rest=-1.0, v_th=9.0, dt=dt).double()
    x = torch.zeros(2, 20, 1, 1, dtype=torch.float64)
    x[0, 2], x[1, 4] = 0.7, -0.4
    v = tdn.record(cell, (x[0], x[1]), ["v"])["v"].flatten()
    for n in range(20):
        t = (n + 1) * dt
        expected = -1.0 + 2.0 * 0.05 * (1 - math.exp(-t / tau_mem))
        for tau, weight, at in ((tau_exc, 0.7, 3), (tau_inh, -0.4, 5)):
            if n + 1 > at:
                expected += 2.0 * weight * response(t - at * dt, tau_mem, tau)
        assert v[n].item() == pytest.approx(expected, abs=1e-12)


def test_equal_time_constants_are_the_cell_with_one_current():
    x = 3 * torch.rand(60, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    both = (x, -0.4 * x.flip(0))
    spikes = tdn.TwoSynapseLIF(20.0, 5.0, 5.0).double()(both)
    assert spikes.sum() > 20
    assert torch.equal(spikes, tdn.SynapticLIF(20.0, 5.0).double()(both[0] + both[1]))
    assert torch.equal(spikes, tdn.TwoSynapseLIF(20.0, 5.0, 5.0).double()(torch.stack(both, 2)))


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.ExponentialEuler, 1)])
def test_integrators_converge_to_the_exact_solution(method, order):
    def end(integrator, dt):
        cell = tdn.TwoSynapseLIF(integrator=integrator, v_th=99.0, I_e=0.1, dt=dt).double()
        x = torch.zeros(round(16 / dt), 1, 1, dtype=torch.float64)
        x[0] = 1.0
        return tdn.record(cell, (x, -x), ["v"])["v"][-1].item()

    errors = []
    for dt in (0.5, 0.25):
        errors.append(abs(end(method(), dt) - end(tdn.Exact(), dt)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_a_constant_current_fires_at_the_rate_of_the_formula():
    tau, current, dt = 10.0, 1.5, 0.05
    cell = tdn.TwoSynapseLIF(tau, I_e=current, reset="value", t_ref=2.0, dt=dt).double()
    nothing = torch.zeros(8000, 1, 1, dtype=torch.float64)
    interval = cell((nothing, nothing)).flatten().nonzero().flatten().diff().double().mean().item() * dt
    assert 0 <= interval - (2.0 + tau * math.log(current / (current - 1))) < dt


def test_gradients_at_equal_time_constants():
    def run(tau_exc, tau_inh, x):
        cell = tdn.TwoSynapseLIF(10.0, v_th=99.0).double()
        cell.tau_exc.bound, cell.tau_inh.bound = tau_exc, tau_inh
        with tdn.backend("eager"):
            return cell.scan((x, -x))[1].v

    taus = [torch.tensor(10.0, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(run, (*taus, torch.rand(5, 1, 2, dtype=torch.float64, requires_grad=True)))


def test_feedback_reaches_the_current_that_is_named():
    x = (torch.full((80, 1, 2), 0.3), torch.zeros(80, 1, 2))
    strong = tdn.OneToOne(2, weight=-2.0)
    alone = tdn.TwoSynapseLIF()(x).sum()
    assert tdn.Network(tdn.TwoSynapseLIF(), strong, input=1)(x).sum() < alone
    assert_close(tdn.Network(tdn.TwoSynapseLIF(), tdn.OneToOne(2, weight=0.0), input=1)(x).sum(), alone)


def test_one_part_alone_is_refused():
    with pytest.raises(ValueError, match=r"expected \(excitation, inhibition\), .* got shape \(5, 1, 3\)"):
        tdn.TwoSynapseLIF()(torch.zeros(5, 1, 3))
    with pytest.raises(ValueError, match="got 1 parts; pass both"):
        tdn.TwoSynapseLIF()((torch.zeros(5, 1, 3),))
