"""Synapses and short-term plasticity from event to event, against the clock."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves
from torchdyn_neuro.events import events_from_grid, filter_events, make_events

UNITS, STEPS, DT = 7, 120, 0.5


def spread(low, high):
    """One value for each unit."""
    return torch.linspace(low, high, UNITS, dtype=torch.float64)


MODULES = {
    "exponential": lambda dt=DT: tdn.ExponentialSynapse(spread(3, 20), dt=dt),
    "area": lambda dt=DT: tdn.ExponentialSynapse(spread(3, 20), normalize="area", dt=dt),
    "alpha": lambda dt=DT: tdn.AlphaSynapse(spread(3, 20), dt=dt),
    "double exponential": lambda dt=DT: tdn.DoubleExponentialSynapse(2.0, spread(2, 9), dt=dt),
    "tm": lambda dt=DT: tdn.TsodyksMarkram(spread(0.1, 0.9), 60.0, spread(10, 90), dt=dt),
    "m98": lambda dt=DT: tdn.TsodyksMarkram(0.3, spread(20, 60), 40.0, form="m98", dt=dt),
    "text": lambda dt=DT: tdn.TsodyksMarkram(0.3, spread(20, 60), 40.0, form="text", dt=dt),
    "depression": lambda dt=DT: tdn.TsodyksMarkram(0.3, None, spread(20, 60), dt=dt),
    "facilitation": lambda dt=DT: tdn.TsodyksMarkram(0.3, spread(20, 60), None, dt=dt),
}


def spikes():
    """Spikes [T, N] of very unequal numbers; one unit has none."""
    torch.manual_seed(0)
    return (torch.rand(STEPS, UNITS) < torch.tensor([0.1, 0.0, 0.5, 0.02, 0.2, 0.9, 0.05])).double()


@pytest.mark.parametrize("name", MODULES)
def test_equals_the_clock_on_the_grid(name):
    module, grid = MODULES[name]().double(), spikes()
    start = module.scan(grid[:, None])[1]  # not at rest
    expected, last = module.scan(grid[:, None], start)
    step, unit = grid.nonzero(as_tuple=True)
    y, state = filter_events(module, events_from_grid(grid, DT), UNITS, STEPS * DT, start)
    assert y.std() > 0.01
    torch.testing.assert_close(y, expected[step, 0, unit], rtol=1e-12, atol=1e-12)
    assert len(leaves(state)) == len(leaves(last)) >= 1
    for ours, clock in zip(leaves(state), leaves(last), strict=True):
        torch.testing.assert_close(ours, clock, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MODULES)
def test_gradients_equal_those_of_the_clock(name):
    # Learned quantities; the double exponential keeps its fixed rise.
    module, grid = MODULES[name]().double(), spikes()
    for _, quantity in module.quantities():
        quantity.value.requires_grad_()
    values = [quantity.value for _, quantity in module.quantities()]
    step, unit = grid.nonzero(as_tuple=True)
    by_clock = module(grid[:, None])[step, 0, unit].sin().sum()
    by_events = filter_events(module, events_from_grid(grid, DT), UNITS, STEPS * DT)[0].sin().sum()
    expected = torch.autograd.grad(by_clock, values)
    assert all(gradient.abs().max() > 1e-3 for gradient in expected)
    for ours, clock in zip(torch.autograd.grad(by_events, values), expected, strict=True):
        torch.testing.assert_close(ours, clock, rtol=1e-9, atol=1e-9)


def test_closed_form_off_the_grid():
    module = tdn.AlphaSynapse(torch.tensor(4.0, dtype=torch.float64)).double()
    time = torch.tensor([0.3, 1.7, 2.0, 5.55, 11.1], dtype=torch.float64)
    weight = torch.tensor([1.0, 2.0, 5.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    events = make_events(time, torch.tensor([1, 1, 0, 1, 1]), weight)
    y, state = filter_events(module, events, 3, 20.0)

    def response(at):
        gap = (at - time).clamp(min=0) / 4.0
        return gap * torch.exp(1 - gap) * torch.tensor([1, 1, 0, 1, 1]) * weight

    torch.testing.assert_close(y[4], response(11.1).sum(), rtol=1e-12, atol=0)
    torch.testing.assert_close(state.s[0, 1], response(20.0).sum(), rtol=1e-12, atol=0)
    assert state.s[0, 2] == 0
    (gradient,) = torch.autograd.grad(y[4], weight)
    torch.testing.assert_close(gradient[1], response(11.1)[1].detach() / 2, rtol=1e-12, atol=0)


def test_events_at_one_time_are_taken_one_after_the_other():
    module = tdn.TsodyksMarkram(0.4, None, 50.0, form="m98", max_count=2).double()
    events = make_events(torch.tensor([3.0, 3.0], dtype=torch.float64), torch.tensor([0, 0]))
    y, _ = filter_events(module, events._replace(weight=events.weight), 1, 4.0)
    torch.testing.assert_close(y.sum(), module(torch.full((1, 1, 1), 2.0).double()).sum())


def test_no_events_leave_the_decay():
    nothing = torch.zeros(0, dtype=torch.float64)
    module = tdn.ExponentialSynapse(torch.tensor(5.0, dtype=torch.float64)).double()
    start = module.initial_state(torch.zeros(1, 2).double())._replace(s=torch.ones(1, 2).double())
    y, state = filter_events(module, make_events(nothing, nothing.long()), 2, 5.0, start)
    assert y.shape == (0,)
    torch.testing.assert_close(state.s, torch.full((1, 2), -1.0).double().exp())


def test_bad_input_raises():
    events = make_events(torch.tensor([1.0, 2.0]), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="closed form"):
        filter_events(tdn.LIF(), events, 2, 3.0)
    with pytest.raises(ValueError, match=r'expected AlphaSynapse\(output="end"\), got output=\'mean\'.*; build it'):
        filter_events(tdn.AlphaSynapse(output="mean"), events, 2, 3.0)
    with pytest.raises(ValueError, match=r"from 0 to 1\.5 ms"):
        filter_events(tdn.ExponentialSynapse(), events, 2, 1.5)
    with pytest.raises(ValueError, match="units from 0 to 0"):
        filter_events(tdn.ExponentialSynapse(), events, 1, 3.0)
    with pytest.raises(ValueError, match="tau to broadcast"):
        filter_events(tdn.ExponentialSynapse(torch.ones(3)), events, 2, 3.0)
    with pytest.raises(ValueError, match="counts from 0 to 1"):
        filter_events(tdn.TsodyksMarkram(), events._replace(weight=torch.tensor([1.0, 2.0])), 2, 3.0)


@pytest.mark.parametrize("name", ["alpha", "tm"])
def test_a_state_handed_back_is_taken(name):
    module, grid = MODULES[name]().double(), spikes()
    whole, last = filter_events(module, events_from_grid(grid, DT), UNITS, STEPS * DT)
    first, state = filter_events(module, events_from_grid(grid[:50], DT), UNITS, 50 * DT)
    for given in (state, tuple(state), list(state)):
        second, end = filter_events(module, events_from_grid(grid[50:], DT), UNITS, (STEPS - 50) * DT, given)
        torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
        assert type(end) is type(last)


def test_threads_share_one_module():
    module, events = MODULES["tm"]().double(), events_from_grid(spikes(), DT)
    expected, _ = filter_events(module, events, UNITS, STEPS * DT)
    with ThreadPoolExecutor(6) as pool:
        for y, _ in pool.map(lambda _: filter_events(module, events, UNITS, STEPS * DT), range(24)):
            assert torch.equal(y, expected)
    assert module.tau_d().shape == (UNITS,)


def state_of(*shape, value=0.0):
    return tdn.ExponentialSynapse().initial_state(torch.zeros(shape))._replace(s=torch.full(shape, value))


@pytest.mark.parametrize(
    ("events", "duration", "state", "message"),
    [
        (([1.0], [0]), 3.0, state_of(1, 3), r"expected a state .*\(1, 2\).*got .*\(1, 3\)"),
        (([1.0], [0]), 3.0, state_of(2, 2), "same number of neurons"),
        (([1.0], [0]), 3.0, (state_of(1, 2).s, ()), "expected a state"),
        (([1.0], [0]), 3.0, state_of(1, 2, value=torch.nan), "got NaN"),
        (([-1.0], [0]), 3.0, None, "from 0 to 3 ms, got -1"),
        (([1.0], [0], [torch.nan]), 3.0, None, "weight to be finite, got nan"),
        (([1.0], [0]), float("nan"), None, "duration at least 0 ms, got nan"),
        (([], []), -1.0, None, "duration at least 0 ms, got -1"),
    ],
)
def test_wrong_runs_raise(events, duration, state, message):
    with pytest.raises(ValueError, match=message):
        filter_events(tdn.ExponentialSynapse(), events, 2, duration, state)
