"""Libraries that AOTInductor makes of exported models."""

import sys

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves
from torchdyn_neuro.core.torch_private import COMPILES_SCANS
from torchdyn_neuro.export import NotExportable, export_scan, exported, load
from torchdyn_neuro.native.compiler import find_compiler


# Of the compiler of torch, below Python 3.12.
@pytest.mark.filterwarnings("ignore:The distutils package is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Reliance on distutils from stdlib is deprecated")
@pytest.mark.skipif(not COMPILES_SCANS, reason="torch below 2.14 compiles no scan")
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler is installed")
def test_a_compiled_scan_takes_any_steps_and_rows(tmp_path, monkeypatch):
    if sys.version_info < (3, 12):
        # Setuptools, which the compiler of torch imports, fails if Python's own distutils was imported by another test.
        monkeypatch.setenv("SETUPTOOLS_USE_DISTUTILS", "stdlib")
    torch.manual_seed(0)
    model = tdn.Chain(nn.Linear(3, 4), tdn.LIF(2.0)).eval()
    with torch.no_grad():
        model[0].weight.mul_(8)
    export_scan(model, torch.zeros(2, 2, 3)).compile(tmp_path / "model.pt2")
    compiled = load(tmp_path / "model.pt2")
    for steps, rows in ((1, 1), (9, 5)):
        x = torch.rand(steps, rows, 3)
        y, after = compiled(x, compiled.initial_state(rows))
        with torch.no_grad(), tdn.backend("eager"):
            expected, state = model.scan(x)
        assert_close((y, list(after.values())), (expected, leaves(state)))
    assert y.sum() > 0


def test_an_older_torch_compiles_no_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(exported, "COMPILES_SCANS", False)
    scan = export_scan(tdn.LIF().eval(), torch.zeros(1, 1, 3))
    with pytest.raises(NotExportable, match=r"expected torch 2\.14 for a scan, got .* which compiles a step only"):
        scan.compile(tmp_path / "model.pt2")
