"""Event-driven networks against the clock, and against spike times known from elsewhere."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves
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


@pytest.mark.parametrize("kind", [tdn.LIF, tdn.SynapticLIF, tdn.AlphaLIF])
def test_two_runs_give_what_one_gives(kind):
    """The state holds what is underway: here half of the connections take longer than the second run begins."""
    torch.manual_seed(1)
    size = 12.0 if kind is tdn.LIF else 3.0
    weight = 0.7 * size * torch.randn(6, 6, dtype=torch.float64)
    network = EventNetwork(kind(10.0, t_ref=2.0, dt=0.5).double(), weight, 0.5 + 20 * torch.rand(6, 6).double())
    time = 50 * torch.rand(40, dtype=torch.float64).sort().values
    events = make_events(time, torch.randint(0, 6, (40,)), torch.full_like(time, size))
    spikes, last = network.run(events, 60.0, current=0.4)
    early = time <= 21.3
    first, state = network.run(make_events(*(part[early] for part in events)), 21.3, current=0.4)
    assert state.underway.time.numel() > 10
    rest = make_events(time[~early] - 21.3, *(part[~early] for part in events[1:]))
    for given in (state, (tuple(state.neuron), list(state.underway))):
        second, end = network.run(rest, 60.0 - 21.3, given, current=0.4)
        times = torch.cat([first.time, second.time + 21.3])
        assert len(times) > 15
        torch.testing.assert_close(times, spikes.time, rtol=0, atol=1e-9)
        assert torch.equal(torch.cat([first.unit, second.unit]), spikes.unit)
        for ours, whole in zip(leaves(end), leaves(last), strict=True):
            torch.testing.assert_close(ours, whole, rtol=0, atol=1e-7)


def test_a_state_is_saved_and_loaded(tmp_path):
    network = EventNetwork(tdn.SynapticLIF(t_ref=1.0), torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 5.0)
    _, state = network.run(make_events([1.0], [0], [50.0]), 4.0)
    torch.save(state, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert type(loaded) is type(state)
    assert all(torch.equal(a, b) for a, b in zip(leaves(loaded), leaves(state), strict=True))
    assert loaded.underway.unit.tolist() == [1] * len(loaded.underway.unit) != []


def test_threads_share_networks_and_modules():
    torch.manual_seed(0)
    module = tdn.SynapticLIF(torch.linspace(6, 20, 5), 4.0).double()
    networks = [EventNetwork(module, 2 * torch.randn(5, 5).double(), 1.5) for _ in range(2)]
    time = 30 * torch.rand(30, dtype=torch.float64).sort().values
    events = make_events(time, torch.randint(0, 5, (30,)), torch.full_like(time, 4.0))

    def run(index):
        return networks[index % 2].run(events, 40.0)[0]

    expected = [run(0), run(1)]
    assert len(expected[0].time) > 10
    with ThreadPoolExecutor(4) as pool:
        for index, spikes in enumerate(pool.map(run, range(8))):
            assert torch.equal(spikes.time, expected[index % 2].time)
            assert torch.equal(spikes.unit, expected[index % 2].unit)


def test_learning_between_runs_is_seen():
    module = tdn.SynapticLIF(tdn.Learned(20.0), tdn.Learned(5.0)).double()
    network, arrival = EventNetwork(module, torch.zeros(1, 1)), make_events([1.0], [0], [9.0])
    network.run(arrival, 30.0)
    with torch.no_grad():
        module.tau_mem.raw.fill_(-np.log(4.0))  # now equal to tau_syn, where two exponentials would be 0/0
    spikes, _ = network.run(arrival, 30.0)
    # 9 (t / 5) exp(-t / 5) = 1 at its first root; R = 1.
    expected = 1 + brentq(lambda t: 9 * t / 5 * np.exp(-t / 5) - 1, 0, 5, xtol=1e-14)
    assert spikes.time[0].item() == pytest.approx(expected, abs=1e-10)


ARRIVAL = torch.tensor([1.0]), torch.tensor([0]), torch.tensor([3.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((([-1.0], [0]), 3.0), ValueError, "from 0 to 3 ms, got -1 to -1 ms"),
        ((([4.0], [0]), 3.0), ValueError, "from 0 to 3 ms, got 4 to 4 ms"),
        ((([1.0], [0], [torch.nan]), 3.0), ValueError, "weight to be finite, got nan"),
        (((ARRIVAL), float("nan")), ValueError, "duration at least 0 ms, got nan"),
        (((ARRIVAL), -3.0), ValueError, "duration at least 0 ms, got -3"),
        (((ARRIVAL), "3"), TypeError, "duration to be a number, got str"),
        ((ARRIVAL, 3.0, tdn.LIF().initial_state(torch.zeros(1, 2))), ValueError, "of neurons and of spikes underway"),
        ((ARRIVAL, 3.0, (tdn.LIFState(torch.zeros(1, 3)), ARRIVAL)), ValueError, "same number of neurons"),
        ((ARRIVAL, 3.0, (tdn.LIFState(torch.full((1, 2), torch.nan)), ARRIVAL)), ValueError, "got NaN"),
        ((ARRIVAL, 3.0, (tdn.LIFState(torch.zeros(1, 2)), ([-1.0], [0]))), ValueError, "underway to arrive from 0 ms"),
    ],
)
def test_wrong_runs_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        EventNetwork(tdn.LIF(), torch.zeros(2, 2)).run(*arguments)


@pytest.mark.parametrize(
    ("weight", "delay", "message"),
    [
        (torch.full((2, 2), torch.nan), 1.0, "weight to be finite, got nan"),
        (torch.full((2, 2), torch.inf), 1.0, "weight to be finite, got inf"),
        (torch.ones(2, 3), 1.0, "give a square matrix"),
        (torch.ones(2, 2), float("nan"), "delays above 0 ms, got nan"),
        (torch.ones(2, 2), float("inf"), "delays above 0 ms, got inf"),
        (torch.ones(2, 2), torch.ones(2), r"one delay or \(2, 2\), got shape \(2,\)"),
        (torch.ones(3, 3), 1.0, r"tau_mem to broadcast to the neurons \(3,\)"),
    ],
)
def test_wrong_networks_raise(weight, delay, message):
    with pytest.raises(ValueError, match=message):
        EventNetwork(tdn.LIF(torch.ones(2)), weight, delay)


def test_arrays_and_lists_are_taken():
    module = tdn.LIF()
    expected, _ = EventNetwork(module, torch.tensor([[0.0, 0.0], [30.0, 0.0]]), 1.7).run(
        make_events(torch.tensor([1.0]), torch.tensor([0]), torch.tensor([30.0])), 10.0
    )
    assert expected.time.tolist() == [1.0, 2.7]
    for weight, events in (
        ([[0, 0], [30, 0]], make_events([1], [0], [30])),
        (np.array([[0, 0], [30, 0]]), make_events(np.array([1.0]), np.array([0]), np.array([30]))),
    ):
        spikes, _ = EventNetwork(module, weight, 1.7).run(events, 10)
        assert torch.equal(spikes.time, expected.time)


def test_bad_input_raises():
    with pytest.raises(ValueError, match="ascending"):
        EventNetwork(tdn.LIF(), torch.zeros(2, 2)).run(make_events(torch.tensor([2.0, 1.0]), torch.tensor([0, 1])), 3.0)
    with pytest.raises(ValueError, match="units from 0 to 1"):
        EventNetwork(tdn.LIF(), torch.zeros(2, 2)).run(make_events(torch.tensor([2.0]), torch.tensor([5])), 3.0)
    with pytest.raises(ValueError, match="delays above 0"):
        EventNetwork(tdn.LIF(), torch.ones(2, 2), delay=0.0)
    with pytest.raises(ValueError, match="without adaptation"):
        EventNetwork(tdn.LIF(noise=tdn.WhiteNoise()), torch.ones(2, 2))
    with pytest.raises(ValueError, match="expected a reset, got reset='none'"):
        EventNetwork(tdn.LIF(reset="none"), torch.ones(2, 2))
    with pytest.raises(TypeError, match="closed form"):
        EventNetwork(tdn.IF(), torch.ones(2, 2))
