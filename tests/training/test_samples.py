"""Data of any kind: what they say of themselves, what is found if they do not, and what is wrong with a batch."""

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from torchdyn_neuro.training.samples import Facts, check_step, facts, first_samples


class Own(LightningDataModule):
    """Ten samples of the given shape with labels 0, 1, 2, 0, ..., and lengths if asked for, in batches of four."""

    def __init__(self, *shape, lengths=False, **attributes):
        super().__init__()
        self.parts = [torch.rand(10, *shape), torch.arange(10) % 3]
        if lengths:
            self.parts.append(torch.full((10,), shape[0]))
        vars(self).update(attributes)

    def train_dataloader(self):
        return DataLoader(TensorDataset(*self.parts), batch_size=4, shuffle=True)


@pytest.mark.parametrize(
    ("data", "encoded", "shape"),
    [
        (Own(5), True, (5,)),
        (Own(1, 4, 4), True, (1, 4, 4)),
        (Own(7, 5), False, (5,)),
        (Own(7, 2, 3, 3, lengths=True), False, (2, 3, 3)),
        (Own(7, 5, shape=[5]), False, (5,)),
        (Own(5, shape=5), True, (5,)),
    ],
)
def test_what_is_absent_is_found(data, encoded, shape, capsys):
    assert facts(data, encoded=encoded) == Facts(shape, 3)
    assert "3 classes in the training data" in capsys.readouterr().out


def test_what_the_data_say_is_taken_without_loading_any():
    data = Own(5, shape=(5,), classes=4, train_dataloader=None)
    assert facts(data, encoded=True) == Facts((5,), 4)


def test_classes_may_have_names():
    data = Own(5, shape=(5,), classes=2, class_names=["left", "right"])
    assert facts(data, encoded=True) == Facts((5,), 2, ("left", "right"))
    data.class_names = ["left"]
    with pytest.raises(ValueError, match=r"expected class_names to hold 2 words, .* got \['left'\]"):
        facts(data, encoded=True)


class Stream(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(5), torch.tensor(1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Own(7, 5), "expected a shape, which tells samples from sequences, got batches .4, 7, 5. and none; sequences"),
        (Own(5, shape=(5, 0)), "expected shape to hold sizes of at least 1"),
        (Own(5, classes=1), "expected classes to be a number of at least 2, got 1"),
        (Own(5, train_dataloader=lambda: DataLoader(Stream(), 4)), "a stream without an end"),
        (Own(5, train_dataloader=lambda: []), "expected training batches, got none"),
        (
            Own(5, train_dataloader=lambda: [{"x": torch.zeros(4, 5)}]),
            r"got \(dict\)",
        ),
        (Own(5, train_dataloader=lambda: [torch.zeros(4, 5)]), r"got \(Tensor\); let the data loader"),
    ],
)
def test_what_cannot_be_found(data, message):
    with pytest.raises(ValueError, match=f"Own: .*{message}"):
        facts(data, encoded=True)


@pytest.mark.parametrize(
    ("data", "encoded", "message"),
    [
        (
            Own(7, 5),
            True,
            r"expected samples \[B, 5\] for the encoder, got .*; write encoder=none",
        ),
        (Own(7, 5, lengths=True), True, "with lengths; write encoder=none"),
        (Own(5), False, "got samples of shape .4, 5.; choose what makes sequences of them"),
        (Own(6), True, "correct the attribute shape"),
        (Own(7, 6), False, r"expected samples \[B, T, 5\], got shape \[4, 7, 6\]; correct the attribute shape"),
    ],
)
def test_batches_of_another_shape(data, encoded, message):
    with pytest.raises(ValueError, match=message):
        first_samples(data, Facts((5,), 3), encoded=encoded)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.arange(10) % 3 + 1, "expected labels from 0 to 2, got 1 to 3; count classes from 0"),
        (torch.zeros(10), "of type int64"),
        (torch.zeros(10, 3, dtype=torch.int64), "give one class for each sample"),
    ],
)
def test_labels(labels, message):
    data = Own(5)
    data.parts[1] = labels
    data.train_dataloader = lambda: DataLoader(TensorDataset(*data.parts), batch_size=10)
    with pytest.raises(ValueError, match=message):
        first_samples(data, Facts((5,), 3), encoded=True)


def test_samples_are_drawn_beside_the_run():
    """All ten, in an order of theirs; what the run draws afterwards is what it would have drawn."""
    data = Own(7, 5, lengths=True)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    samples, lengths = first_samples(data, Facts((5,), 3), encoded=False)
    assert torch.equal(torch.rand(3), expected)
    torch.testing.assert_close(samples.sum(), data.parts[0].sum())
    assert lengths.tolist() == [7] * 10


def test_the_first_batch_is_what_the_model_meets():
    """After what the data do to a batch on its way."""
    data = Own(5, on_after_batch_transfer=lambda batch, index: (batch[0].flatten(1)[:, :2] + 1, batch[1]))
    assert facts(data, encoded=True) == Facts((2,), 3)
    assert first_samples(data, Facts((2,), 3), encoded=True)[0].min() >= 1


def test_data_in_other_steps_than_the_network_are_refused():
    class Binned:
        dt = 5.0

    check_step(Binned(), 5.0)
    check_step(object(), 5.0)
    with pytest.raises(ValueError, match=r"expected steps of 1 ms as the network has, got dt=5 ms; write dt=5"):
        check_step(Binned(), 1.0)
