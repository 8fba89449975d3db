"""Spike times off the grid, and their exact gradient."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

import torchdyn_neuro as tdn
from torchdyn_neuro.events import spike_times
from torchdyn_neuro.events.cells import EventCell

DURATION = 60.0


def reference_spikes(time, weight, tau_mem, tau_syn, v_th, reset):
    """An independent computation: the sum of the responses to all arrivals and resets, and brentq for each root."""
    spikes = []

    def response(gap):
        if tau_mem == tau_syn:
            return gap / tau_mem * np.exp(-gap / tau_mem)
        return tau_syn / (tau_mem - tau_syn) * (np.exp(-gap / tau_mem) - np.exp(-gap / tau_syn))

    def potential(t):
        v = sum(w * response(t - s) for s, w in zip(time, weight, strict=True) if s <= t)
        return v - sum(reset * np.exp(-(t - s) / tau_mem) for s in spikes if s <= t)

    grid = np.linspace(0, DURATION, 3_001)
    before = 0.0
    for start, end in itertools.pairwise(grid):
        now = potential(end) - v_th
        if before < 0 <= now:
            spikes.append(brentq(lambda t: potential(t) - v_th, start, end, xtol=1e-13, rtol=1e-15))
            now = potential(end) - v_th
        before = now if now != 0 else -1e-300
    return spikes


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20.0, 5.0), (10.0, 10.0), (5.0, 15.0), (10.0, 10.001)])
def test_off_grid_spikes_of_exponential_currents(tau_mem, tau_syn):
    generator = np.random.default_rng(0)
    time, weight = np.sort(generator.uniform(0, 40, 12)), generator.normal(2.0, 1.0, 12)
    # In float64 from the start: a Python float would be rounded to float32 before double().
    taus = torch.tensor([tau_mem, tau_syn], dtype=torch.float64)
    module = tdn.SynapticLIF(taus[0], taus[1]).double()
    got = spike_times(
        module, torch.tensor(time)[None], torch.tensor(weight)[None, :, None], DURATION, most_spikes=60
    ).flatten()
    expected = reference_spikes(time, weight, tau_mem, tau_syn, 1.0, 1.0)
    assert len(expected) >= 2
    assert torch.isfinite(got).sum() == len(expected)
    torch.testing.assert_close(got[: len(expected)], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)


def alpha_response(t, tau_mem, tau_syn):
    """The potential that a current (t / tau_syn) exp(1 - t / tau_syn) leaves behind, integrated by hand."""
    if tau_mem == tau_syn:
        return np.e * t**2 / (2 * tau_syn**2) * np.exp(-t / tau_syn)
    rate = 1 / tau_syn - 1 / tau_mem
    ramp = (np.exp(-t / tau_mem) - (1 + rate * t) * np.exp(-t / tau_syn)) / rate**2
    return np.e / (tau_syn * tau_mem) * ramp


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20.0, 5.0), (10.0, 10.0), (5.0, 15.0)])
def test_off_grid_spikes_of_alpha_currents(tau_mem, tau_syn):
    generator = np.random.default_rng(3)
    time, weight = np.sort(generator.uniform(0, 40, 14)), generator.normal(0.35, 0.6, 14)
    taus = torch.tensor([tau_mem, tau_syn], dtype=torch.float64)
    module = tdn.AlphaLIF(taus[0], taus[1]).double()
    got = spike_times(module, torch.tensor(time)[None], torch.tensor(weight)[None, :, None], DURATION, most_spikes=60)
    spikes = []

    def height(t):
        v = sum(w * alpha_response(t - s, tau_mem, tau_syn) for s, w in zip(time, weight, strict=True) if s <= t)
        return v - sum(np.exp(-(t - s) / tau_mem) for s in spikes if s <= t) - 1.0

    for start, end in itertools.pairwise(np.linspace(0, DURATION, 3_001)):
        if height(start) < -1e-12 and height(end) >= 0:
            spikes.append(brentq(height, start, end, xtol=1e-13, rtol=1e-15))
    assert len(spikes) >= 3
    assert (weight < 0).any()
    assert torch.isfinite(got).sum() == len(spikes)
    torch.testing.assert_close(got[0, 0, : len(spikes)], torch.tensor(spikes, dtype=torch.float64), rtol=0, atol=1e-10)


def test_alpha_potential_with_two_turning_points():
    """A spike between the two is found, though the potential ends below where it began."""
    module = tdn.AlphaLIF(20.0, 5.0).double()
    time = torch.tensor([[0.0, 6.0]], dtype=torch.float64)
    weight = torch.tensor([4.7, -12.0], dtype=torch.float64)[None, :, None]
    got = spike_times(module, time, weight, DURATION, most_spikes=2)[0, 0, 0].item()

    def height(t):
        return 4.7 * alpha_response(t, 20.0, 5.0) - 12 * alpha_response(t - 6.0, 20.0, 5.0) * (t > 6) - 1

    fine = np.linspace(6, 30, 100_001)
    heights = np.array([height(t) for t in fine[::100]])
    assert heights[0] < 0 < heights.max()
    assert got == pytest.approx(brentq(height, 6.0, fine[::100][heights.argmax()], xtol=1e-13), abs=1e-10)


def test_gradient_of_a_batch_with_a_value_per_neuron():
    """Only some neurons of some rows spike, so each of them must meet its own quantities and its own gradient."""
    generator = torch.Generator().manual_seed(2)
    time = (30 * torch.rand(3, 4, generator=generator, dtype=torch.float64)).sort(-1).values
    weight = (2 * torch.randn(3, 4, 5, generator=generator, dtype=torch.float64) + 2).requires_grad_()
    tau = torch.linspace(8, 20, 5, dtype=torch.float64, requires_grad=True)

    def times(weight, tau):
        module = tdn.SynapticLIF(tdn.Learned(torch.ones(5).double()), 6.0).double()
        module.tau_mem.bound = tau
        return spike_times(module, time, weight, DURATION, most_spikes=3)

    found = torch.isfinite(times(weight, tau))
    assert 0.2 < found.double().mean() < 0.8
    for neuron in range(5):
        alone = tdn.SynapticLIF(tau.detach()[neuron], 6.0).double()
        expected = spike_times(alone, time, weight.detach()[..., neuron : neuron + 1], DURATION, most_spikes=3)
        torch.testing.assert_close(times(weight, tau)[:, neuron], expected[:, 0], rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(
        lambda *given: times(*given)[found].sin().sum(), (weight, tau), eps=1e-7, atol=1e-6, rtol=1e-6
    )


def test_gradient_of_the_loss_against_finite_differences():
    generator = torch.Generator().manual_seed(1)
    time = (30 * torch.rand(1, 4, generator=generator, dtype=torch.float64)).sort(-1).values.requires_grad_()
    weight = (torch.randn(4, 2, generator=generator, dtype=torch.float64) + 2.5).requires_grad_()

    def loss(time, weight):
        module = tdn.SynapticLIF(12.0, 6.0, t_ref=2.0).double()
        times = spike_times(module, time, weight.expand(1, -1, -1), DURATION, most_spikes=3)
        assert torch.isfinite(times).sum() >= 3
        return torch.where(torch.isfinite(times), times, torch.zeros_like(times)).sin().sum()

    assert torch.autograd.gradcheck(loss, (time, weight), eps=1e-7, atol=1e-6, rtol=1e-6)


def test_gradient_reaches_time_constants_and_threshold():
    module = tdn.SynapticLIF(tdn.Learned(12.0), tdn.Learned(6.0), v_th=tdn.Learned(1.0)).double()
    time = torch.tensor([[1.0, 4.0, 6.0, 11.0]], dtype=torch.float64)
    weight = torch.full((1, 4, 1), 2.5, dtype=torch.float64)

    def total() -> torch.Tensor:
        times = spike_times(module, time, weight, DURATION, most_spikes=4)
        assert torch.isfinite(times).sum() >= 2
        return times[torch.isfinite(times)].sum()

    total().backward()
    for parameter in (module.tau_mem.raw, module.tau_syn.raw, module.v_th.raw):
        step = 1e-6
        with torch.no_grad():
            parameter += step
            above = total()
            parameter -= 2 * step
            below = total()
            parameter += step
        torch.testing.assert_close(parameter.grad, (above - below) / (2 * step), rtol=1e-6, atol=1e-6)


def test_delta_currents_spike_at_arrivals():
    module = tdn.LIF(10.0, t_ref=3.0).double()
    gain = -np.expm1(-1 / 10.0)
    time = torch.tensor([[1.0, 2.5, 3.0, 8.0, 9.0, torch.inf]], dtype=torch.float64)
    weight = torch.full((1, 6, 1), 0.7 / gain, dtype=torch.float64)
    times = spike_times(module, time, weight, DURATION, most_spikes=3)
    # 0.7 e^{-0.15} + 0.7 = 1.3025 spikes at 2.5 and leaves 0.3025; 0.7 at 3.0 is lost in the refractory period; then
    # 0.3025 e^{-0.25} + 0.7 = 0.9356 at 8.0 stays below, and 0.9356 e^{-0.1} + 0.7 spikes at 9.0.
    assert times[0, 0].tolist() == [2.5, 9.0, float("inf")]


def test_arrivals_at_one_time_are_added_before_the_threshold_is_tested():
    module = tdn.LIF(10.0).double()
    time = torch.tensor([[1.0, 1.0, 4.0]], dtype=torch.float64)
    gain = -np.expm1(-1 / 10.0)
    weight = torch.tensor([1.5, -1.2, 0.9], dtype=torch.float64)[None, :, None] / gain
    # 1.5 - 1.2 = 0.3 stays below; 0.3 e^{-0.3} + 0.9 = 1.12 spikes.
    assert spike_times(module, time, weight, DURATION, most_spikes=2)[0, 0].tolist() == [4.0, float("inf")]


def test_many_spikes_of_one_neuron():
    """Charged towards 2 from 0, the potential meets 1 after ln 2, again and again."""
    module = tdn.LIF(1.0, v_rest=2.0, reset="zero")
    silent = torch.zeros(1, 1), torch.zeros(1, 1, 1)
    assert spike_times(module, *silent, duration=1000.0).item() == pytest.approx(np.log(2), rel=1e-6)
    times = spike_times(module.double(), *(part.double() for part in silent), 1000.0, most_spikes=2000).flatten()
    expected = np.log(2) * torch.arange(1, 1443, dtype=torch.float64)
    assert expected[-1] < 1000 < expected[-1] + np.log(2)
    torch.testing.assert_close(times[:1442], expected, rtol=1e-12, atol=0)
    assert torch.isinf(times[1442:]).all()
    above = module.initial_state(silent[0].double())  # at 2, if that is what is asked for
    assert spike_times(module, *(part.double() for part in silent), 1000.0, above).item() == 0


def test_no_more_is_computed_than_asked(monkeypatch):
    """The work counted in neurons that are looked at: one look for each spike, and one at the end of each gap."""
    looks = []
    found = EventCell.next_spike
    monkeypatch.setattr(
        EventCell,
        "next_spike",
        lambda self, state, horizon: looks.append(horizon.numel()) or found(self, state, horizon),
    )
    still = torch.zeros(1, 0), torch.zeros(1, 0, 100)
    current = torch.zeros(100)
    current[:5] = 2.0  # the others stay silent
    for most, duration, spikes in ((1, 500.0, 5), (7, 500.0, 35), (1000, 500.0, 5 * 72), (1000, 50.0, 5 * 7)):
        looks.clear()
        times = spike_times(tdn.LIF(10.0), *still, duration, current=current, most_spikes=most)  # every 6.93 ms
        assert torch.isfinite(times).sum() == spikes
        assert sum(looks) <= 100 + spikes
