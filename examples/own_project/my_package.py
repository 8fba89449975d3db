"""A data set of events and a network of one's own.

torchdyn-train trusted=[my_package] data._target_=my_package.Waves model._target_=my_package.Wide encoder=none

Called from this folder, or from anywhere once it is installed (pip install .); then trusted= may be left out.
"""

import numpy as np

import torchdyn_neuro as tdn


def recordings(seed: int, samples: int) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Events (times in ms, units, label): each class runs over 20 units at its own speed. Read your files instead."""
    draw, found = np.random.default_rng(seed), []
    for label in draw.integers(4, size=samples):
        times = np.sort(draw.uniform(0, draw.uniform(30, 40), size=60))
        wave = (draw.uniform() + times * (label - 1.5) / 40) % 1 * 20
        found.append(
            (times, np.where(draw.uniform(size=60) < 0.2, draw.integers(20, size=60), wave).astype(int), label)
        )
    return found


class Waves(tdn.data.EventDataset):
    """A data set of one's own; any LightningDataModule of (samples, labels) or (samples, labels, lengths) will do."""

    def __init__(self, samples: int = 1024, **options):
        super().__init__(recordings(0, samples), recordings(1, 256), shape=(20,), classes=4, **options)


class Wide(tdn.models.SpikingPerceptron):
    """A network of one's own, which is told what the data are."""

    def __init__(self, input_shape: list[int], classes: int, width: int = 256):
        synapse = tdn.ExponentialSynapse(tau=5.0)
        super().__init__(input_shape, classes, hidden=[width, width], neuron=tdn.LIF(tau_mem=10.0), synapse=synapse)
