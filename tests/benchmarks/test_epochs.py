"""The benchmark of whole epochs reads the data as it is filed and trains on it."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_digits = pytest.mark.skipif(
    not (DATA / "spoken_digits").exists(), reason="../shared/data/spoken_digits is not here"
)


@needs_digits
def test_trains_on_spoken_digits(script):
    printed = script("epochs.py", DATA, "--cases", "recurrent", "--libraries", "--batches", "4", "--threads", "1")
    row = next(line for line in printed.splitlines() if line.startswith("| torchdyn_neuro |"))
    step, *_, accuracy = (float(cell) for cell in row.split("|")[2:-1])
    assert step > 0
    # Ten words, four steps: chance, or a little more.
    assert 0.05 < accuracy < 0.6
