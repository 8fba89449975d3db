"""Batches of events: lengths, cropping, pooling, augmentation that resumes, splits, cache."""

import numpy as np
import pytest
import torch

from tests.data.recordings import Small, random_recordings
from torchdyn_neuro.data import EventDataset, FrameDataset, Recording

EVERYTHING = {"move": 20.0, "stretch": 0.1, "jitter": 2.0, "drop": 0.3, "shift": 1, "blend": 0.5}


def by_hand(recording, dt, channels):
    frames = np.zeros((recording.times.max() // int(1e3 * dt) + 1, channels))
    for time, unit in zip(recording.times, recording.units, strict=True):
        frames[time // int(1e3 * dt), unit] += 1
    return torch.from_numpy(frames).float()


def test_frames_are_counts_of_the_events():
    data = Small(dt=10.0)
    batches = list(data.test_dataloader())
    expected = sorted((by_hand(each, 10.0, 8) for each in data.recordings[-8:]), key=len)
    found = [
        (frames[row, : lengths[row]], frames[row, lengths[row] :]) for frames, _, lengths in batches for row in range(4)
    ]
    for (sample, padding), each in zip(found, expected, strict=True):
        assert torch.equal(sample, each)
        assert not padding.any()
    frames, labels, lengths = batches[0]
    assert (frames.dtype, labels.dtype, lengths.dtype) == (torch.float32, torch.int64, torch.int64)
    assert frames.shape[1] == lengths.max()
    assert data.shape == (8,)


@pytest.mark.parametrize("options", [{"length": "duration"}, {"tail": 30.0}, {}])
def test_length(options):
    # The last event is at 95 ms, in the tenth step.
    [(frames, _, lengths)] = Small(
        recordings=[Recording(np.array([95_000]), np.array([0]), 0)] * 28,
        dt=10.0,
        duration=120.0,
        batch_size=8,
        **options,
    ).test_dataloader()
    expected = {"length": 12, "tail": 12}.get(next(iter(options), ""), 10)
    assert lengths.tolist() == [expected] * 8
    assert frames.shape == (8, expected, 8)


def test_a_padded_sample_is_what_it_is_alone():
    data = Small(dt=5.0, normalize=3, clip=2)
    data.setup()
    split = data.splits["test"]
    frames, _, lengths = split.batch(torch.arange(8), None)
    for row in range(8):
        alone, _, [length] = split.batch(torch.tensor([row]), None)
        assert length == lengths[row]
        assert torch.equal(frames[row, :length], alone[0])


def test_cropping():
    whole = Small(dt=10.0)
    start, part = Small(dt=10.0, duration=40.0), Small(dt=10.0, duration=40.0, crop="random")
    for data in (whole, start, part):
        data.setup()
    everything, _, _ = whole.splits["test"].batch(torch.arange(8), None)
    cropped, _, now = start.splits["test"].batch(torch.arange(8), None)
    assert torch.equal(cropped, everything[:, :4])
    assert now.tolist() == [4] * 8
    assert torch.equal(part.splits["test"].batch(torch.arange(8), None)[0], cropped)
    drawn = [part.splits["train"].batch(torch.arange(8), epoch)[0] for epoch in (0, 0, 1)]
    assert drawn[0].shape == (8, 4, 8)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_pooling_adds_neighbours():
    fine, coarse = (Small(sensor=(2, 6, 6), pool=pool, dt=10.0, clip=None) for pool in (1, 3))
    pair = [next(iter(data.test_dataloader()))[0] for data in (fine, coarse)]
    assert coarse.shape == (2, 2, 2)
    expected = pair[0].unflatten(-1, (2, 3)).unflatten(-3, (2, 3)).sum((-1, -3))
    assert torch.equal(pair[1], expected)
    channels = [next(iter(Small(pool=pool, dt=10.0).test_dataloader()))[0] for pool in (1, 3)]
    assert channels[1].shape[-1] == 3
    assert torch.equal(channels[1][..., 2], channels[0][..., 6:].sum(-1))


def test_cropping_before_augmentation_is_cropping_after_it():
    """Whatever can move into the crop is taken, and nothing else is looked at."""
    options = {"dt": 10.0, "augmentation": {"move": 20.0, "stretch": 0.2}}
    whole, cropped = Small(**options), Small(**options, duration=40.0)
    for data in (whole, cropped):
        data.setup()
    frames, _, lengths = whole.splits["train"].batch(torch.arange(20), 3)
    short, _, now = cropped.splits["train"].batch(torch.arange(20), 3)
    assert lengths.min() >= 4
    assert torch.equal(short, frames[:, :4])
    assert now.tolist() == [4] * 20


def batches(data, epochs):
    """All training batches of some epochs, as a trainer would ask for them."""
    found = []
    for epoch in epochs:
        data.epoch = lambda epoch=epoch: epoch
        found += list(data.train_dataloader())
    return found


def equal(first, second):
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


def test_a_run_that_goes_on_sees_the_same():
    options = {"augmentation": EVERYTHING, "bucket": 2, "crop": "random", "duration": 60.0}
    whole = batches(Small(**options), range(2))
    assert len(whole) == 2 * 7
    torch.manual_seed(123)
    torch.rand(7)
    assert equal(batches(Small(**options), [1]), whole[7:])
    assert not equal(whole[7:], whole[:7])
    assert not equal(batches(Small(**options, seed=1), [1]), whole[7:])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_belongs_to_the_epoch_of_its_first_batch(workers):
    """The trainer calls iter() before a resumed run knows its epoch; worker processes see the same as none."""
    data = Small(augmentation=EVERYTHING, workers=workers)
    epoch = [0]
    data.epoch = lambda: epoch[0]
    begun = iter(data.train_dataloader())
    epoch[0] = 1
    assert equal([next(begun)], batches(Small(augmentation=EVERYTHING), [1])[:1])


def test_no_number_is_taken_from_the_generator_of_the_model():
    before = torch.get_rng_state()
    batches(Small(augmentation=EVERYTHING), [0])
    assert torch.equal(before, torch.get_rng_state())


def test_validation_and_test_are_not_changed():
    plain, changed = Small(), Small(augmentation=EVERYTHING)
    for name in ("val_dataloader", "test_dataloader"):
        assert equal(list(getattr(plain, name)()), list(getattr(changed, name)()))
    assert not equal(batches(plain, [0]), batches(changed, [0]))


def sizes(data):
    data.setup()
    return [len(data.splits[name].labels) for name in ("train", "val", "test")]


def test_splits():
    assert sizes(Small(validation=0.25)) == [24, 8, 8]
    assert sizes(Small(fold=1, folds=4, validation=0.2)) == [24, 6, 10]
    data = Small(test_people=[0], validation=[2])
    data.setup()
    people = {name: split.events.people[split.chosen].unique().tolist() for name, split in data.splits.items()}
    assert people == {"train": [1], "val": [2], "test": [0]}
    assert sum(sizes(data)) == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": "duration"}, r"set data\.duration"),
        ({"crop": "random"}, r"set data\.duration"),
        ({"length": "duration", "duration": 50.0, "tail": 5.0}, "tail=0 with length='duration'"),
        ({"normalize": 4}, "an odd number of channels"),
        ({"normalize": 3, "sensor": (2, 6, 6)}, "an odd number of channels"),
        ({"fold": 0, "test_people": [0]}, "either fold or test_people"),
        ({"augmentation": {"flip": 0.5}}, "expected images for flip"),
        ({"augmentation": {"jiter": 0.5}}, "got 'jiter'; check the spelling"),
        ({"validation": 2.0}, "expected validation from 0 to 1"),
        ({"validation": "abc"}, r"list of people or a share, got 'abc'; write for example data\.validation=\[1, 2\]"),
        ({"validation": [0.5]}, "list of people or a share"),
        ({"test_people": 0}, r"test_people to be a list of people, got 0; write"),
        ({"dt": 0.0}, "expected dt above 0"),
        ({"sensor": (6, 6)}, r"\(channels,\) or \(polarities, height, width\)"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Small(**options)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"times": np.array([]), "units": np.array([], int)}, r"at least one event, got none in recording 7"),
        ({"units": np.array([3, 8])}, r"units from 0 to 7, got 3 to 8 in recording 7"),
        ({"units": np.array([-1, 3])}, r"units from 0 to 7, got -1 to 3 in recording 7"),
        (
            {"units": np.array([1])},
            r"one time and one unit for each event, got .*\(2,\) and units \(1,\) in recording 7",
        ),
        ({"units": np.array([1.0, 2.0])}, r"whole numbers of units .*, got float64 .* in recording 7"),
        ({"times": np.array([-1, 3])}, r"times from 0 to 2147 s, got -1e-06 s to 3e-06 s in recording 7"),
        ({"times": np.array([1.0, np.nan])}, r"times from 0 to 2147 s, got nan s .* in recording 7"),
        ({"label": 2}, r"label from 0 to 1, got 2 in recording 7"),
        ({"label": -1}, r"label from 0 to 1, got -1 in recording 7"),
    ],
)
def test_damaged_samples_are_named(broken, message):
    recordings = random_recordings(20, (8,))
    recordings[7] = Recording(np.array([1, 2]), np.array([0, 1]), 0, name="recording 7")._replace(**broken)
    with pytest.raises(ValueError, match=f"Small: expected .*{message}"):
        Small(recordings=recordings).setup()


def test_wrong_coordinates_are_named():
    recording = Recording(np.array([1, 2]), np.array([[0, 5, 5], [1, 6, 0]]), 0, name="recording 0")
    with pytest.raises(ValueError, match="rows from 0 to 5, got 5 to 6 in recording 0"):
        Small(recordings=[recording] * 20, sensor=(2, 6, 6)).setup()


def test_an_empty_split_is_named():
    with pytest.raises(ValueError, match=r"at least one sample in the val split, got none; .*data\.validation"):
        Small(validation=0.0).setup()


class FromFile(Small):
    """The same, from a file, and counting how often it is read."""

    reads = 0

    def __init__(self, path, **options):
        super().__init__(**options)
        self.path = path

    def sources(self):
        return [self.path]

    def read(self):
        self.reads += 1
        return super().read()


def test_cache(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "cache"
    source.write_text("1")
    first = FromFile(source, cache=str(folder))
    plain = Small()
    assert equal(batches(first, [0]), batches(plain, [0]))
    second = FromFile(source, cache=str(folder))
    assert equal(batches(second, [0]), batches(plain, [0]))
    assert (first.reads, second.reads) == (1, 0)
    assert len(list(folder.iterdir())) == 1
    source.write_text("22")
    third = FromFile(source, cache=str(folder))
    third.setup()
    assert third.reads == 1


def test_a_damaged_cache_is_written_anew(tmp_path):
    source = tmp_path / "source"
    source.write_text("1")
    FromFile(source, cache=str(tmp_path)).setup()
    [cached] = tmp_path.glob("FromFile-*.pt")
    cached.write_bytes(cached.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged"):
        FromFile(source, cache=str(tmp_path)).setup()
    again = FromFile(source, cache=str(tmp_path))
    again.setup()
    assert again.reads == 0


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"expected a folder to keep a cache in, got .*; change data\.cache"):
        FromFile(tmp_path / "file", cache=str(tmp_path / "file")).setup()


def test_nothing_to_cache():
    with pytest.raises(ValueError, match=r"leave out data\.cache"):
        Small(cache="somewhere").setup()


TRIPLES = [([0.0005, 0.003], [[0, 1, 2], [1, 0, 0]], 0), ([0.001], [[1, 5, 5]], 1)] * 5


def test_a_data_set_of_the_users_own():
    data = EventDataset(TRIPLES, fold=0, folds=5, validation=0.3, shape=(2, 6, 6), classes=2, unit="s", batch_size=2)
    frames, labels, lengths = next(iter(data.test_dataloader()))
    assert sorted(zip(lengths.tolist(), labels.tolist(), strict=True)) == [(2, 1), (4, 0)]
    row = labels.tolist().index(0)
    assert frames[row, 0, 0, 1, 2] == frames[row, 3, 1, 0, 0] == 1
    assert frames.sum() == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (([0.1, 0.2], [3], 0), "sample 3 of the train split"),
        (([0.1], [9], 0), "units from 0 to 7, got 9 to 9 in sample 3 of the train split"),
        (([0.1], [1], 5), "label from 0 to 1, got 5 in sample 3 of the train split"),
        (([], [], 0), "none in sample 3 of the train split"),
        (([0.1], [1], 0.5), "label from 0 to 1, got 0.5 in sample 3 of the train split"),
        (([0.1], [1], None), "\\(times, units, label\\) of numbers, .* in sample 3 of the train split"),
        (([0.1], [1]), "\\(times, units, label\\) of numbers, .* in sample 3 of the train split"),
    ],
)
def test_damage_in_a_data_set_of_the_users_own(damage, message):
    triples = [([0.1], [1], 0)] * 6
    triples[3] = damage
    with pytest.raises(ValueError, match=f"EventDataset: expected .*{message}"):
        EventDataset(triples, triples[:1], shape=(8,), classes=2).setup()


def test_without_a_test_set():
    with pytest.raises(ValueError, match=r"expected a test set, found none; choose one with data\.fold"):
        EventDataset(TRIPLES, shape=(2, 6, 6), classes=2).setup()


def sparse(frames):
    return frames.to_sparse()


@pytest.mark.parametrize("kind", [torch.int16, torch.uint8, torch.bool, torch.float64, "uint16", sparse])
def test_frames_are_taken_as_they_come(kind):
    numbers = torch.Generator().manual_seed(0)
    pairs = []
    for index in range(6):
        counts = torch.randint(0, 2, (index + 1, 2, 3), generator=numbers)
        if callable(kind):
            frames = kind(counts)
        else:
            frames = counts.numpy().astype(kind) if isinstance(kind, str) else counts.to(kind)
        pairs.append((frames, index % 2))
    data = FrameDataset(pairs, pairs, val=pairs, classes=2, batch_size=6)
    [(frames, labels, lengths)] = data.test_dataloader()
    assert frames.dtype == torch.float32
    assert data.shape == (2, 3)
    assert (labels.tolist(), lengths.tolist()) == ([0, 1] * 3, [1, 2, 3, 4, 5, 6])
    for row, (sample, _) in enumerate(pairs):
        dense = (
            sample.to_dense()
            if callable(kind)
            else torch.as_tensor(sample.astype(int) if isinstance(kind, str) else sample)
        )
        assert torch.equal(frames[row, : row + 1], dense.float())
        assert not frames[row, row + 1 :].any()


@pytest.mark.parametrize(
    ("frames", "label", "message"),
    [
        (torch.zeros(0, 3), 0, r"with T from 1 on, got \(0, 3\) in sample 1 of the test split"),
        (torch.zeros(2, 4), 0, r"frames \[T, 3\] .*, got \(2, 4\) in sample 1 of the test split"),
        (torch.full((2, 3), float("nan")), 0, "finite .* in sample 1 of the test split"),
        (torch.zeros(2, 3), 0.5, "label from 0 to 1, got 0.5 in sample 1 of the test split"),
        (torch.zeros(2, 3), 2, "label from 0 to 1, got 2 in sample 1 of the test split"),
    ],
)
def test_damaged_frames_are_named(frames, label, message):
    pairs = [(torch.zeros(2, 3), 0)] * 4
    with pytest.raises(ValueError, match=message):
        FrameDataset(pairs, [pairs[0], (frames, label)], classes=2).setup()


def in_seconds(count=4):
    draw = np.random.default_rng(0)
    return [(np.sort(draw.uniform(0, 2.0, 50)), draw.integers(0, 3, 50), index % 2) for index in range(count)]


def own(triples, **options):
    return EventDataset(triples, triples, val=triples, shape=(3,), classes=2, batch_size=2, **options)


@pytest.mark.parametrize(("scale", "unit"), [(1, "seconds"), (1e6, "microseconds")])
def test_times_that_are_no_milliseconds_are_refused_unless_said(scale, unit):
    triples = [(times * scale, *rest) for times, *rest in in_seconds()]
    with pytest.raises(
        ValueError, match=rf"expected times in ms, .* 50 events each, as if they were {unit}; pass unit="
    ):
        own(triples).setup()
    said = own(triples, unit="s" if scale == 1 else "us", dt=100.0)
    assert next(iter(said.test_dataloader()))[2].tolist() == [20, 20]
    # Few events may well come within some ms.
    own([(times[:5], units[:5], label) for times, units, label in in_seconds()]).setup()


def test_a_loader_counts_its_samples():
    data = own(in_seconds(), unit="s", dt=100.0)
    assert len(data.test_dataloader().dataset) == 4
