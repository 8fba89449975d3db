"""Small sets of events for tests."""

import numpy as np

from torchdyn_neuro.data import EventData, Recording, collect


def random_recordings(count, shape, *, classes=2, people=3, longest=100.0, events=40, seed=0):
    """Recordings of up to ``longest`` ms, with as many of each class."""
    numbers = np.random.default_rng(seed)
    units = int(np.prod(shape))
    return [
        Recording(
            numbers.integers(0, int(1e3 * numbers.uniform(0.3, 1) * longest), events),
            numbers.integers(0, units, events),
            index % classes,
            index // classes % people,
            f"recording {index}",
        )
        for index in range(count)
    ]


class Small(EventData):
    """Generated events of 8 channels or of 2 x 6 x 6 pixels."""

    classes = 2

    def __init__(self, *, recordings=None, sensor=(8,), **options):
        self.sensor = sensor
        super().__init__(**{"batch_size": 4, **options})
        self.recordings = random_recordings(40, sensor) if recordings is None else recordings

    def read(self):
        train, test = self.recordings[:-8], self.recordings[-8:]
        return {
            name: collect("Small", part, self.sensor, self.classes) for name, part in (("train", train), ("test", test))
        }
