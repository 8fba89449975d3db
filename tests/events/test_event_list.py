"""Lists of events and dense sequences."""

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
