"""Images as sequences against the images."""

import pytest
import torch

from torchdyn_neuro.data import Digits, ImageData, SequentialImages, Split


def first(data):
    data.setup()
    return data.splits["test"].batch(torch.arange(5), None)


@pytest.fixture(scope="module")
def images():
    data = Digits(batch_size=16)
    data.setup()
    return data


def test_rows_and_pixels(images):
    frames, labels, lengths = first(SequentialImages(images))
    expected = images.splits["test"].images[:5]
    assert torch.equal(frames, expected[:, 0])
    assert torch.equal(labels, images.splits["test"].labels[:5])
    assert lengths.tolist() == [8] * 5
    pixels = SequentialImages(images, order="pixels")
    assert torch.equal(first(pixels)[0], expected.reshape(5, 64, 1))
    assert pixels.shape == (1,)
    assert pixels.classes == 10


def test_one_permutation_for_all(images):
    plain, permuted, same, other = (
        first(SequentialImages(images, order="pixels", permuted=permuted, permutation_seed=seed))[0]
        for permuted, seed in ((False, 0), (True, 0), (True, 0), (True, 1))
    )
    assert not torch.equal(plain, permuted)
    assert torch.equal(permuted, same)
    assert not torch.equal(permuted, other)
    order = SequentialImages(images, order="pixels", permuted=True).permutation
    assert torch.equal(plain[:, order], permuted)
    assert sorted(order.tolist()) == list(range(64))


class Colours(ImageData):
    """Images of two channels, one bright pixel each."""

    shape, classes = (2, 3, 4), 2

    def load(self):
        images = torch.zeros(40, 2, 3, 4)
        images[:, 0, 1, 1], images[:, 1, 1, 2] = 1.0, 2.0
        return dict.fromkeys(("train", "val", "test"), Split(images, torch.arange(40) % 2))


def test_channels():
    frames, *_ = first(SequentialImages(Colours()))
    assert frames.shape == (5, 3, 8)
    assert frames[0, 1].tolist() == [0, 1, 0, 0, 0, 0, 2, 0]
    frames, *_ = first(SequentialImages(Colours(), order="pixels"))
    assert frames.shape == (5, 12, 2)
    assert frames[0, 5].tolist() == [1, 0]


def test_augmentation_is_that_of_the_images_and_of_the_epoch():
    data = SequentialImages(Colours(shift=1, flip=True, batch_size=40))
    assert (data.batch_size, data.seed) == (40, 0)
    data.setup()
    frames, *_ = data.splits["train"].batch(torch.arange(40), 3)
    again, *_ = data.splits["train"].batch(torch.arange(39, -1, -1), 3)
    assert torch.equal(frames, again.flip(0))
    assert not torch.equal(frames, data.splits["train"].batch(torch.arange(40), 4)[0])
    places = {tuple(place[1:]) for place in torch.nonzero(frames.view(40, 3, 2, 4)[:, :, 0]).tolist()}
    # Moved by up to one from (1, 1), or from (1, 2) if mirrored.
    assert places == {(row, column) for row in range(3) for column in range(4)}
    assert torch.equal(
        data.splits["train"].batch(torch.arange(40), None)[0],
        first(SequentialImages(Colours()))[0][:1].expand(40, -1, -1),
    )


def test_an_unknown_order(images):
    with pytest.raises(ValueError, match="order to be one of 'rows', 'pixels'"):
        SequentialImages(images, order="columns")
