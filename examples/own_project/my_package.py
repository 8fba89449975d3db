"""A data set of events and a network of one's own.

torchdyn-train trusted=[my_package] data._target_=my_package.Waves encoder=none

Called from this folder, or from anywhere once it is installed (pip install .); then trusted= may be left out.
"""

import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import torchdyn_neuro as tdn


class Waves(LightningDataModule):
    """Events [B, T, 20] that run over the channels, each class at a speed of its own. Read your files here instead."""

    shape, classes = (20,), 4

    def __init__(self, batch_size: int = 32, steps: int = 40, noise: float = 0.05):
        super().__init__()
        self.batch_size, self.steps, self.noise = batch_size, steps, noise

    def loader(self, seed: int, samples: int, shuffle: bool = False) -> DataLoader:
        draw = torch.Generator().manual_seed(seed)
        labels, start = torch.randint(4, (samples,), generator=draw), torch.rand(samples, 1, generator=draw)
        place = (start + torch.arange(self.steps) * (labels[:, None] - 1.5) / 40) % 1 * 20
        events = torch.rand(samples, self.steps, 20, generator=draw) < self.noise
        events |= nn.functional.one_hot(place.long(), 20).bool()
        return DataLoader(TensorDataset(events.float(), labels), self.batch_size, shuffle=shuffle)

    def train_dataloader(self) -> DataLoader:
        return self.loader(0, 1024, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(1, 256)

    def test_dataloader(self) -> DataLoader:
        return self.loader(2, 256)


class Wide(tdn.models.SpikingPerceptron):
    """A network of one's own, model._target_=my_package.Wide, which is told what the data are."""

    def __init__(self, input_shape: list[int], classes: int, width: int = 256):
        synapse = tdn.ExponentialSynapse(tau=5.0)
        super().__init__(input_shape, classes, hidden=[width, width], neuron=tdn.LIF(tau_mem=10.0), synapse=synapse)
