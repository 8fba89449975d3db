"""Data sets that give what tonic's give; tonic itself is not needed."""

import numpy as np
import pytest
import torch

from torchdyn_neuro.data import EventDataset, FrameDataset, from_tonic


class Camera:
    """A data set of an event camera."""

    classes = ("left", "right")
    sensor_size = (5, 4, 2)
    kinds = (("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool))

    def __init__(self, count=6):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        events = np.zeros(3, dtype=list(self.kinds))
        events["x"], events["t"] = [0, 1, 4], [0, 1500, 2500 + 1000 * index]
        if "y" in events.dtype.names:
            events["y"], events["p"] = [3, 2, 0], [0, 1, 1]
        return events, index % 2


class Cochlea(Camera):
    sensor_size = (5, 1, 1)
    kinds = (("x", np.int16), ("t", np.int64), ("p", np.int16))


class Framed(Camera):
    """With a transformation to frames."""

    def __getitem__(self, index):
        return np.full((index + 1, 2, 4, 5), index, dtype=np.int16), index % 2


def test_events_of_a_camera():
    data = from_tonic(Camera(), Camera(), val=Camera(), batch_size=6)
    assert isinstance(data, EventDataset)
    [(frames, labels, lengths)] = data.test_dataloader()
    assert data.shape == (2, 4, 5)
    assert lengths.tolist() == [3, 4, 5, 6, 7, 8]
    assert frames[0, 0, 0, 3, 0] == frames[0, 1, 1, 2, 1] == frames[0, 2, 1, 0, 4] == 1
    assert labels.tolist() == [0, 1] * 3


def test_events_of_a_cochlea():
    data = from_tonic(Cochlea(), Cochlea(), val=Cochlea(), batch_size=6, dt=2.0)
    [(frames, _, lengths)] = data.test_dataloader()
    assert frames.shape == (6, 4, 5)
    assert frames[0, 0].tolist() == [1, 1, 0, 0, 0]
    assert lengths.tolist() == [2, 2, 3, 3, 4, 4]


def test_frames():
    data = from_tonic(Framed(), Framed(), val=Framed(), batch_size=6)
    assert isinstance(data, FrameDataset)
    [(frames, _, lengths)] = data.test_dataloader()
    assert frames.dtype == torch.float32
    assert lengths.tolist() == [1, 2, 3, 4, 5, 6]


def test_what_is_not_known():
    anonymous = Camera()
    anonymous.classes = ()
    with pytest.raises(ValueError, match="pass classes="):
        from_tonic(anonymous)
