"""Prices on spikes, and losses, by the command line."""

import math

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import BPTT, EProp
from torchdyn_neuro.losses import MembraneCrossEntropy, SpikeSparsity
from torchdyn_neuro.training import Classification, run
from torchdyn_neuro.training.instantiate import build

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
SHORT = [
    "trainer.max_epochs=1", "trainer.limit_train_batches=1", "+trainer.limit_val_batches=1",
    "+trainer.limit_test_batches=1", "callbacks=minimal", "logger=none", "model.hidden=[8]",
]  # fmt: skip


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


@pytest.mark.parametrize("loss", ["max", "softmax", "tet", "first_spike", "rate_mse"])
def test_losses(composed, loss):
    config = OmegaConf.to_container(composed(f"loss={loss}"), resolve=True)
    made, y = build(config["loss"], "loss"), torch.rand(6, 4, 10)
    assert math.isfinite(made(y, torch.arange(4), torch.tensor([6, 2, 4, 5])))
    assert (config["model"]["readout"] == config["neuron"]) == (loss in ("first_spike", "rate_mse"))


def test_a_run(composed):
    config = composed("loss=first_spike", "penalty=[rate_bounds,sparsity]", *SHORT)
    assert set(config.penalty) == {"rate_bounds", "sparsity"}
    assert math.isfinite(run(config))


def test_a_price_is_learned():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 20), tdn.LIF(3.0), nn.Linear(20, 2), tdn.LeakyIntegrator())
    nn.init.constant_(model[0].bias, 1.5)
    task = Classification(model, 2, loss=MembraneCrossEntropy(), penalties={"sparse": SpikeSparsity(strength=20.0)})
    task.log = lambda *args, **kwargs: None
    batch, optimizer = (torch.rand(8, 20, 5), torch.arange(8) % 2), torch.optim.Adam(model.parameters(), 0.02)
    shares = []
    for index in range(15):
        optimizer.zero_grad()
        task.training_step(batch, index).backward()
        optimizer.step()
        shares.append(model[:2](batch[0].transpose(0, 1)).mean().item())
    assert shares[0] > 0.1
    assert shares[-1] < shares[0] / 2


@pytest.mark.parametrize("learning", [EProp(), BPTT(recompute="time"), BPTT(compiled=True)], ids=str)
def test_methods_that_keep_no_gradient_of_spikes(learning):
    model = nn.Sequential(nn.Linear(5, 2), tdn.LIF())
    with pytest.raises(
        ValueError, match=r"^Classification: expected BPTT\(\) where spikes have a price, got .*\(.*\), "
    ):
        Classification(model, 2, loss=MembraneCrossEntropy(), learning=learning, penalties={"sparse": SpikeSparsity()})


def test_recomputed_layers_have_the_same_price():
    grads = []
    for recompute in ("none", "layers"):
        torch.manual_seed(0)
        model = tdn.Chain(nn.Linear(5, 8), tdn.LIF(2.0), nn.Linear(8, 2), tdn.LeakyIntegrator())
        prices = {"sparse": SpikeSparsity(strength=5.0)}
        task = Classification(
            model, 2, loss=MembraneCrossEntropy(), learning=BPTT(recompute=recompute), penalties=prices
        )
        task.log = lambda *args, **kwargs: None
        task.training_step((5 * torch.rand(4, 9, 5), torch.arange(4) % 2, torch.tensor([9, 4, 2, 7])), 0).backward()
        grads.append(model[0].weight.grad)
    assert grads[0].abs().max() > 0.01
    torch.testing.assert_close(*grads)
