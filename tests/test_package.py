"""The package as a whole: what importing it costs, which way imports point, how files and docstrings look."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchdyn_neuro as tdn
from tests.contract_cases import concrete_dynamics
from torchdyn_neuro.core.quantities import Constrained

PACKAGE = Path(tdn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

EQUATIONS = {"core", "integrators", "surrogates"}
PARTS = {"adaptation", "noise"}
ALLOWED = {
    "core": set(),
    "integrators": {"core"},
    "surrogates": {"core"},
    "adaptation": {"core"},
    "noise": {"core"},
    "synapses": EQUATIONS,
    "neurons": EQUATIONS | PARTS | {"synapses"},
    "plasticity": EQUATIONS,
    "connections": EQUATIONS | {"synapses", "plasticity", "fused"},
    "rates": EQUATIONS,
    "fused": {"core"},
    "activity": {*EQUATIONS, "neurons", "synapses", "connections"},
    "events": {*EQUATIONS, "neurons", "synapses", "plasticity", "connections"},
}
"""What each folder may import beside itself; the deep-learning parts stand above all of these."""
ABOVE = {"encoding", "decoding", "losses", "layers", "models", "analysis", "plotting", "data", "training"}


def imported_folders(path):
    """The folders of the package that a file imports, also inside functions, but not for type checkers only."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    place = ["torchdyn_neuro", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = place[: len(place) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join(base)] if len(base) > 1 else [".".join([*base, alias.name]) for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "torchdyn_neuro" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upward(path):
    folder = path.relative_to(PACKAGE).parts[0]
    if path.parent == PACKAGE:
        return
    found = set(imported_folders(path)) - {folder}
    if folder in ABOVE:
        assert not (found & {"training", "data"}) or folder in {"training", "data"}
        return
    assert folder in ALLOWED, f"{folder} has no place in the table of imports"
    assert found <= ALLOWED[folder], f"{path.name} imports {found - ALLOWED[folder]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 310


PROBE = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.process_time()
import torchdyn_neuro
seconds = time.process_time() - start
print(json.dumps([seconds, sorted({name.split(".")[0] for name in set(sys.modules) - before})]))
"""


def test_import_is_light():
    runs = []
    for _ in range(3):
        probe = [sys.executable, "-c", PROBE]
        run = subprocess.run(probe, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
        runs.append(json.loads(run.stdout))
    heavy = {"lightning", "pytorch_lightning", "hydra", "omegaconf", "matplotlib", "triton", "sklearn", "torchvision"}
    assert "torchdyn_neuro" in runs[0][1]
    assert not heavy & set(runs[0][1])
    # Seconds of the processor, whatever else the machine does. The first run may still compile bytecode.
    assert min(seconds for seconds, _ in runs) < 0.3


def public_classes():
    found = {}
    for name in tdn.__all__:
        value = getattr(tdn, name)
        if inspect.isclass(value):
            found[name] = value
    return {**found, **{cls.__name__: cls for cls in concrete_dynamics()}}


@pytest.mark.parametrize("name", public_classes())
def test_docstrings_are_complete(name):
    cls = public_classes()[name]
    text = inspect.getdoc(cls) if "__doc__" in vars(cls) else None
    assert text, f"{name} has no docstring of its own"
    if issubclass(cls, tuple):
        missing = [field for field in cls._fields if not re.search(rf"\b{field}\b", text)]
        assert not missing, f"{name} does not say what {missing} are"
        return
    if issubclass(cls, Exception):
        return
    parameters = [parameter for parameter in inspect.signature(cls).parameters if parameter not in ("args", "kwargs")]
    if cls not in {tdn.Parametrised, tdn.Real, tdn.Positive, tdn.NonNegative, tdn.UnitInterval}:
        assert not parameters or "Args:" in text
    in_core = cls.__module__.startswith("torchdyn_neuro.core")
    if issubclass(cls, tdn.Dynamics) and not in_core:
        assert ".. math::" in text
        section = text.split("Args:")[1].split("\n\n")[0]
        undocumented = [name for name in parameters if not re.search(rf"^ *(\w+, )*{name}(, \w+)*:", section, re.M)]
        assert not undocumented, f"{name} does not document {undocumented}"
    # What is called on tensors says their shapes. Adaptations, noises, channels and receptors are parts of a cell: they
    # act on its potential, elementwise, as their base classes say. A quantity has the shape of its value.
    is_called = issubclass(cls, torch.nn.Module) and cls.forward is not torch.nn.Module.forward
    if (
        is_called
        and not issubclass(cls, Constrained)
        and (not in_core or cls in {tdn.Chain, tdn.Recurrent, tdn.Stepwise})
    ):
        assert "Shape:" in text
    equations = (tdn.Dynamics, tdn.Integrator, tdn.Surrogate)
    if issubclass(cls, equations) and not in_core and name != "CustomSurrogate":
        assert "Source:" in text


def test_all_is_sorted_into_public_names():
    assert len(tdn.__all__) == len(set(tdn.__all__))
    assert all(hasattr(tdn, name) for name in tdn.__all__)
