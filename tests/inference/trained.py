"""Classifiers of every kind of data as a run leaves them, in a checkpoint; they have learned nothing."""

from pathlib import Path

import torch

from torchdyn_neuro.data import Digits
from torchdyn_neuro.training import Classification, PlainCheckpoints, build

LIF = {"_target_": "torchdyn_neuro.LIF", "tau_mem": 5.0, "v_th": 0.1}
PERCEPTRON = {"_target_": "torchdyn_neuro.models.SpikingPerceptron", "hidden": [12], "neuron": LIF}
MEMBRANE = {
    "_target_": "torchdyn_neuro.losses.MembraneCrossEntropy",
    "decoder": {"_target_": "torchdyn_neuro.decoding.MeanMembrane"},
}
DIRECT = {"_target_": "torchdyn_neuro.encoding.DirectCurrent", "steps": 4}
CLICKS = {
    "_target_": "torchdyn_neuro.data.HDF5Events",
    "root": "nowhere",
    "train": "none.h5",
    "fold": 0,
    "channels": 8,
    "classes": 3,
}
CONVOLUTIONAL = {
    "_target_": "torchdyn_neuro.models.SpikingConvNet",
    "channels": [4],
    "neuron": LIF,
}


def checkpoint(path: Path, data: dict, *, model: dict = PERCEPTRON, encoder: dict | None = None) -> Path:
    """Write one, as a run does."""
    torch.manual_seed(0)
    config = {"model": model, "encoder": encoder, "loss": MEMBRANE, "data": data}
    module = build(data, "data")
    kept = {
        "config": config,
        "data": {
            "input_shape": list(module.shape),
            "classes": module.classes,
            "names": list(getattr(module, "class_names", ())),
        },
        "choices": {},
    }
    task = Classification(
        build(model, "model", extra=kept["data"]),
        module.classes,
        loss=build(MEMBRANE, "loss"),
        encoder=build(encoder, "encoder"),
        config=kept,
    )
    for parameter in task.model.parameters():
        # So that it fires.
        parameter.data *= 3 if parameter.ndim > 1 else 1
    PlainCheckpoints().save_checkpoint({"state_dict": task.state_dict(), **kept}, path)
    return path


def digits(path: Path, **options: object) -> Path:
    """A classifier of the handwritten digits."""
    return checkpoint(path, {"_target_": "torchdyn_neuro.data.Digits"}, encoder=DIRECT, **options)


def some_digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits and their labels."""
    data = Digits()
    data.setup()
    return data.splits["test"].images[:count], data.splits["test"].labels[:count]
