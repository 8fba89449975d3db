"""What the command does before a run begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from torchdyn_train import name_of

ROOT = Path(__file__).parents[2]


def test_who_reads_the_help_may_stop():
    command = f"{sys.executable} train.py --help | head -c 20"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("torchdyn_train")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("torchdyn_neuro.data.Digits", "digits"),
        ("torchdyn_neuro.data.FashionMNIST", "fashion_mnist"),
        ("torchdyn_neuro.data.CIFAR10DVS", "cifar10_dvs"),
        ("my_package.Mine", "mine"),
    ],
)
def test_runs_are_filed_under_their_data(target, name, composed):
    assert name_of(target) == name
    assert composed(f"data._target_={target}").name == name
