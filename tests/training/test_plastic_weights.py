"""Plastic weights in TensorBoard."""

import lightning
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

import torchdyn_neuro as tdn
from torchdyn_neuro.models.classifier import SpikingClassifier
from torchdyn_neuro.training.callbacks import PlasticWeights
from torchdyn_neuro.training.callbacks.plastic_weights import weights_after
from torchdyn_neuro.training.classification import Classification

# Lightning and its dependencies warn about their own future.
pytestmark = [
    pytest.mark.filterwarnings("ignore:::lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
]


def task(*layers):
    torch.manual_seed(0)
    model = SpikingClassifier((3,), {f"layer{index}": layer for index, layer in enumerate(layers)})
    return Classification(model, 2, loss=tdn.losses.RateCrossEntropy(), encoder=tdn.encoding.DirectCurrent(6))


def learner():
    plastic = tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.Hebbian(0.05), weights="mean")
    return task(nn.Linear(3, 3), tdn.Chain(plastic, tdn.LeakyIntegrator(3.0)))


def test_they_are_those_at_the_end_of_the_sample():
    one, batch = learner(), torch.rand(4, 3)
    [(name, (before, after))] = weights_after(one, batch).items()
    chain = one.model.layer1
    x = one.model.layer0(batch).expand(6, 4, 3)
    _, (state, _) = chain.scan(x)
    assert name == "layer1.0"
    assert_close(before, chain[0].connection.weight.detach())
    assert_close(after, state.weight.detach())
    assert not weights_after(task(nn.Linear(3, 2), tdn.LeakyIntegrator()), batch)


def test_a_run_logs_them(tmp_path):
    data = DataLoader(TensorDataset(torch.rand(8, 3), torch.tensor([0, 1] * 4)), batch_size=4)
    board = TensorBoardLogger(tmp_path, name="", version="")
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=board, callbacks=[PlasticWeights(every=1, samples=2)],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(learner(), data, data)
    events = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0})
    events.Reload()
    assert events.Tags()["histograms"] == ["plastic/layer1.0"]
    assert all(change.value > 0 for change in events.Scalars("plastic_change/layer1.0"))
