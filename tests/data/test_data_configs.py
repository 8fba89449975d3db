"""The configurations of data sets say what the classes take."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from lightning.pytorch import LightningDataModule
from omegaconf import OmegaConf

from torchdyn_neuro import data
from torchdyn_neuro.training.instantiate import build

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
OWN = {"EventData", "SequenceData", "ImageData", "EventDataset", "FrameDataset", "HDF5Events", "BinRecordings"}
"""Bases, and what takes a user's own objects or names of files."""


SENSELESS = {
    "cifar10_dvs": {"normalize", "test_people"},
    "dvs_gesture": {"normalize"},
    "nmnist": {"normalize", "test_people"},
    "randman": {"normalize", "cache", "test_people"},
    "yin_yang": {"normalize", "cache", "validation", "test_people", "fold", "folds", "split_seed"},
}
"""Arguments of all sets of events that mean nothing for some."""


@pytest.mark.parametrize("name", NAMES)
def test_config_builds(name):
    loaded = OmegaConf.load(CONFIGS / "data" / f"{name}.yaml")
    placed = loaded if "data" in loaded else {"data": loaded}
    options = OmegaConf.to_container(OmegaConf.merge({"dt": 5.0, "seed": 3}, placed), resolve=True)["data"]
    built = build(options, "data")
    assert built.seed == 3
    assert built.classes > 1
    if isinstance(built, data.EventData):
        assert built.dt == 5
        # On the command line only what is in the file may be changed without a sign.
        taken = {*inspect.signature(type(built)).parameters, *inspect.signature(data.EventData).parameters}
        assert taken - {"options"} - set(options) == SENSELESS.get(name, set())


def test_every_set_has_a_config():
    classes = {
        name for name, value in vars(data).items() if inspect.isclass(value) and issubclass(value, LightningDataModule)
    }
    configured = set()
    for name in NAMES:
        text = (CONFIGS / "data" / f"{name}.yaml").read_text()
        configured |= {cls for cls in classes if f"torchdyn_neuro.data.{cls}\n" in text}
    assert classes - configured == OWN


def test_sequences_need_no_encoder():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert compose("train", ["data=spoken_digits", "model=ctrnn"]).encoder is None
        assert compose("train", ["data=digits"]).encoder is not None
