"""Neurons under a constant current, against formulas and against an integration of the equations by SciPy."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn
from torchdyn_neuro.events import EventNetwork, make_events, spike_times

NOTHING = torch.zeros(1, 0, dtype=torch.float64), torch.zeros(1, 0, 1, dtype=torch.float64)


def period(current, tau_mem=10.0, R=2.0, v_rest=-0.5, v_th=1.0, v_reset=0.25, t_ref=2.5):
    """Between two spikes of an LIF neuron, Gerstner et al. (2014), ch. 1.3."""
    level = v_rest + R * current
    return t_ref + tau_mem * np.log((level - v_reset) / (level - v_th))


def cell(kind, *taus, **options):
    values = {"R": 2.0, "v_rest": -0.5, "v_th": 1.0, "v_reset": 0.25, "reset": "value", "dt": 0.5, **options}
    return kind(*(torch.tensor(tau, dtype=torch.float64) for tau in taus), **values).double()


@pytest.mark.parametrize(
    ("kind", "taus"), [(tdn.LIF, [10.0]), (tdn.SynapticLIF, [10.0, 4.0]), (tdn.AlphaLIF, [10, 4.0])]
)
def test_rate_of_a_constant_current(kind, taus):
    module = cell(kind, *taus, t_ref=2.5)
    currents = torch.tensor([0.0, 0.5, 0.75, 0.76, 1.0, 2.0, 30.0], dtype=torch.float64)  # 0.75 is rheobase
    spikes, _ = EventNetwork(module, torch.zeros(7, 7)).run(make_events([], []), 400.0, current=currents)
    times = spike_times(module, NOTHING[0], NOTHING[1].expand(1, 0, 7), 400.0, current=currents, most_spikes=200)[0]
    for unit, current in enumerate(currents.tolist()):
        expected = []
        if current > 0.75:
            first = 10.0 * np.log((2 * current) / (2 * current - 1.5))  # from rest
            expected = [time for time in first + period(current) * np.arange(200) if time <= 400.0]
        expected = torch.tensor(expected, dtype=torch.float64)
        assert (len(expected) > 0) == (current > 0.75)
        for found in (spikes.time[spikes.unit == unit], times[unit][torch.isfinite(times[unit])]):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [tdn.LIF, tdn.SynapticLIF, tdn.AlphaLIF])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_level_at_the_threshold_is_never_reached(kind, dtype):
    """After many time constants the potential is the threshold to the last digit, but from below."""
    module = kind(10.0).to(dtype)
    times = spike_times(module, *(part.to(dtype) for part in NOTHING), 50_000.0, current=1.0)
    assert torch.isinf(times).all()


def integrated(right_side, arrive, arrivals, start, duration, v_reset, t_ref):
    """Spike times by integration with a root finder, from arrival to arrival; v is the first variable."""
    now, y, held_until, spikes = 0.0, np.array(start, dtype=float), 0.0, []
    for time, weight in [*arrivals, (duration, 0.0)]:
        while now < time:
            held = now < held_until
            end = min(time, held_until) if held else time

            def change(t, y, held=held):
                dy = right_side(y)
                return np.array([0.0, *dy[1:]]) if held else dy

            def threshold(t, y):
                return y[0] - 1.0

            threshold.terminal, threshold.direction = True, 1
            run = solve_ivp(
                change, (now, end), y, method="DOP853", rtol=1e-12, atol=1e-13, events=None if held else threshold
            )
            now, y = run.t[-1], run.y[:, -1].copy()
            if run.status == 1:
                spikes.append(now)
                y[0], held_until = v_reset, now + t_ref
        y = arrive(y, weight)
    return spikes


@pytest.mark.parametrize("kind", [tdn.SynapticLIF, tdn.AlphaLIF])
@pytest.mark.parametrize("current", [-0.3, 0.5, 1.2])
def test_arrivals_on_top_of_a_current(kind, current):
    tau_mem, tau_syn, t_ref = 10.0, 4.0, 2.0
    generator = np.random.default_rng(4)
    time, weight = (
        np.sort(generator.uniform(0, 60, 12)),
        generator.normal(2.0 if kind is tdn.SynapticLIF else 0.9, 1.6, 12),
    )

    def right_side(y):
        source = [(y[2] - y[1]) / tau_syn, -y[2] / tau_syn] if kind is tdn.AlphaLIF else [-y[1] / tau_syn]
        return np.array([(-(y[0] + 0.5) + 2.0 * (y[1] + current)) / tau_mem, *source])

    def arrive(y, weight):
        return y + weight * np.array([0, 0, np.e] if kind is tdn.AlphaLIF else [0, 1.0])

    start = [-0.5, 0, 0] if kind is tdn.AlphaLIF else [-0.5, 0]
    expected = integrated(right_side, arrive, zip(time, weight, strict=True), start, 80.0, 0.25, t_ref)
    assert len(expected) >= (2 if current < 0.75 else 6)
    module = cell(kind, tau_mem, tau_syn, t_ref=t_ref)
    arguments = torch.tensor(time)[None], torch.tensor(weight)[None, :, None]
    alone = spike_times(module, *arguments, 80.0, current=current, most_spikes=40).flatten()
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(alone[torch.isfinite(alone)], expected, rtol=0, atol=1e-8)
    events = make_events(time, np.zeros(12), weight)
    spikes, _ = EventNetwork(module, torch.zeros(1, 1)).run(events, 80.0, current=current)
    torch.testing.assert_close(spikes.time, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "taus"), [(tdn.LIF, [10.0]), (tdn.SynapticLIF, [10.0, 4.0]), (tdn.AlphaLIF, [10, 4.0])]
)
def test_gradient_of_current_and_state(kind, taus):
    module = cell(kind, *taus, t_ref=2.0)
    generator = torch.Generator().manual_seed(0)
    current = 1 + torch.rand(2, 3, generator=generator, dtype=torch.float64)
    v = torch.rand(2, 3, generator=generator, dtype=torch.float64) - 0.5
    others = [torch.rand(2, 3, generator=generator, dtype=torch.float64) for _ in taus[1:] * (kind is tdn.AlphaLIF)]
    sources = [torch.rand(2, 3, generator=generator, dtype=torch.float64) for _ in taus[1:]] + others
    refractory = torch.full((2, 3), -1.0, dtype=torch.float64)

    def loss(current, v, *sources):
        state = (v, *sources, refractory, (), ())
        times = spike_times(
            module, NOTHING[0].expand(2, 0), NOTHING[1].expand(2, 0, 3), 60.0, state, current=current, most_spikes=3
        )
        assert torch.isfinite(times).all()
        return times.sin().sum()

    given = [leaf.requires_grad_() for leaf in (current, v, *sources)]
    assert torch.autograd.gradcheck(loss, given, eps=1e-7, atol=1e-6, rtol=1e-6)


def test_a_current_for_each_row_meets_its_own_neuron():
    tau, current = torch.tensor([5.0, 9.0, 14.0]), torch.tensor([[1.5, 2.0, 3.0], [4.0, 0.5, 1.2]])
    times = spike_times(
        tdn.LIF(tau).double(),
        NOTHING[0].expand(2, 0),
        NOTHING[1].expand(2, 0, 3),
        300.0,
        current=current.double(),
        most_spikes=2,
    )
    for row, unit in itertools.product(range(2), range(3)):
        strength = current[row, unit].item()
        gap = tau[unit].item() * np.log(strength / (strength - 1)) if strength > 1 else np.inf
        assert times[row, unit].tolist() == pytest.approx([gap, 2 * gap], rel=1e-6)


def test_wrong_currents_raise():
    network = EventNetwork(tdn.LIF(), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="current to be finite, got nan"):
        network.run(make_events([], []), 3.0, current=float("nan"))
    with pytest.raises(ValueError, match=r"broadcasts to the neurons \(3,\), got shape \(2,\)"):
        network.run(make_events([], []), 3.0, current=torch.ones(2))
    with pytest.raises(TypeError, match=r"current in torch.float32, as the neurons, got torch.float64"):
        network.run(make_events([], []), 3.0, current=torch.ones(3).double())
    with pytest.raises(ValueError, match="current to be finite, got inf"):
        spike_times(tdn.LIF(), torch.zeros(1, 0), torch.zeros(1, 0, 1), 3.0, current=torch.tensor([torch.inf]))
