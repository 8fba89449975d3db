"""Gradients of spike times against closed forms, EventProp off any grid, and finite differences."""

import math

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from tests.networks.event_prop import EventNetwork
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikeSource, SpikingNetwork

DOUBLE = {"dtype": torch.float64}
EXACT = {"gradient": "spike_times", "times": True}


def driven(cell: tdn.core.Dynamics, *drives: Current | Poisson, **options) -> SpikingNetwork:
    return SpikingNetwork({"N": Population(1, cell.double(), drives=drives, **options)}, dtype=torch.float64)


def constant(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value, **DOUBLE))


@pytest.mark.parametrize("options", [{"reset": "value", "v_reset": 0.2, "t_ref": 2.0}, {"reset": "subtract"}])
def test_intervals_under_a_constant_current(options):
    """t_k = k T + (k - 1) t_ref with T = tau ln((I - v_reset) / (I - v_th)), the first one from zero."""
    current, tau, v_th = (torch.tensor(x, **DOUBLE, requires_grad=True) for x in (1.5, 20.0, 1.0))
    first = tau * torch.log(current / (current - v_th))
    later = tau * torch.log((current - options.get("v_reset", 0.0)) / (current - v_th)) + options.get("t_ref", 0.0)
    exact = [torch.autograd.grad(first + k * later, [current, tau, v_th], retain_graph=True) for k in range(3)]
    errors = []
    for dt in (0.1, 0.05, 0.025):
        value = constant(1.5)
        cell = tdn.LIF(tdn.Learned(20.0), v_th=tdn.Learned(1.0), dt=dt, **options).double()
        net = driven(cell, Current(value))
        times = net.simulate(75.0, **EXACT).spike_times("N", 3)[0]
        torch.testing.assert_close(times[0], first.detach(), rtol=0, atol=0.01 * dt)
        error = 0.0
        for time, (by_current, by_tau, by_threshold) in zip(times, exact, strict=True):
            found = torch.autograd.grad(time, [value, cell.tau_mem.raw, cell.v_th.raw], retain_graph=True)
            slope = torch.autograd.grad(cell.tau_mem(), cell.tau_mem.raw)[0]
            wanted = by_current, by_tau * slope, by_threshold
            error = max(error, *(float((a - b).abs() / b.abs()) for a, b in zip(found, wanted, strict=True)))
        errors.append(error)
    print(errors)
    assert errors[0] < 0.01
    # The moment of a spike within its step decides how much of a step is missing.
    assert all(error < 0.08 * dt for error, dt in zip(errors, (0.1, 0.05, 0.025), strict=True))


def test_one_input_through_a_current():
    """The first spike after one arrival, from v(t) = w R (e^(-t/tau) - e^(-t/tau_s)) / (tau / tau_s - 1) = 1."""
    operands = [torch.tensor(x, **DOUBLE, requires_grad=True) for x in (8.0, 20.0, 5.0)]

    def potential(t: Tensor, weight: Tensor, tau: Tensor, tau_syn: Tensor) -> Tensor:
        return weight * (torch.exp(-t / tau) - torch.exp(-t / tau_syn)) / (tau / tau_syn - 1)

    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if potential(torch.tensor(middle), *operands) < 1 else (low, middle)
    moment = torch.tensor(low, **DOUBLE, requires_grad=True)
    slope, *by_operands = torch.autograd.grad(potential(moment, *operands), [moment, *operands])
    errors = []
    for dt in (0.1, 0.05, 0.025):
        cell = tdn.SynapticLIF(tdn.Learned(20.0), tdn.Learned(5.0), dt=dt).double()
        source = SpikeSource(1, torch.tensor([1.0]), torch.tensor([0]))
        rule = wiring.Given(torch.tensor([0]), torch.tensor([0]), weight=torch.tensor([8.0], **DOUBLE))
        projection = Projection("in", "N", rule, delay=2.0, learned=True)
        net = SpikingNetwork({"N": Population(1, cell), "in": source}, [projection], dtype=torch.float64)
        time = net.simulate(20.0, **EXACT).spike_times("N")[0, 0]
        assert time.item() == pytest.approx(3.0 + low, abs=0.02 * dt)
        taus = [cell.tau_mem.raw, cell.tau_syn.raw]
        found = torch.autograd.grad(time, [net.weights["in->N"], *taus])
        inner = [1.0, *(torch.autograd.grad(q(), q.raw)[0] for q in (cell.tau_mem, cell.tau_syn))]
        wanted = [-by * scale / slope for by, scale in zip(by_operands, inner, strict=True)]
        errors.append(max(float((a - b).abs() / b.abs()) for a, b in zip(found, wanted, strict=True)))
    print(errors)
    assert all(error < 0.5 * dt for error, dt in zip(errors, (0.1, 0.05, 0.025), strict=True))
