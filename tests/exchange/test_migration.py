"""Each row of the tables of docs/migration: their line and our line spike in the same steps."""

import json
import math
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.exchange import DelayedReset

PAGES = Path(__file__).parents[2] / "docs" / "migration"
PYTHON = os.environ.get("TORCHDYN_NEURO_PEERS")
HERE = Path(__file__).parent


class Row(NamedTuple):
    """Two lines of code that mean the same."""

    theirs: str
    ours: str


def rows(page: str) -> list[Row]:
    """The rows of a table whose first two cells are code."""
    text = (PAGES / f"{page}.md").read_text()
    found = [re.match(r"\| `([^`]+)` \| `([^`]+)` \|", line) for line in text.splitlines()]
    return [Row(*match.groups()) for match in found if match and "(" in match[1] and " = " not in match[1][:12]]


def given(steps: int = 60, batch: int = 2, neurons: int = 4) -> torch.Tensor:
    """A current that rises, so that few and many spikes are seen."""
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(steps, batch, neurons, generator=generator, dtype=torch.float64)
    return x * torch.linspace(0.2, 1.0, steps, dtype=torch.float64).reshape(-1, 1, 1)


class Ahead(nn.Module):
    """What a module gives a step later."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(torch.cat([x, x[-1:]]))[1:]


def ours(line: str, x: torch.Tensor) -> torch.Tensor:
    module = eval(
        line, {"tdn": tdn, "torch": torch, "nn": nn, "math": math, "DelayedReset": DelayedReset, "Ahead": Ahead}
    )
    with torch.no_grad():
        return module.double()(x)


def snntorch(line: str, x: torch.Tensor) -> torch.Tensor:
    snn = pytest.importorskip("snntorch", reason="the extra bench")
    module = eval(line, {"snn": snn}).double()
    module.init_hidden = True
    return torch.stack([module(x_t) for x_t in x])


def spikingjelly(line: str, x: torch.Tensor) -> torch.Tensor:
    parts = {part: f"spikingjelly.activation_based.{part}" for part in ("neuron", "layer")}
    names = {part: pytest.importorskip(name, reason="the extra bench") for part, name in parts.items()}
    module = eval(line, names | {"torch": torch}).double()
    if type(module).__name__.startswith("NonSpiking"):
        return torch.stack(module(x))
    return torch.stack([module(x_t) for x_t in x])


def norse(line: str, x: torch.Tensor) -> torch.Tensor:
    module = eval(line, {"norse": pytest.importorskip("norse.torch", reason="the extra bench"), "torch": torch})
    if hasattr(module.p, "_asdict"):
        values = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in module.p._asdict().items()}
        module.p = type(module.p)(**values)
    outputs, state = [], None
    for x_t in x:
        y_t, state = module(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs)


THEIRS = {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse}
STRENGTH = {"snntorch": 0.9, "spikingjelly": 3.0, "norse": 3.0}
"""Of the input: those that do not scale it want less."""
ROWS = [(page, *row) for page in THEIRS for row in rows(page)]


def test_every_table_is_read():
    counts = {page: len(rows(page)) for page in (*THEIRS, "brian2")}
    for page, count in counts.items():
        table = (PAGES / f"{page}.md").read_text().partition("what differs |\n| - |")[2].partition("\n\n")[0]
        assert count == table.count("\n"), page
    assert min(counts.values()) > 5


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    if set(expected.unique().tolist()) <= {0.0, 1.0}:
        assert torch.equal(found, expected)
        assert 0.02 < expected.mean() < 1
    else:
        torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("page", "theirs", "line"), ROWS)
def test_their_line_and_ours_spike_alike(page, theirs, line):
    x = STRENGTH[page] * given()
    with torch.no_grad():
        expected = THEIRS[page](theirs, x).double()
    check(ours(line, x), expected)


@pytest.mark.skipif(PYTHON is None, reason="TORCHDYN_NEURO_PEERS names no Python with Brian2")
def test_brian2_spikes_alike(tmp_path):
    x, table = 3 * given(batch=1), rows("brian2")
    x[:, :, 0] = 0.0  # one that has no input
    spikes_in = (x > 1.0).double()
    np.savez(tmp_path / "x.npz", current=x[:, 0].numpy(), spikes=spikes_in[:, 0].numpy())
    (tmp_path / "rows.json").write_text(json.dumps([row.theirs for row in table]))
    command = [PYTHON, str(HERE / "run_brian2.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for row, found in zip(table, json.loads((tmp_path / "spikes.json").read_text()), strict=True):
        y = ours(row.ours, spikes_in if "ds/dt" in row.theirs else x)[:, 0]
        assert sorted(map(tuple, found)) == [tuple(at) for at in y.nonzero().tolist()], row
        assert len(found) > 5
