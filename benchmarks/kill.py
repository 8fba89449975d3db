"""A run that is killed at random moments, and goes on each time, ends as one that is left alone.

    python benchmarks/kill.py
    python benchmarks/kill.py --kills 30 --seed 1 model.hidden=[64,64]

Every other kill counts from the start of the process, so that it may come while the program loads or the checkpoint is
read; the others from the end of an epoch, when checkpoints are written. After each kill the last checkpoint must load
and be no older than the one before, and ``checkpoint=FILE`` alone must go on. Further words are choices of the run. The
weights of the last epoch and of the best one are compared bit for bit; the exit status tells.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from torchdyn_neuro.training import load_checkpoint

TRAIN = Path(__file__).parents[1] / "train.py"
CHOICES = ["model.hidden=[32]", "steps=4", "threads=1", "callbacks=minimal", "logger=none", "trainer.max_epochs=100"]


def start(*words: str) -> subprocess.Popen:
    """The training program."""
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def killed(words: list[str], *, in_training: bool, seconds: float) -> None:
    """Start, and kill after so many seconds, counted from the end of an epoch if ``in_training``."""
    process = start(*words)
    if in_training:
        for line in process.stdout:
            if line.startswith("epoch "):
                break
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    if process.returncode not in (-signal.SIGKILL, 0):
        raise SystemExit(f"the run failed by itself: {errors}")


def same(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same weights."""
    first, second = (load_checkpoint(path)["state_dict"] for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def main(kills: int, seed: int, choices: list[str]) -> bool:
    """Whether everything went on, and ended the same."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        begun = time.perf_counter()
        expected = finished([*CHOICES, *choices, f"folder={root / 'whole'}"])
        span = time.perf_counter() - begun
        last, epoch = None, -1
        for kill in range(kills):
            in_training = kill % 2 == 1
            seconds = draw.uniform(0, (0.02 if in_training else 0.3) * span)
            folder = root / f"part{kill}"
            goes_on = [*CHOICES, *choices] if last is None else [f"checkpoint={last}"]
            killed([*goes_on, f"folder={folder}"], in_training=in_training, seconds=seconds)
            written = folder / "checkpoints/last.ckpt"
            if written.exists():
                found = load_checkpoint(written)["epoch"]
                if found < epoch:
                    raise SystemExit(f"the checkpoint went back from epoch {epoch + 1} to {found + 1}")
                last, epoch = written, found
            kind = "after an epoch" if in_training else "after the start"
            print(f"kill {kill + 1}: {seconds:.2f} s {kind}; {epoch + 1} epochs are kept", flush=True)
        goes_on = [*CHOICES, *choices] if last is None else [f"checkpoint={last}"]
        best = finished([*goes_on, f"folder={root / 'rest'}"])
        newest = root / "rest/checkpoints/last.ckpt"
        equal = {
            "last": same(root / "whole/checkpoints/last.ckpt", newest if newest.exists() else last),
            "best": same(expected, best),
        }
        print(f"it ended; as one that is left alone: {equal}")
        return all(equal.values())


def finished(words: list[str]) -> Path:
    """Let a run end; its best checkpoint."""
    process = start(*words)
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run failed by itself: {errors}")
    [line] = (line for line in output.splitlines() if line.startswith("checkpoint: "))
    return Path(line.removeprefix("checkpoint: "))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("choices", nargs="*", help="of the run, as for train.py")
    given = parser.parse_args()
    sys.exit(not main(given.kills, given.seed, given.choices))
