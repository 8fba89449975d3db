"""Frames against counts by hand."""

import torch

from torchdyn_neuro.data.binning import bin_events, normalize_channels


def test_an_event_at_an_edge_belongs_to_the_step_that_begins():
    times = torch.tensor([0.0, 9.999, 10.0, 19.0, 20.0], dtype=torch.float64)
    frames = bin_events(torch.zeros(5).long(), times, torch.zeros(5).long(), torch.tensor([3]), dt=10.0, channels=1)
    assert frames.flatten().tolist() == [2, 2, 1]


def test_what_lies_outside_is_left_out():
    rows = torch.tensor([0, 0, 0, 0, 1, 1])
    times = torch.tensor([-0.1, 1.0, 2.0, 1.0, 1.0, 0.0])
    units = torch.tensor([0, 1, 0, -1, 2, 1])
    frames = bin_events(rows, times, units, torch.tensor([2, 1]), dt=1.0, channels=2)
    expected = torch.zeros(2, 2, 2)
    expected[0, 1, 1] = 1  # the row's other events are too early, too late and nowhere
    expected[1, 0, 1] = 1  # unit 2 does not exist
    assert torch.equal(frames, expected)


def test_normalisation_by_hand():
    frames = torch.zeros(1, 4, 3)
    frames[0, :, 0], frames[0, 0, 2] = torch.tensor([2.0, 0, 2, 0]), 4.0
    # Means 1, 0 and 1; averaged over neighbours 1/2, 2/3 and 1/2.
    expected = frames / torch.tensor([1 / 2, 2 / 3, 1 / 2])
    torch.testing.assert_close(normalize_channels(frames, torch.tensor([4]), smooth=3, floor=0.0), expected)
    # With a floor of the mean over all, 2/3, none is smaller.
    torch.testing.assert_close(normalize_channels(frames, torch.tensor([4]), smooth=3, floor=1.0), frames / (2 / 3))


def test_normalisation_knows_no_padding_and_no_loudness():
    frames = torch.rand(1, 5, 20, generator=torch.Generator().manual_seed(0))
    alone = normalize_channels(frames, torch.tensor([5]))
    padded = normalize_channels(torch.cat([frames, torch.zeros(1, 3, 20)], 1), torch.tensor([5]))
    assert torch.equal(padded[:, :5], alone)
    assert not padded[:, 5:].any()
    torch.testing.assert_close(normalize_channels(3 * frames, torch.tensor([5])), alone)
    assert not normalize_channels(torch.zeros(1, 2, 3), torch.tensor([2])).any()
