"""What every data set of events shares: splits, binning, cropping, augmentation."""

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.checks import fraction, one_of, positive_number, whole_number
from .binning import bin_events, normalize_channels
from .cache import cached
from .event_augmentation import EventAugmentation
from .events import Events
from .sequence_data import Batch, SequenceData, Sequences, sample_words
from .splits import fold_of, hold_out, of_people

PARTS = ("train", "val", "test")


class EventData(SequenceData):
    r"""Base of the sets of events. A subclass says ``sensor`` and ``classes`` and writes :meth:`read`.

    The events stay in memory as they are, six or eight bytes each, and are binned when a batch is asked for: the frame
    of step n counts the events from n dt to (n + 1) dt.

    Args:
        dt: width of a step, ms.
        duration: samples are cropped to this time, ms; with ``length="duration"`` all last so long.
        length: ``"sample"``: up to the last event and ``tail``; ``"duration"``: the silence after it belongs to the
            sample too.
        tail: silence after the last event that the network still works in, ms.
        crop: what stays of a sample longer than ``duration``: its ``"start"``, or while training a ``"random"`` part.
        clip: greatest count of a step; 1 for spikes that are there or not.
        pool: so many neighbouring units, along height and width for images, count as one.
        normalize: width in channels of the smoothing in :func:`normalize_channels`, odd; 0: counts stay as they are.
        augmentation: how training samples are changed, an :class:`EventAugmentation` or its arguments.
        validation: share of the training samples, by class and person, that is kept for validation, or the people whose
            samples are; if omitted, those that the set comes with, or else a tenth.
        test_people: people whose samples are the test, with all others for training; the official test otherwise.
        fold: which of ``folds`` parts of all samples is the test; the official test otherwise.
        folds: number of parts.
        split_seed: seed of the shares and folds.
        cache: folder in which what was read is kept in one file; nothing is kept if omitted.
        batch_size: size of a batch, over all processes together.
        bucket: number of batches that are sorted by length together while training.
        workers: processes that make batches beside the training.
        seed: seed of the order of the samples and of their augmentation.

    Raises:
        ValueError: if arguments do not fit each other or the units; from ``setup``, naming file and sample, if the data
            are damaged.
        FileNotFoundError: from ``setup``, if the data set is missing, with where to get it and what belongs to it.

    Example:
        >>> import numpy as np
        >>> from torchdyn_neuro.data import Recording, collect
        >>> class Clicks(EventData):
        ...     sensor, classes = (2,), 2
        ...     def read(self):
        ...         clicks = [Recording(np.array([1000, 2500 * n]), np.array([0, 1]), n % 2) for n in range(40)]
        ...         return {"train": collect("Clicks", clicks, self.sensor, self.classes)}
        >>> data = Clicks(dt=10.0, fold=0, batch_size=2)
        >>> frames, labels, lengths = next(iter(data.train_dataloader()))
        >>> frames.shape[0], frames.shape[2], frames.sum((1, 2)).tolist()
        (2, 2, [2.0, 2.0])
    """

    sensor: tuple[int, ...]

    def __init__(
        self,
        *,
        dt: float = 1.0,
        duration: float | None = None,
        length: str = "sample",
        tail: float = 0.0,
        crop: str = "start",
        clip: int | None = None,
        pool: int = 1,
        normalize: int = 0,
        augmentation: EventAugmentation | Mapping[str, Any] | None = None,
        validation: float | Sequence[int] | None = None,
        test_people: Sequence[int] | None = None,
        fold: int | None = None,
        folds: int = 5,
        split_seed: int = 0,
        cache: str | None = None,
        batch_size: int = 128,
        bucket: int = 1,
        workers: int = 0,
        seed: int = 0,
    ):
        super().__init__(batch_size=batch_size, bucket=bucket, workers=workers, seed=seed)
        owner = type(self).__name__
        self.dt = positive_number(owner, "dt", dt, unit="ms")
        self.duration = None if duration is None else positive_number(owner, "duration", duration, unit="ms")
        self.length = one_of(owner, "length", length, "sample", "duration")
        self.tail = positive_number(owner, "tail", tail, zero=True, unit="ms")
        self.crop = one_of(owner, "crop", crop, "start", "random")
        self.clip = None if clip is None else whole_number(owner, "clip", clip, 1)
        self.pool = whole_number(owner, "pool", pool, 1)
        self.normalize = whole_number(owner, "normalize", normalize, 0)
        self.augmentation = _augmentation(owner, augmentation)
        self.validation, self.test_people, self.fold, self.folds = validation, test_people, fold, folds
        self.split_seed, self.cache = split_seed, cache
        self.shape = (*self.sensor[:-2], *(-(-size // self.pool) for size in self.sensor[-2:]))
        self._check_arguments(owner)

    def _check_arguments(self, owner: str) -> None:
        if len(self.sensor) not in (1, 3):
            raise ValueError(
                f"{owner}: expected units along (channels,) or (polarities, height, width), got {self.sensor}; "
                "set sensor"
            )
        if self.duration is None and (self.length == "duration" or self.crop == "random"):
            raise ValueError(
                f"{owner}: expected a duration for length={self.length!r} and crop={self.crop!r}, got none; set "
                "data.duration, ms"
            )
        if self.length == "duration" and self.tail:
            raise ValueError(
                f"{owner}: expected tail=0 with length='duration', got {self.tail:g} ms; make the duration longer"
            )
        if self.normalize and (len(self.shape) != 1 or self.normalize % 2 == 0):
            raise ValueError(
                f"{owner}: expected normalize to be an odd number of channels, got {self.normalize} for units "
                f"{self.shape}; set data.normalize=0"
            )
        if self.fold is not None and self.test_people is not None:
            raise ValueError(
                f"{owner}: expected either fold or test_people, got {self.fold} and {list(self.test_people)}; leave "
                "one out"
            )
        for name in ("validation", "test_people"):
            people = getattr(self, name)
            chosen = isinstance(people, Sequence) and all(type(person) is int for person in people)
            if not chosen and not (people is None or (name == "validation" and isinstance(people, (int, float)))):
                raise TypeError(
                    f"{owner}: expected {name} to be a list of people{' or a share' * (name == 'validation')}, got "
                    f"{people!r}; write for example data.{name}=[1, 2]"
                )
        if self.validation is not None and not isinstance(self.validation, Sequence):
            fraction(owner, "validation", self.validation, of="the training samples")
        self.augmentation.check(owner, self.sensor)

    @abstractmethod
    def read(self) -> dict[str, Events]:
        """The parts that the set comes in: ``train``, and ``val`` and ``test`` if they are given."""

    def sources(self) -> list[Path]:
        """The files that are read; none for a set that is generated.

        Raises:
            FileNotFoundError: if the data set is missing.
        """
        return []

    def reading(self) -> tuple:
        """What else than the files decides what :meth:`read` gives: part of the name of a cache."""
        return (type(self).__qualname__, self.sensor, self.classes)

    def prepare_data(self) -> None:
        self.sources()

    def load(self) -> dict[str, Sequences]:
        sources = self.sources()
        if self.cache is not None and not sources:
            raise ValueError(
                f"{type(self).__name__}: expected a set in files for a cache, got one that is not; leave out data.cache"
            )
        if self.cache is None:
            parts = self.read()
        else:
            parts = cached(self.cache, type(self).__name__, self.reading(), sources, self.read)
        events = Events.joined([parts[name] for name in PARTS if name in parts])
        start, chosen = 0, {}
        for name in PARTS:
            if name in parts:
                chosen[name] = torch.arange(start, start := start + len(parts[name]))
        return {name: EventSequences(self, events, index) for name, index in self.split(events, chosen).items()}

    def split(self, events: Events, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """The indices of each split, from those of the parts that the set comes in."""
        owner = type(self).__name__
        if self.test_people is not None:
            train, test = of_people(events.people, list(self.test_people))
        elif self.fold is not None:
            train, test = fold_of(events.labels, events.people, self.fold, self.folds, seed=self.split_seed)
        elif "test" not in parts:
            raise ValueError(f"{owner}: expected a test set, found none; choose one with data.fold or data.test_people")
        else:
            train, test = parts["train"], parts["test"]
            if "val" in parts:
                if self.validation is None:
                    return {"train": train, "val": parts["val"], "test": test}
                train = torch.cat([train, parts["val"]])
        labels, people = events.labels[train], events.people[train]
        if isinstance(self.validation, Sequence):
            rest, held = of_people(people, list(self.validation))
        else:
            share = 0.1 if self.validation is None else self.validation
            rest, held = hold_out(labels, people, share, seed=self.split_seed)
        return {"train": train[rest], "val": train[held], "test": test}


class EventSequences(Sequences):
    """Some recordings of a set, binned as its arguments say.

    Args:
        data: the set.
        events: all its recordings.
        chosen: which of them belong here, [N].
    """

    def __init__(self, data: EventData, events: Events, chosen: Tensor):
        self.events, self.chosen = events, chosen
        self.labels = events.labels[chosen]
        self.sensor, self.shape = data.sensor, data.shape
        self.dt, self.duration, self.fixed, self.tail = data.dt, data.duration, data.length == "duration", data.tail
        self.random_crop, self.clip = data.crop == "random", data.clip
        self.normalize, self.augmentation, self.seed = data.normalize, data.augmentation, data.seed
        self.peers = [chosen[self.labels == label] for label in range(data.classes)]
        self.table = None if data.pool == 1 else _pooling(data.sensor, data.shape, data.pool)
        self.lengths = self.steps(events.ends[chosen].double() / 1e3)

    def look(self, samples: Tensor, number: int) -> Batch:
        # A partner to blend with is of the same class.
        blind = copy.copy(self)
        blind.augmentation = replace(self.augmentation, blend=0.0)
        return blind.batch(samples, number)

    def batch(self, samples: Tensor, epoch: int | None) -> Batch:
        chosen = self.chosen[samples]
        last = math.inf if self.duration is None else 1e3 * self.duration
        ends = self.events.ends[chosen].double()
        words = None if epoch is None else sample_words(self.seed, epoch, chosen)
        since = None
        if words is not None and self.random_crop:
            since = words[1] / 2**32 * (ends - last).clamp(min=0)
            ends = ends - since
        if words is None or not self.augmentation.active:
            rows, times, units = self.events.gather(chosen, since, last)
        else:
            seeds = words[0].tolist()
            rows, times, units = self.augmentation(self.events, chosen, self.peers, self.sensor, seeds, since, last)
            ends = torch.zeros_like(ends).scatter_reduce(0, rows, times, "amax")
        lengths = self.steps(ends / 1e3)
        units = units if self.table is None else self.table[units]
        frames = bin_events(rows, times / 1e3, units, lengths, dt=self.dt, channels=math.prod(self.shape))
        if self.clip is not None:
            frames.clamp_(max=self.clip)
        if self.normalize:
            frames = normalize_channels(frames, lengths, smooth=self.normalize)
        return frames.view(*frames.shape[:2], *self.shape), self.labels[samples], lengths

    def steps(self, ends: Tensor) -> Tensor:
        """Number of steps up to an event at ``ends``, ms, and what is to follow."""
        most = None if self.duration is None else math.ceil(round(self.duration / self.dt, 6))
        if self.fixed:
            return torch.full(ends.shape, most, dtype=torch.int64)
        steps = torch.floor(ends / self.dt).long() + 1 + math.ceil(round(self.tail / self.dt, 6))
        return steps if most is None else steps.clamp(max=most)


def _pooling(sensor: Sequence[int], shape: Sequence[int], pool: int) -> Tensor:
    """The unit that each unit of the sensor counts for; the last place is that of -1, which counts for none."""
    places = list(torch.unravel_index(torch.arange(math.prod(sensor)), tuple(sensor)))
    number = torch.zeros(math.prod(sensor), dtype=torch.int64)
    for axis, (place, size) in enumerate(zip(places, shape, strict=True)):
        number = number * size + (place // pool if axis >= len(sensor) - 2 else place)
    return torch.cat([number, torch.tensor([-1])])


def _augmentation(owner: str, given: EventAugmentation | Mapping[str, Any] | None) -> EventAugmentation:
    if isinstance(given, EventAugmentation):
        return given
    names = [field.name for field in fields(EventAugmentation)]
    unknown = [name for name in given or {} if name not in names]
    if unknown:
        raise ValueError(
            f"{owner}: expected augmentation by {', '.join(names)}, got {unknown[0]!r}; check the spelling"
        )
    return EventAugmentation(**given or {})
