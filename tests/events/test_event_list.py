"""Lists of events and dense sequences."""

import numpy as np
import pytest
import torch

from torchdyn_neuro.events import events_from_grid, events_to_grid, make_events


def test_there_and_back():
    torch.manual_seed(0)
    grid = torch.randint(0, 3, (40, 6)).double()
    events = events_from_grid(grid, dt=0.1)
    assert len(events.time) == int((grid > 0).sum()) > 100
    assert torch.equal(events_to_grid(events, 40, 6, dt=0.1), grid)


def test_times_between_the_steps_are_rounded_up_and_summed():
    events = make_events(torch.tensor([0.2, 0.9, 1.0, 1.1]), torch.tensor([0, 0, 0, 1]))
    assert events_to_grid(events, 2, 2).tolist() == [[3.0, 0.0], [0.0, 1.0]]


def test_bad_lists_raise():
    one = torch.tensor([1.0])
    with pytest.raises(ValueError, match="one shape"):
        make_events(one, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="finite"):
        make_events(torch.tensor([float("nan")]), torch.tensor([0]))
    with pytest.raises(ValueError, match="ascending order, got 1 ms after 2 ms"):
        make_events(torch.tensor([2.0, 1.0]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="units from 0 to 1"):
        make_events(one, torch.tensor([-1]), units=2)
    with pytest.raises(ValueError, match="more steps"):
        events_to_grid(make_events(torch.tensor([5.0]), torch.tensor([0])), 3, 1)


def test_arrays_and_lists_are_taken():
    expected = make_events(torch.tensor([1.5, 2.0]).double(), torch.tensor([0, 1]), torch.ones(2))
    for time, unit in (([1.5, 2], [0, 1]), (np.array([1.5, 2.0]), np.array([0, 1], dtype=np.int32))):
        events = make_events(time, unit, [1, 1])
        assert all(torch.equal(a, b) for a, b in zip(events, expected, strict=True))
    assert make_events([1, 2], [0, 1]).weight.dtype == torch.float32
    assert make_events(torch.tensor([1, 2]), [0, 1]).time.dtype == torch.float64


def test_bool_spikes_are_taken():
    grid = torch.tensor([[True, False], [False, True]])
    events = events_from_grid(grid, 0.5)
    assert events.weight.tolist() == [1.0, 1.0]
    assert torch.equal(events_to_grid(events, 2, 2, 0.5), grid.float())


ONE = make_events([1.0], [0])


@pytest.mark.parametrize("dt", [float("nan"), float("inf"), 0.0, -1.0])
def test_wrong_steps_raise(dt):
    with pytest.raises(ValueError, match="dt above 0 ms"):
        events_from_grid(torch.ones(2, 2), dt)
    with pytest.raises(ValueError, match="dt above 0 ms"):
        events_to_grid(ONE, 3, 1, dt)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make_events([1.0], [0], [float("nan")]), ValueError, "weight to be finite, got nan"),
        (lambda: make_events([1.0], [0], [float("inf")]), ValueError, "weight to be finite, got inf"),
        (lambda: make_events([1.0], [0.5]), ValueError, "whole numbers as units, got 0.5"),
        (lambda: make_events([1.0], [float("nan")]), ValueError, "whole numbers as units, got nan"),
        (lambda: make_events([1.0], torch.tensor([True])), TypeError, "got a mask"),
        (lambda: make_events("soon", [0]), TypeError, "time to be a tensor or numbers, got str"),
        (lambda: make_events(torch.tensor([1j]), [0]), TypeError, "time to be real"),
        (lambda: events_from_grid(torch.ones(2, 1, 3)), ValueError, r"spikes \[T, N\], got shape \(2, 1, 3\)"),
        (lambda: events_from_grid(torch.full((2, 2), torch.nan)), ValueError, "spikes to be finite, got nan"),
        (lambda: events_to_grid(ONE, 3, 0), ValueError, "units to be at least 1, got 0"),
        (lambda: events_to_grid(ONE, 2.5, 1), TypeError, "steps to be an integer, got 2.5"),
        (lambda: events_to_grid(ONE._replace(unit=torch.tensor([-1])), 3, 2), ValueError, "units from 0 to 1, got -1"),
        (lambda: events_to_grid(ONE._replace(unit=torch.tensor([2])), 3, 2), ValueError, "units from 0 to 1, got 2"),
        (lambda: events_to_grid(ONE._replace(time=torch.tensor([torch.nan])), 3, 1), ValueError, "finite times"),
    ],
)
def test_what_would_be_silently_wrong_raises(call, error, message):
    with pytest.raises(error, match=message):
        call()
