"""What a run says of its decisions, against counts over all samples."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

import torchdyn_neuro as tdn
from torchdyn_neuro.data import Digits, EventDataset
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.metrics import decision_steps, efficiency_report
from torchdyn_neuro.training import Classification
from torchdyn_neuro.training.callbacks import ConfusionMatrix, Decisions, Efficiency, Votes
from torchdyn_neuro.training.callbacks.confusion import picture

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def batches(*lengths):
    generator = torch.Generator().manual_seed(0)
    found = []
    for length in lengths:
        labels = torch.randint(0, 3, (20,), generator=generator)
        found.append((6 * torch.rand(20, 9, 4, generator=generator), labels, torch.full((20,), length)))
    return found


def test_the_classes_of_a_confusion_matrix_have_their_names():
    [axes] = picture(torch.tensor([[3, 1], [0, 2]]), ["left", "right"]).axes
    assert [[text.get_text() for text in each.get_ticklabels()] for each in (axes.xaxis, axes.yaxis)] == [
        ["left", "right"],
        ["left", "right"],
    ]


def test_a_test_run(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), tdn.LIF(2.0, dt=0.5), nn.Linear(8, 3), tdn.LeakyIntegrator(dt=0.5))
    task, data = Classification(model, 3, loss=MembraneCrossEntropy()), batches(9, 5)
    logger = TensorBoardLogger(tmp_path)
    callbacks = [ConfusionMatrix(), Decisions(bins=5), Efficiency(batches=1)]
    trainer = Trainer(
        accelerator="cpu", logger=logger, callbacks=callbacks, enable_checkpointing=False, barebones=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    (seen,) = trainer.test(task, DataLoader(data, batch_size=None), verbose=False)

    ys = [model(samples.transpose(0, 1)).detach() for samples, _, _ in data]
    logits = torch.cat([y[:length].mean(0) for y, length in zip(ys, (9, 5), strict=True)])
    labels, latencies = torch.cat([labels for _, labels, _ in data]), []
    for y, (_, _, lengths) in zip(ys, data, strict=True):
        latencies.append(decision_steps(task.loss.decoder, y, lengths))
    assert seen["latency_ms/test"] == pytest.approx(0.5 * torch.cat(latencies).float().mean().item())
    assert 0.5 < seen["latency_ms/test"] < 4
    sure, said = logits.softmax(1).max(1)
    right, error = (said == labels).float(), 0.0
    for low in torch.arange(5) / 5:
        inside = (sure > low) & (sure <= low + 0.2)
        if inside.any():
            error += abs(float(right[inside].sum() - sure[inside].sum())) / 40
    assert seen["calibration_error/test"] == pytest.approx(error, rel=1e-4)
    expected = torch.zeros(3, 3, dtype=torch.long)
    for label, guess in zip(labels, said, strict=True):
        expected[label, guess] += 1
    assert torch.equal(callbacks[0].matrix.compute(), expected)

    report = efficiency_report(model, data[0][0].transpose(0, 1))
    assert seen["cost/multiply_accumulates"] == report.multiply_accumulates == 9 * 32
    assert seen["cost/accumulates"] == pytest.approx(report.accumulates)
    assert seen["cost/energy_nj"] == pytest.approx(report.energy())
    assert seen["cost/spikes"] == pytest.approx(report.spikes)
    assert report.spikes > 1
    assert not model[0]._forward_hooks

    board = EventAccumulator(logger.log_dir).Reload()
    assert "confusion/test" in board.Tags()["images"]
    assert {"calibration_error/test", "cost/energy_nj"} <= set(board.Tags()["scalars"])


class Loudest(nn.Module):
    """Says 1 of a sample with four events, 0 of one with fewer."""

    def forward(self, x):
        total = x.sum((0, 2))[None, :, None].expand(len(x), -1, 1)
        return torch.cat([torch.zeros_like(total), total - 3.5], 2)


def test_a_vote_sums_what_is_said_of_changed_samples():
    # Each sample has 4 events, of which the training leaves out a share: as they are all are said to be of class 1.
    samples = [([0.5, 1.5, 2.5, 3.5], [0, 1, 0, 1], 1) for _ in range(12)]
    data = EventDataset(
        samples, samples, val=samples, shape=(2,), classes=2, batch_size=5, augmentation={"drop": 1.0}
    )  # fmt: skip
    task = Classification(Loudest(), 2, loss=MembraneCrossEntropy())
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[Votes(looks=3)], enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    (seen,) = trainer.test(task, data, verbose=False)
    right = 0
    for sample in range(12):
        total = torch.zeros(2)
        for epoch in (None, 0, 1, 2):
            frames, _, _ = data.splits["test"].batch(torch.tensor([sample]), epoch)
            total += torch.tensor([0.0, frames.sum() - 3.5]).log_softmax(0)
        right += int(total.argmax() == 1)
    assert seen["test/accuracy"] == 1
    assert seen["test/vote"] == pytest.approx(right / 12)
    assert 0 < right < 12
    with pytest.raises(TypeError, match="sequences that can be changed at random, got Digits"):
        Votes().on_test_epoch_end(SimpleNamespace(datamodule=Digits()), task)


def test_a_vote_does_not_blend_samples_of_the_class_it_is_to_find():
    samples = [([0.5, 1.5], [unit, unit], unit) for unit in (0, 1) for _ in range(4)]
    data = EventDataset(
        samples, samples, val=samples, shape=(2,), classes=2, augmentation={"blend": 1.0, "jitter": 0.5}
    )
    data.setup()
    split, every = data.splits["test"], torch.arange(8)
    split.labels = split.labels.roll(1)
    split.peers = [torch.nonzero(split.labels == kind).flatten() for kind in range(2)]
    before = split.look(every, 0)[0]
    split.peers = split.peers[::-1]
    assert torch.equal(split.look(every, 0)[0], before)
    assert not torch.equal(split.batch(every, 0)[0], before)
    assert not torch.equal(split.batch(every, None)[0], before)
