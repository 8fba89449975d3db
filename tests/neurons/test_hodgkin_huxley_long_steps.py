"""A step longer than a spike: the substeps of the integrator see it."""

import torch

import torchdyn_neuro as tdn

SUBSTEPS = 10


def cell(dt, substeps):
    return tdn.HodgkinHuxley(dt=dt, integrator=tdn.ExponentialEuler(substeps=substeps)).double()


def test_no_spike_is_missed_and_none_is_counted_twice():
    current = torch.linspace(4.0, 40.0, 7, dtype=torch.float64).reshape(1, 1, 7).expand(200, 1, 7)
    fine, fine_state = cell(0.1, 1).scan(current.repeat_interleave(SUBSTEPS, 0))
    coarse, coarse_state = cell(1.0, SUBSTEPS).scan(current)
    assert (fine.sum(0) >= torch.tensor([1.0, 1, 12, 12, 12, 12, 12])).all()
    # Both take the same small steps; a step of 1 ms spikes where one of its ten does.
    assert torch.equal(coarse, fine.unflatten(0, (200, SUBSTEPS)).amax(1))
    torch.testing.assert_close(coarse_state, fine_state)
    sampled = cell(1.0, SUBSTEPS)
    v = tdn.record(sampled, current, ["v"])["v"]
    crossings = ((v[1:] >= 0) & (v[:-1] < 0)).sum()
    assert crossings < 0.9 * coarse.sum()  # the potential at the ends of the steps alone would show fewer


def test_fused_equals_eager_in_value_and_gradient():
    torch.manual_seed(0)
    x, results = 30 * torch.rand(40, 2, 3, dtype=torch.float64), []
    for backend in ("eager", "auto"):
        leaf = x.clone().requires_grad_()
        with tdn.backend(backend):
            y = cell(1.0, SUBSTEPS)(leaf)
        results.append((y, torch.autograd.grad(y.cumsum(0).sum(), leaf)[0]))
    assert results[0][0].sum() > 3
    assert results[0][1].abs().max() > 0
    assert torch.equal(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-10, atol=1e-12)
