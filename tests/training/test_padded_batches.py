"""Batches with lengths through a whole run: the padding changes neither the training nor what is said of it."""

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

import torchdyn_neuro as tdn
from torchdyn_neuro.decoding import MaxMembrane
from torchdyn_neuro.encoding import DirectCurrent
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.training import Classification
from torchdyn_neuro.training.callbacks import Activity, Eigenvalues, Pictures, PlasticWeights

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
LENGTHS, LABELS = torch.tensor([4, 9, 6, 2]), torch.tensor([0, 1, 1, 0])


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def padded(steps, filling):
    samples = 3 * torch.rand(4, 9, 5, generator=torch.Generator().manual_seed(0))
    samples = nn.functional.pad(samples, (0, 0, 0, steps - 9))
    for row, length in enumerate(LENGTHS):
        samples[row, length:] = filling
    return samples


def task():
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), tdn.Stepwise(nn.BatchNorm1d(8)), tdn.LIF(2.0), nn.Linear(8, 2), tdn.LeakyIntegrator()]
    nn.init.constant_(layers[1].module.weight, 4.0)
    return Classification(nn.Sequential(*layers), 2, loss=MembraneCrossEntropy(MaxMembrane()))


def trained(tmp_path, steps, filling):
    batches = DataLoader([(padded(steps, filling), LABELS, LENGTHS)] * 2, batch_size=None)
    here, logger = task(), TensorBoardLogger(tmp_path, version=str(filling))
    callbacks = [Activity(), *([Pictures(), Eigenvalues(), PlasticWeights()] if steps == 16 else [])]
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=logger, callbacks=callbacks, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(here, batches, batches)
    return here.eval(), {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_the_padding_changes_nothing(tmp_path):
    first, seen = trained(tmp_path, 9, 0.0)
    second, again = trained(tmp_path, 16, torch.nan)
    assert {"train/loss", "val/accuracy", "rate_hz/2", "dead/2"} <= set(seen)
    assert again == pytest.approx(seen, rel=1e-5)
    assert seen["rate_hz/2"] > 10
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)


def test_logits_of_one_sample():
    here, samples = task().eval(), padded(9, 0.0)
    for row, length in enumerate(LENGTHS):
        alone = here(samples[row : row + 1, :length])
        torch.testing.assert_close(here(samples, LENGTHS)[row : row + 1], alone, rtol=1e-6, atol=1e-7)
        same = padded(30, torch.inf)[row : row + 1]
        assert torch.equal(here(same, LENGTHS[row : row + 1]), alone)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((torch.rand(4, 9, 5), LABELS, LENGTHS + 1), r"^Classification: expected lengths from 1 to 9, .*got 3 to 10; "),
        ((torch.rand(4), LABELS, LENGTHS), r"^Classification: expected sequences \[B, T, \*\] beside lengths, got "),
        ((torch.rand(4, 9, 5),), r"^Classification: expected batches \(samples, labels\) or .*got 1 parts; "),
    ],
)
def test_batches_that_do_not_fit(batch, words):
    with pytest.raises(ValueError, match=words):
        task().validation_step(batch, 0)


def test_encoders_make_sequences_of_one_length():
    here = task()
    here.encoder = DirectCurrent(steps=9)
    with pytest.raises(ValueError, match=r"^Classification: expected samples without lengths for DirectCurrent, "):
        here.validation_step((torch.rand(4, 9, 5), LABELS, LENGTHS), 0)
    # One of the user's own may take sequences.
    here.encoder = Turned()
    x = padded(9, 0.0)
    assert torch.equal(here.encode(padded(9, torch.nan), LENGTHS), x.transpose(0, 1))


@pytest.mark.parametrize("encoder", [None, DirectCurrent(steps=9)])
def test_samples_come_in_the_type_of_the_model(encoder):
    """Arrays of numpy are float64 where nobody says otherwise."""
    here, samples = task().eval(), torch.rand(4, 9, 5)
    here.encoder, samples = encoder, samples if encoder is None else samples[:, 0]
    assert torch.equal(here(samples.double()), here(samples))
    assert here.double().encode(samples).dtype is torch.float64


class Turned(nn.Module):
    def forward(self, samples):
        return samples.transpose(0, 1)
