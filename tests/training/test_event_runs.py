"""Runs on sets of events, whose samples have lengths of their own and are changed at random."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.losses import EveryStep
from torchdyn_neuro.training import Classification, run

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


@pytest.mark.parametrize("kind", [torch.int16, torch.uint8, torch.bool, torch.float64, "sparse"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 5])])
def test_sequences_of_any_type(kind, lengths):
    counts = torch.randint(0, 2, (2, 5, 4), generator=torch.Generator().manual_seed(0)).float()
    frames = counts.to_sparse() if kind == "sparse" else counts.to(kind)
    task = Classification(nn.Sequential(nn.Linear(4, 3), tdn.LeakyIntegrator()), 3, loss=EveryStep()).eval()
    if kind == torch.float64:
        task = task.double()
    labels, rest = torch.tensor([0, 2]), [] if lengths is None else [lengths]
    expected = task.validation_step([counts.to(next(task.parameters()).dtype), labels, *rest], 0)
    found = task.validation_step([frames, labels, *rest], 0)
    assert torch.equal(found.decoded, expected.decoded)
    assert torch.equal(found.loss, expected.loss)
