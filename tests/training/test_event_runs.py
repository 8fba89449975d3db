"""Runs on sets of events, whose samples have lengths of their own and are changed at random."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.training import run

# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def test_resume_is_bit_exact_with_augmented_events(composed, tmp_path):
    common = [
        "data=yin_yang", "dt=4", "data.samples=96", "data.validation_samples=9", "data.test_samples=9",
        "data.batch_size=16", "data.length=sample", "data.tail=8", "data.bucket=2", "data.augmentation.jitter=2",
        "data.augmentation.drop=0.4", "data.augmentation.blend=0.5", "scheduler=constant", "calibrate=20",
        "callbacks=minimal", "logger=none",
    ]  # fmt: skip
    for folder, epochs, more in (
        ("whole", 2, []),
        ("half", 1, []),
        ("rest", 2, [f"checkpoint={tmp_path}/half/checkpoints/last.ckpt"]),
    ):
        # The kernels of the fused loop have tests of their own and take seconds to compile.
        with tdn.backend("eager"):
            run(composed(*common, *more, f"trainer.max_epochs={epochs}", f"folder={tmp_path / folder}"))
    whole, rest, half = (
        torch.load(tmp_path / folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in ("whole", "rest", "half")
    )
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    assert not all(torch.equal(whole[name], half[name]) for name in whole)
