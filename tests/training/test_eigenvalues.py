"""The eigenvalues of a network in a run, against a known matrix."""

import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.models import RateClassifier
from torchdyn_neuro.training import run
from torchdyn_neuro.training.callbacks.eigenvalues import mean_inputs, plane
from torchdyn_neuro.training.classification import Classification

CONFIGS = Path(__file__).parents[2] / "configs"
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def linear_network():
    """Turns by 0.2 rad per ms, and decays with 1/10 - 0.05."""
    connection = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        connection.weight.copy_(10 * torch.tensor([[0.05, -0.2], [0.2, 0.05]]))
    return tdn.RateNetwork(2, tau=10.0, activation=nn.Identity(), connection=connection)


def test_the_growth_rate_and_the_frequency_are_those_of_the_matrix():
    model = RateClassifier((1, 3), 2, network=linear_network())
    task = Classification(model, 2, loss=nn.CrossEntropyLoss(), encoder=tdn.encoding.Rows(4))
    inputs = mean_inputs(task, torch.rand(5, 1, 4, 3))
    network, x, state = inputs["network"]
    assert x.shape == (1, 2)
    figure, numbers = plane(network, x, state)
    assert numbers["growth_rate"] == pytest.approx(-0.05, rel=1e-6)
    assert numbers["oscillation_hz"] == pytest.approx(200 / (2 * math.pi), rel=1e-6)
    [points] = figure.axes[0].collections
    assert sorted(points.get_offsets()[:, 1].tolist()) == pytest.approx([-200 / (2 * math.pi), 200 / (2 * math.pi)])


def test_a_network_without_a_rest_says_so():
    network = tdn.RateNetwork(1, activation=nn.Identity(), connection=nn.Linear(1, 1, bias=False))
    nn.init.constant_(network.connection.weight, 1.0)  # dr/dt = I: it grows for ever
    x = torch.ones(1, 1)
    _, state = network.scan(x.expand(3, 1, 1))
    figure, numbers = plane(network, x, state)
    assert not numbers
    assert "expected" in figure.axes[0].get_title()


def test_a_run_logs_them(tmp_path):
    short = [
        "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "+trainer.limit_test_batches=1", "threads=1",
        "model.network.excitatory=8", "model.network.inhibitory=4",
    ]  # fmt: skip
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run(compose("train", ["experiment=ei_digits", *short, f"folder={tmp_path / 'run'}"]))
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert "eigenvalues/network" in events.Tags()["images"]
    assert {"growth_rate/network", "oscillation_hz/network"} <= set(events.Tags()["scalars"])
