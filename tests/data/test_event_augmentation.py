"""Each change alone, against what it may do; and that the numbers are those of the sample."""

import math

import numpy as np
import pytest
import torch

from tests.data.recordings import random_recordings
from torchdyn_neuro.data import EventAugmentation, Recording, collect

CHANNELS, IMAGE = (64,), (2, 16, 16)


def changed(recordings, shape, *, seeds=None, classes=2, **options):
    """The events of each recording as they come out: times in ms and units."""
    events = collect("test", recordings, shape, classes)
    samples = torch.arange(len(events))
    peers = [samples[events.labels == label] for label in range(classes)]
    rows, times, units = EventAugmentation(**options)(events, samples, peers, shape, seeds or samples.tolist())
    assert (rows.diff() >= 0).all()
    return [(times[rows == row] / 1e3, units[rows == row]) for row in range(len(events))]


def one(times, units, label=0):
    return Recording(np.array(times) * 1000, np.array(units), label)


def test_nothing_changes_without_options():
    recordings = random_recordings(3, CHANNELS)
    for (times, units), each in zip(changed(recordings, CHANNELS), recordings, strict=True):
        order = np.argsort(each.times, kind="stable")
        assert times.tolist() == (each.times[order] / 1e3).tolist()
        assert units.tolist() == each.units[order].tolist()
    assert not EventAugmentation().active


def test_move_loses_no_event():
    moves = [times[0] - 5 for times, _ in changed([one([5.0, 50.0], [0, 1])] * 200, CHANNELS, move=30.0)]
    assert all(times.diff().item() == pytest.approx(45) for times, _ in changed([one([5.0, 50.0], [0, 1])], CHANNELS))
    assert min(moves) == pytest.approx(-5)
    assert 25 < max(moves) <= 30
    assert sum(move == pytest.approx(-5) for move in moves) == pytest.approx(200 * 25 / 60, abs=30)


def test_stretch_scales_time():
    factors = torch.tensor(
        [float(t[1] / 100) for t, _ in changed([one([10, 100], [0, 0])] * 300, CHANNELS, stretch=0.2)]
    )
    assert 0.8 <= factors.min() < 0.83
    assert 1.17 < factors.max() <= 1.2
    assert factors.mean() == pytest.approx(1, abs=0.02)


def test_jitter_is_normal():
    [(times, units)] = changed([one([100.0] * 4000, [3] * 4000)], CHANNELS, jitter=4.0)
    assert times.std() == pytest.approx(4, rel=0.05)
    assert times.mean() == pytest.approx(100, abs=0.3)
    assert (units == 3).all()
    [(times, _)] = changed([one([0.0] * 100, [3] * 100)], CHANNELS, jitter=4.0)
    assert times.min() == 0


def test_drop_takes_up_to_a_share():
    kept = torch.tensor(
        [len(times) / 400 for times, _ in changed(random_recordings(100, CHANNELS, events=400), CHANNELS, drop=0.4)]
    )
    assert kept.min() == pytest.approx(0.6, abs=0.06)
    assert kept.max() == pytest.approx(1, abs=0.06)
    assert kept.mean() == pytest.approx(0.8, abs=0.05)


def test_shift_moves_all_channels_alike():
    found = [units.tolist() for _, units in changed([one([0, 0], [0, 30])] * 200, CHANNELS, shift=2)]
    moves = [units[1] - 30 for units in found]
    assert set(moves) == {-2, -1, 0, 1, 2}
    # What leaves the units is found nowhere.
    assert [units[0] for units in found] == [max(move, -1) for move in moves]


def test_warp_spreads_channels_from_the_first():
    found = torch.stack([units for _, units in changed([one([0, 0, 0], [0, 20, 40])] * 200, CHANNELS, warp=0.1)])
    assert (found[:, 0] == 0).all()
    assert set(found[:, 1].tolist()) == {18, 19, 20, 21, 22}
    assert (found[:, 2] - 2 * found[:, 1]).abs().max() <= 1


def test_unit_jitter_is_normal():
    [(_, units)] = changed([one([1] * 4000, [32] * 4000)], CHANNELS, unit_jitter=3.0)
    assert units.double().std() == pytest.approx(math.sqrt(9 + 1 / 12), rel=0.05)


def place(polarity, row, column):
    return (polarity * 16 + row) * 16 + column


def test_flip_exchanges_left_and_right():
    found = [
        units.tolist() for _, units in changed([one([0, 0], [place(1, 2, 3), place(0, 5, 15)])] * 60, IMAGE, flip=0.5)
    ]
    flipped = [place(1, 2, 12), place(0, 5, 0)]
    assert {tuple(units) for units in found} == {tuple(flipped), (place(1, 2, 3), place(0, 5, 15))}
    assert 15 < sum(units == flipped for units in found) < 45


def test_rotation_keeps_distances():
    # Seven columns and seven rows from the middle of the sensor, at (7.5, 7.5).
    found = torch.cat([units for _, units in changed([one([0], [place(1, 8, 14)])] * 100, IMAGE, rotate=45.0)])
    polarity, row, column = torch.unravel_index(found, IMAGE)
    radius = torch.hypot(row - 7.5, column - 7.5)
    assert (polarity == 1).all()
    assert (radius - math.hypot(0.5, 6.5)).abs().max() <= math.sqrt(0.5)
    assert row.min() < 6
    assert row.max() > 10


def test_shift_of_images_is_in_both_directions():
    found = torch.cat([units for _, units in changed([one([0], [place(0, 8, 8)])] * 200, IMAGE, shift=1)])
    assert set(found.tolist()) == {place(0, 8 + down, 8 + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


def test_blend_takes_half_of_two_of_a_class():
    recordings = [one([20.0] * 100, [10] * 100), one([60.0] * 100, [20] * 100), one([200.0] * 100, [40] * 100, label=1)]
    for seed in range(8):
        mixed, _, alone = changed(recordings, CHANNELS, blend=1.0, seeds=[seed] * 3)
        # The one of another class meets only itself, and keeps its place.
        assert alone[0].unique().tolist() == [200]
        assert alone[1].unique().tolist() == [40]
        assert 60 < len(mixed[0]) < 140
        # With itself, or in the middle of the two.
        assert (mixed[0].unique().tolist(), mixed[1].unique().tolist()) in (
            [[20], [10]],
            [[40], [15]],
            ([20], [10]),
            ([40], [15]),
        )
    unmixed = changed(recordings, CHANNELS, blend=1e-9)
    assert [len(times) for times, _ in unmixed] == [100] * 3


@pytest.mark.parametrize("shape", [CHANNELS, IMAGE])
def test_a_sample_does_not_depend_on_its_batch(shape):
    options = {"move": 20.0, "stretch": 0.1, "jitter": 2.0, "drop": 0.3, "shift": 2, "warp": 0.1, "unit_jitter": 0.5}
    options |= {"blend": 0.5} | ({"flip": 0.5, "rotate": 10.0} if len(shape) == 3 else {})
    events = collect("test", random_recordings(8, shape), shape, 2)
    peers = [torch.nonzero(events.labels == label).flatten() for label in range(2)]
    augment = EventAugmentation(**options)
    rows, *whole = augment(events, torch.arange(8), peers, shape, list(range(8)))
    for row in range(8):
        _, *alone = augment(events, torch.tensor([row]), peers, shape, [row])
        assert all(torch.equal(part[rows == row], each) for part, each in zip(whole, alone, strict=True))
    _, *other = augment(events, torch.tensor([0]), peers, shape, [99])
    assert not torch.equal(other[0], whole[0][rows == 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"move": -1.0}, "expected move at least 0"),
        ({"drop": 1.5}, "expected drop from 0 to 1"),
        ({"shift": 1.5}, "shift to be whole places"),
    ],
)
def test_wrong_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        EventAugmentation(**options)


def test_flips_are_for_images():
    with pytest.raises(ValueError, match=r"expected images for flip"):
        EventAugmentation(flip=0.5).check("SHD", (700,))
