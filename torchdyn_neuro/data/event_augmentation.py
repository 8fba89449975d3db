"""Random changes of events while training."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, auto

import torch
from torch import Tensor

from ..core.checks import fraction, positive_number
from .events import Events

SHARES = ("stretch", "warp", "drop", "flip", "blend")
PICTURES_ONLY = ("flip", "rotate")

Ragged = tuple[Tensor, Tensor, Tensor]
"""The row of each event, sorted; its time, microseconds; its unit."""


class Purpose(IntEnum):
    """What each number that is drawn for a sample is for."""

    MOVE = 0
    STRETCH = auto()
    DROP = auto()
    FLIP = auto()
    ROTATE = auto()
    WARP = auto()
    ACROSS = auto()
    DOWN = auto()
    BLEND = auto()
    PARTNER = auto()


@dataclass(frozen=True)
class EventAugmentation:
    r"""What is changed in the events of a sample, each by a number of its own; nothing by default.

    The numbers are a function of seed, epoch and sample: they do not depend on the batch, the processes or what ran
    before. Events that leave the units are lost. The order is blend; stretch, move and jitter in time; flip, rotate,
    warp, shift and jitter in space; drop.

    Args:
        move: the sample begins up to so much later, or earlier as far as no event is lost, ms.
        stretch: time runs up to this share faster or slower, from 0 to 1.
        jitter: standard deviation of what is added to each time, ms.
        drop: up to this share of the events, drawn for each sample, is left out at random.
        shift: all units move by up to so many places, along height and width if there are such axes.
        warp: units are spread by up to this share: from channel 0 on, or from the middle of an image.
        unit_jitter: standard deviation of what is added to each unit, in places along each axis.
        flip: probability that left and right are exchanged; images only.
        rotate: images turn by up to this angle, degrees.
        blend: probability that a sample is mixed with another of its class: both brought to a common centre of time and
            space, each event of either is kept with probability one half.

    Raises:
        ValueError: if a number is negative, or a share above 1.

    Source: Cramer et al. (2020), IEEE TNNLS 33:2744 (shift, jitter); Nowotny, Turner & Knight (2025), Neuromorph.
    Comput. Eng. 5:014001 (shift, blend); Gu et al. (2021), EventDrop, IJCAI; Li et al. (2022), Neuromorphic data
    augmentation, ECCV (rotate, shift, flip).

    Example:
        >>> EventAugmentation(move=30.0, drop=0.2).active
        True
    """

    move: float = 0.0
    stretch: float = 0.0
    jitter: float = 0.0
    drop: float = 0.0
    shift: int = 0
    warp: float = 0.0
    unit_jitter: float = 0.0
    flip: float = 0.0
    rotate: float = 0.0
    blend: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            positive_number("EventAugmentation", field.name, value, zero=True)
            if field.name in SHARES:
                fraction("EventAugmentation", field.name, value, of="one")
        if self.shift != int(self.shift):
            raise ValueError(f"EventAugmentation: expected shift to be whole places, got {self.shift}; round it")

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return any(getattr(self, field.name) for field in fields(self))

    def check(self, owner: str, shape: Sequence[int]) -> None:
        """Raise ``ValueError`` if something is asked for that these units cannot do."""
        asked = [name for name in PICTURES_ONLY if getattr(self, name)]
        if asked and len(shape) != 3:
            raise ValueError(f"{owner}: expected images for {asked[0]}, got {len(shape)} axis of units; leave it out")

    def __call__(
        self,
        events: Events,
        samples: Tensor,
        peers: Sequence[Tensor],
        shape: Sequence[int],
        seeds: Sequence[int],
        since: Tensor | None = None,
        last: float = math.inf,
    ) -> Ragged:
        """The changed events of some samples.

        Args:
            events: all recordings.
            samples: which of them, [B].
            peers: of each class, the recordings that may be blended with.
            shape: how many units there are along each axis.
            seeds: of each sample.
            since: time in each that counts as 0, microseconds [B]; earlier events are left out.
            last: microseconds after that which are needed of what comes out.

        Returns:
            The row of each event, its time in microseconds and its unit, -1 if that left the units.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = torch.stack([torch.rand(len(Purpose), generator=each, dtype=torch.float64) for each in generators])
        # What moves from behind to the front by six standard deviations is not missed.
        room = (last + 1e3 * (self.move + 6 * self.jitter)) / (1 - self.stretch) if self.stretch < 1 else math.inf
        found = events.gather(samples, since, math.inf if self.blend else room)
        if self.blend:
            found = self._blended(found, events, samples, peers, shape, drawn, generators)
        rows, times, units = found
        times = self._in_time(rows, times, drawn, generators)
        if self.shift or self.warp or self.unit_jitter or self.flip or self.rotate:
            units = self._in_space(rows, units, shape, drawn[rows], generators)
        if self.drop:
            kept = _for_each_event(torch.rand, rows, generators) >= self.drop * drawn[rows, Purpose.DROP]
            rows, times, units = rows[kept], times[kept], units[kept]
        return rows, times, units

    def _in_time(self, rows: Tensor, times: Tensor, drawn: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        centred = 2 * drawn - 1
        times = times * (1 + self.stretch * centred[:, Purpose.STRETCH])[rows]
        if self.move:
            times = times + torch.maximum(1e3 * self.move * centred[:, Purpose.MOVE], -_first(rows, times, drawn))[rows]
        if self.jitter:
            times = (times + 1e3 * self.jitter * _for_each_event(torch.randn, rows, generators)).clamp(min=0)
        return times

    def _in_space(
        self, rows: Tensor, units: Tensor, shape: Sequence[int], drawn: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        def placed(place: Tensor, middle: float, number: Purpose) -> Tensor:
            place = place + middle + torch.floor(drawn[:, number] * (2 * self.shift + 1)) - self.shift
            if self.unit_jitter:
                place = place + self.unit_jitter * _for_each_event(torch.randn, rows, generators)
            return place

        spread = 1 + self.warp * (2 * drawn[:, Purpose.WARP] - 1)
        if len(shape) == 1:
            return _numbers([placed(spread * units, 0.0, Purpose.ACROSS)], shape)
        polarity, down, across = _coordinates(units, shape)
        middle_down, middle_across = ((size - 1) / 2 for size in shape[1:])
        down, across = down - middle_down, across - middle_across
        across = torch.where(drawn[:, Purpose.FLIP] < self.flip, -across, across)
        angle = math.radians(self.rotate) * (2 * drawn[:, Purpose.ROTATE] - 1)
        sine, cosine = torch.sin(angle), torch.cos(angle)
        turned_across, turned_down = cosine * across - sine * down, sine * across + cosine * down
        down = placed(spread * turned_down, middle_down, Purpose.DOWN)
        return _numbers([polarity, down, placed(spread * turned_across, middle_across, Purpose.ACROSS)], shape)

    def _blended(
        self,
        own: Ragged,
        events: Events,
        samples: Tensor,
        peers: Sequence[Tensor],
        shape: Sequence[int],
        drawn: Tensor,
        generators: Sequence[torch.Generator],
    ) -> Ragged:
        mixed = torch.nonzero(drawn[:, Purpose.BLEND] < self.blend).flatten()
        if not len(mixed):
            return own
        alike = [peers[label] for label in events.labels[samples[mixed]].tolist()]
        places = [int(drawn[row, Purpose.PARTNER] * len(same)) for row, same in zip(mixed.tolist(), alike, strict=True)]
        rows, *rest = events.gather(torch.stack([same[place] for same, place in zip(alike, places, strict=True)]))
        other = (mixed[rows], *rest)
        # Where a sample meets nobody, its own centre is the common one.
        centres = [_centres(found, shape, len(drawn)) for found in (own, other)]
        alone = torch.ones(len(drawn), dtype=torch.bool).index_fill(0, mixed, False)
        common = torch.where(alone[:, None], centres[0], (centres[0] + centres[1]) / 2)
        parts = [_moved(found, common - centre, shape) for found, centre in zip((own, other), centres, strict=True)]
        rows, times, units = (torch.cat(pair) for pair in zip(*parts, strict=True))
        order = torch.argsort(rows, stable=True)
        order = order[units[order] >= 0]
        rows, times, units = rows[order], times[order], units[order]
        times = times + (-_first(rows, times, drawn)).clamp(min=0)[rows]
        kept = alone[rows]
        # A sample that meets nobody draws nothing, as if in a batch where nobody meets.
        kept[~kept] = _for_each_event(torch.rand, rows[~kept], generators) < 0.5
        return rows[kept], times[kept], units[kept]


def _for_each_event(draw: Callable, rows: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """A number for each event, from the generator of its row."""
    counts = torch.bincount(rows, minlength=len(generators)).tolist()
    return torch.cat([draw(count, generator=each) for count, each in zip(counts, generators, strict=True)])


def _first(rows: Tensor, times: Tensor, drawn: Tensor) -> Tensor:
    """When the first event of each row happens; infinite without any."""
    return drawn.new_full((len(drawn),), math.inf).scatter_reduce(0, rows, times, "amin")


def _coordinates(units: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """Along each axis, the place of each unit."""
    return [place.double() for place in torch.unravel_index(units, tuple(shape))]


def _numbers(coordinates: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """The number of the unit nearest to each place; -1 where there is none."""
    number, inside = torch.zeros_like(coordinates[0], dtype=torch.int64), True
    for place, size in zip(coordinates, shape, strict=True):
        nearest = torch.floor(place + 0.5).long()
        inside = inside & (nearest >= 0) & (nearest < size)
        number = number * size + nearest
    return torch.where(inside, number, -1)


def _centres(found: Ragged, shape: Sequence[int], batch: int) -> Tensor:
    """The mean time and place of the events of each row, [B, 1 + axes]; zero without any."""
    rows, times, units = found
    values = torch.stack([times, *_coordinates(units, shape)], 1)
    sums = values.new_zeros(batch, values.shape[1]).index_add(0, rows, values)
    return sums / torch.bincount(rows, minlength=batch).clamp(min=1)[:, None]


def _moved(found: Ragged, by: Tensor, shape: Sequence[int]) -> Ragged:
    """Events with all of a row moved in time and space; not from one polarity to another."""
    rows, times, units = found
    later, *shifts = by[rows].unbind(1)
    if len(shape) == 3:
        shifts[0] = torch.zeros_like(later)
    places = [place + shift for place, shift in zip(_coordinates(units, shape), shifts, strict=True)]
    return rows, times + later, _numbers(places, shape)
