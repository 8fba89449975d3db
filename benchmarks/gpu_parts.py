"""The parts of ``gpu.sh`` but for the table of all cases, each started by ``gpu.py`` in a process of its own."""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from gpu_measure import Setting, measured, recorded
from gpu_networks import spiking_networks
from gpu_tune import tune
from measure import machine as described
from time_loop_cases import Case
from time_loop_peers import spikingjelly as their_models
from torch import nn

import torchdyn_neuro as tdn

ROOT = Path(__file__).parents[1]
TARGET = 0.65
"""Share of the bandwidth of a copy that the LIF is to reach."""


def machine(setting: Setting) -> None:
    """The card, the versions, and the bandwidth of a copy."""
    packages = ("triton", "spikingjelly", "pytest", "pytest-xdist", "numpy")
    figures: dict[str, Any] = {"machine": described(setting.device, packages)}
    setting.write(figures)
    setting.write({**figures, "copy GB/s": setting.bandwidth() / 1e9})


def lif(setting: Setting) -> None:
    """A large LIF in two types against the bandwidth of a copy: 5 sequences move, as in the table of all cases."""
    shape = setting.size((100, 256, 4096), (10, 4, 64))
    bandwidth, rows = setting.bandwidth(), []
    for dtype, backend in ((torch.float32, setting.fused), (torch.bfloat16, setting.fused), (torch.float32, "eager")):
        x = (3 * torch.rand(shape, device=setting.device)).to(dtype).requires_grad_()
        found = measured(setting, tdn.LIF(tau_mem=20.0).to(setting.device), x, backend, 3 if backend == "eager" else 20)
        alone = share = None
        if backend != "eager":
            alone = recorded(setting, tdn.LIF(tau_mem=20.0).to(setting.device), x, backend, 20)
            share = 5 * x.nbytes / (1e-3 * alone) / bandwidth
        named = {"shape": str(shape), "dtype": str(dtype), "backend": backend}
        rows.append({**named, **found, "both on the card ms": alone, "of bandwidth": share})
        setting.write(
            {"copy GB/s": bandwidth / 1e9, "target": TARGET, "reached": rows[0]["of bandwidth"], "rows": rows}
        )


def recurrent(setting: Setting) -> None:
    """700-512-20 over 250 steps against our own eager loop."""
    steps, batch, inputs, hidden = setting.size((250, 128, 700, 512), (12, 2, 20, 16))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(inputs, hidden),
        tdn.Recurrent(tdn.LIF(tau_mem=20.0), nn.Linear(hidden, hidden, bias=False)),
        nn.Linear(hidden, 20),
        tdn.LeakyIntegrator(tau_mem=20.0),
    ).to(setting.device)
    with torch.no_grad():
        model[0].weight.mul_(30.0)
    _against_eager(setting, model, (torch.rand(steps, batch, inputs) < 0.1).float().to(setting.device))


def network(setting: Setting) -> None:
    """Products inside a step: a network by Runge-Kutta, four products a step, against our own eager loop."""
    steps, batch, neurons = setting.size((100, 64, 256), (8, 2, 16))
    torch.manual_seed(0)
    cell = tdn.LIF(tau_mem=tdn.Learned(20.0), integrator=tdn.RK4())
    model = tdn.Network(cell, nn.Linear(neurons, neurons), source="v").to(setting.device)
    _against_eager(setting, model, 30 * torch.rand(steps, batch, neurons).to(setting.device))


def _against_eager(setting: Setting, model: nn.Module, x: torch.Tensor) -> None:
    rows, outputs, x = [], [], x.requires_grad_()
    for backend in (setting.fused, "eager"):
        found = measured(setting, model, x, backend, 3 if backend == "eager" else 20)
        rows.append({"input": str(tuple(x.shape)), "backend": backend, **found})
        with torch.no_grad(), tdn.backend(backend):
            outputs.append(model(x))
        setting.write({"rows": rows})
    totals = [row["forward ms"] + row["backward ms"] for row in rows]
    difference = (outputs[0] - outputs[1]).abs().max() / outputs[1].abs().max()
    setting.write({"times eager": totals[1] / totals[0], "largest difference": difference.item(), "rows": rows})


def spikingjelly(setting: Setting) -> None:
    """The LIF against SpikingJelly's, which is Triton on a card, from few steps to many."""
    if importlib.util.find_spec("spikingjelly") is None:
        setting.write({"note": "SpikingJelly is not installed"})
        return
    rows = []
    for steps in setting.size((4, 16, 64, 250, 1000), (4, 9)):
        shape = (steps, *setting.size((64, 1024), (2, 8)))
        case = Case("lif", "lif", shape, tdn.LIF, pointwise=True)
        (theirs,) = their_models(case)
        x, totals, alone = case.input(setting.device), [], []
        for name, model in (("ours", tdn.LIF(tau_mem=20.0)), (theirs.name, theirs.module)):
            # Their modules remember, so theirs begins each sequence where the last one ended: the work is the same.
            run = model.to(setting.device) if name == "ours" else Restarted(theirs)
            found = measured(setting, run, x, setting.fused, 20)
            totals.append(found["forward ms"] + found["backward ms"])
            alone.append(_alone(setting, run, x))
            rows.append({"shape": str(shape), "name": name, **found, "both on the card ms": alone[-1]})
        rows[-2]["times as fast"] = totals[1] / totals[0]
        rows[-2]["on the card"] = alone[1] / alone[0] if all(alone) else None
        setting.write({"rows": rows})


def _alone(setting: Setting, model: nn.Module, x: torch.Tensor) -> float | None:
    try:
        return recorded(setting, model, x, setting.fused, 20)
    except RuntimeError:  # theirs may do what no recording takes
        return None


class Restarted(nn.Module):
    """A peer's model that starts anew at every call."""

    def __init__(self, candidate: Any):
        super().__init__()
        self.candidate, self.model = candidate, candidate.module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.candidate.reset()
        return self.model(x)


def tests(setting: Setting) -> None:
    """The tests of the card, then every kernel through the assembler; in a dry run some tests with their stand-ins."""
    folders = [ROOT / "tests" / name for name in ("fused", "networks")]
    cuda = [str(path) for folder in folders for path in sorted(folder.glob("test_cuda_*.py"))]
    runs = [[*cuda, "-k", "stand-in and (bits or streams)" if setting.dry else "not stand-in"]]
    if not setting.dry:
        files = folders[0] / "compiled_triton.py", folders[1] / "compiled_network.py"
        runs.append([*map(str, files), "--noconftest"])
    # Warnings of other versions of torch are no failures here, ours are.
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-o", "addopts=", "-p", "no:cacheprovider"]
    command += ["-p", "no:benchmark"]  # a plugin that does not go with xdist
    command += ["-o", "filterwarnings=error:torchdyn_neuro"]
    if importlib.util.find_spec("xdist") is not None and not setting.dry:
        command += ["-n", "12"]
    cases, status, report = [], 0, setting.file.with_suffix(".xml")
    for words in runs:
        # Only a kernel that is not in Triton's own cache yet goes through the assembler.
        caches = {"TRITON_CACHE_DIR": str(setting.file.with_name(f"triton{len(cases)}"))}
        environment = {**os.environ, **caches, "TORCHDYN_NEURO_EVERY_KERNEL": "1"}
        done = subprocess.run([*command, *words, f"--junitxml={report}"], cwd=ROOT, env=environment, check=False)
        status = status or done.returncode
        cases += ElementTree.parse(report).iter("testcase")
    problems = [(case, problem) for case in cases for problem in (*case.iter("failure"), *case.iter("error"))]
    rows = [{"test": case.get("name"), "message": (problem.get("message") or "")[:300]} for case, problem in problems]
    skipped = sum(case.find("skipped") is not None for case in cases)
    setting.write({"run": len(cases) - skipped, "skipped": skipped, "failed": len(rows), "rows": rows})
    if status:
        sys.exit(status)


PARTS: dict[str, Callable[[Setting], None]] = {
    function.__name__: function
    for function in (machine, lif, tests, tune, recurrent, network, spikingjelly, spiking_networks)
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    PARTS[options.part](Setting(options.dry_run, options.json))


if __name__ == "__main__":
    main()
