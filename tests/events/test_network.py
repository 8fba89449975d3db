"""Event-driven networks against the clock, and against spike times known from elsewhere."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.events import EventNetwork, events_from_grid, make_events, spike_times


@pytest.mark.parametrize("t_ref", [0.0, 3.0])
@pytest.mark.parametrize("reset", ["subtract", "value"])
def test_delta_network_equals_the_clock(t_ref, reset):
    torch.manual_seed(0)
    units, steps, dt = 20, 200, torch.tensor(0.5).item()
    tau = torch.tensor(10.0, dtype=torch.float64)
    module = tdn.LIF(tau, t_ref=t_ref, reset=reset, dt=dt).double()
    gain = 1 / (1 - torch.exp(-dt / tau))  # an input of gain moves the potential by 1 in a step
    drive = (torch.rand(steps, 1, units) < 0.05).double() * 0.6 * gain
    connection = nn.Linear(units, units, bias=False, dtype=torch.float64)
    nn.init.normal_(connection.weight, std=0.3 * gain.item())

    with torch.no_grad():
        clock, last = tdn.Recurrent(module, connection).scan(drive)
    network = EventNetwork(module, connection.weight, delay=dt)
    spikes, state = network.run(events_from_grid(drive[:, 0], dt), steps * dt)

    expected = events_from_grid(clock[:, 0], dt)
    assert len(expected.time) > 60
    torch.testing.assert_close(spikes.time, expected.time, rtol=0, atol=1e-9)
    by_time = [set(zip(e.time.mul(2).round().tolist(), e.unit.tolist(), strict=True)) for e in (spikes, expected)]
    assert by_time[0] == by_time[1]
    torch.testing.assert_close(state.neuron.v, last.neuron.v, rtol=1e-12, atol=1e-12)


def test_exponential_currents_spike_off_the_grid():
    module = tdn.SynapticLIF(12.0, 6.0, t_ref=2.0).double()
    time = torch.tensor([1.0, 2.2, 3.1, 7.9], dtype=torch.float64)
    weight = torch.full((4,), 3.0, dtype=torch.float64)
    alone = spike_times(module, time[None], weight[None, :, None], 40.0, most_spikes=8).flatten()
    expected = alone[torch.isfinite(alone)]
    assert len(expected) >= 3
    silent = torch.zeros(2, 2, dtype=torch.float64)
    spikes, _ = EventNetwork(module, silent).run(make_events(time, torch.zeros(4), weight), 40.0)
    torch.testing.assert_close(spikes.time, expected, rtol=0, atol=1e-10)

    chain = silent.index_put((torch.tensor([1]), torch.tensor([0])), torch.tensor(9.0, dtype=torch.float64))
    spikes, _ = EventNetwork(module, chain, delay=1.7).run(make_events(time, torch.zeros(4), weight), 40.0)
    driven = spike_times(
        module, expected[None] + 1.7, torch.full((1, len(expected), 1), 9.0).double(), 40.0, most_spikes=20
    )
    driven = driven[torch.isfinite(driven)]
    assert len(driven) >= 3
    torch.testing.assert_close(spikes.time[spikes.unit == 1], driven, rtol=0, atol=1e-10)


def test_per_synapse_delays():
    weight = torch.tensor([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [30.0, 0.0, 0.0]])
    delay = torch.tensor([[1.0, 1.0, 1.0], [2.5, 1.0, 1.0], [4.0, 1.0, 1.0]])
    network = EventNetwork(tdn.LIF(), weight, delay)
    spikes, _ = network.run(make_events(torch.tensor([1.0]), torch.tensor([0]), torch.tensor([30.0])), 10.0)
    assert spikes.time.tolist() == [1.0, 3.5, 5.0]
    assert spikes.unit.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kind", "size"), [(tdn.LIF, 12.0), (tdn.SynapticLIF, 4.0), (tdn.AlphaLIF, 1.5)])
def test_a_value_per_neuron(kind, size):
    torch.manual_seed(0)
    module = kind(torch.linspace(6, 20, 5), dt=0.5).double()
    weight = 0.2 * size * torch.randn(5, 5, dtype=torch.float64)
    time = 50 * torch.rand(40, dtype=torch.float64).sort().values
    events = make_events(time, torch.randint(0, 5, (40,)), torch.full_like(time, size))
    spikes, _ = EventNetwork(module, torch.zeros_like(weight), 1.5).run(events, 60.0)
    assert len(spikes.time) > 7
    for neuron in range(5):
        own = events.unit == neuron
        alone = kind(module.tau_mem()[neuron], dt=0.5).double()
        expected = spike_times(
            alone, time[own][None], torch.full((1, int(own.sum()), 1), size).double(), 60.0, most_spikes=30
        )
        expected = expected[torch.isfinite(expected)]
        torch.testing.assert_close(spikes.time[spikes.unit == neuron], expected, rtol=0, atol=1e-10)
    assert len(EventNetwork(module, weight, 1.5).run(events, 60.0)[0].time) > 10


def test_bad_input_raises():
    with pytest.raises(ValueError, match="ascending"):
        EventNetwork(tdn.LIF(), torch.zeros(2, 2)).run(make_events(torch.tensor([2.0, 1.0]), torch.tensor([0, 1])), 3.0)
    with pytest.raises(ValueError, match="units from 0 to 1"):
        EventNetwork(tdn.LIF(), torch.zeros(2, 2)).run(make_events(torch.tensor([2.0]), torch.tensor([5])), 3.0)
    with pytest.raises(ValueError, match="delays above 0"):
        EventNetwork(tdn.LIF(), torch.ones(2, 2), delay=0.0)
    with pytest.raises(ValueError, match="without adaptation"):
        EventNetwork(tdn.LIF(noise=tdn.WhiteNoise()), torch.ones(2, 2))
    with pytest.raises(TypeError, match="closed form"):
        EventNetwork(tdn.IF(), torch.ones(2, 2))
