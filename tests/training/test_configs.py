"""Every neuron and every synapse of configs/ goes through a whole run: calibration, training, validation and test."""

import math
import warnings
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import torchdyn_neuro as tdn
from torchdyn_neuro.training import run

CONFIGS = Path(__file__).parents[2] / "configs"
CHOICES = [f"{group}={path.stem}" for group in ("neuron", "synapse") for path in (CONFIGS / group).glob("*.yaml")]
SILENT = {"neuron=leaky_integrator"}
"""Without a threshold no current makes it fire, and the calibration says so."""
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize("choice", sorted(CHOICES))
def test_config_runs(composed, choice):
    config = composed(
        choice, "model.hidden=[8]", "trainer.max_epochs=1", "trainer.limit_train_batches=1",
        "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1", "callbacks=minimal", "logger=none",
    )  # fmt: skip
    # The kernels of the fused loop have tests of their own and take seconds to compile.
    with tdn.backend("eager"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        accuracy = run(config)
    assert math.isfinite(accuracy)
    calibration = [str(warning.message) for warning in caught if "below the 100 Hz" in str(warning.message)]
    assert bool(calibration) == (choice in SILENT)


SMALL = {
    "recurrent": ["model.hidden=[8]"],
    "recurrent neuron=adlif_population": ["model.hidden=[8]"],
    "delay": ["model.hidden=[8]"],
    "convolutional": ["model.channels=[4]", "model.hidden=8"],
    "sew_resnet18": ["model.width=2", "model.depths=[1,1]"],
    "ms_resnet18": ["model.width=2", "model.depths=[1,1]"],
    "vgg": ["model.stages=[[2],[4]]", "model.hidden=[8]"],
    "transformer": ["model.features=32", "model.depth=1", "model.poolings=1", "calibrate=20"],
}
"""Each model, small."""


@pytest.mark.parametrize("model", SMALL)
def test_model_runs(tmp_path, model):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(
            "train",
            [
                *f"model={model}".split(), *SMALL[model], "trainer.max_epochs=1", "+trainer.limit_train_batches=1",
                "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1", "steps=4", "callbacks=minimal",
                "logger=none", f"folder={tmp_path / 'run'}", "threads=1",
            ],
        )  # fmt: skip
    with tdn.backend("eager"):
        assert math.isfinite(run(config))


@pytest.mark.parametrize(
    ("choice", "units"),
    [
        ("model=ctrnn", 128),
        ("model=ei_rate", 160),
        ("model=reservoir", 500),
        ("experiment=ctrnn_digits", 128),
        ("experiment=ei_digits", 160),
        ("experiment=reservoir_digits", 1000),
    ],
)
def test_rate_models_run(tmp_path, choice, units):
    """Row by row, with the figures and logs of any run, and without a word about currents that nothing scales."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(
            "train",
            [
                choice, "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1",
                "+trainer.limit_test_batches=1", f"folder={tmp_path / 'run'}", "threads=1",
            ],
        )  # fmt: skip
    assert config.encoder["_target_"] == "torchdyn_neuro.encoding.Rows"
    network = config.model.network
    assert network.get("units", network.get("excitatory", 0) + network.get("inhibitory", 0)) == units
    with tdn.backend("eager"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert math.isfinite(run(config))
    assert not [warning for warning in caught if "below the" in str(warning.message)]


@pytest.mark.parametrize("loss", ["rate", "rate_mse", "first_spike", "membrane"])
@pytest.mark.parametrize("model", ["perceptron", "recurrent"])
def test_a_model_chooses_its_loss_and_a_loss_its_readout(loss, model):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        chosen = compose("train", [f"model={model}", f"loss={loss}"])
        default = compose("train", [f"model={model}"])
    spiking = chosen.model.readout is not None and chosen.model.readout._target_ == chosen.neuron._target_
    assert spiking == (loss != "membrane")
    decoder = {"perceptron": "MeanMembrane", "recurrent": "MaxMembrane"}[model]
    assert default.loss.decoder._target_ == f"torchdyn_neuro.decoding.{decoder}"
