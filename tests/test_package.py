"""The package as a whole: what importing it costs, which way imports point, how files and docstrings look.

Each test goes through every file or class and lists all offenders at once.
"""

import ast
import functools
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import types
import typing
from pathlib import Path

import torch

import torchdyn_neuro as tdn
from tests.contract_cases import concrete_dynamics
from torchdyn_neuro.core.quantities import Constrained

PACKAGE = Path(tdn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300

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
    "wiring": {"core", "native"},
    "connections": EQUATIONS | {"synapses", "plasticity", "sparse", "wiring"},
    "rates": EQUATIONS | {"connections"},
    "native": {"core"},
    "sparse": {"core", "native"},
    "fused": {"core", "native", "sparse"},
    "activity": {*EQUATIONS, "neurons", "synapses", "connections"},
    "networks": {"core", "native", "fused", "wiring", "connections", "plasticity"},
    "events": {*EQUATIONS, "neurons", "synapses", "plasticity", "connections"},
    "analysis": {"core", "integrators"},
}
"""What each folder may import beside itself; the deep-learning parts stand above all of these."""
ABOVE = {
    *("encoding", "decoding", "losses", "layers", "metrics", "models"),
    *("compression", "conversion", "exchange", "export", "learning", "plotting", "data", "training", "inference"),
}
TRAINING = {"training", "data", "inference"}
"""What stands on Lightning, which nothing else does."""


def dotted(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


def imports(path: Path, text: str | None = None) -> set[str]:
    """The modules of the package that a file imports, also inside functions, but not for type checkers only."""
    tree = ast.parse(path.read_text() if text is None else text)
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    place = path.relative_to(PACKAGE.parent).parent.parts
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = place[: len(place) - node.level + 1] if node.level else ()
            base = ".".join([*base, *(node.module.split(".") if node.module else [])])
            # A name that is no module comes from the module before it.
            found.update(name if (name := f"{base}.{alias.name}") in MODULES else base for alias in node.names)
    return {name for name in found if name.split(".")[0] == PACKAGE.name}


def may_import(folder: str, other: str) -> bool:
    if folder in ABOVE:
        return other not in TRAINING or folder in TRAINING
    return other in ALLOWED[folder]


def test_nothing_imports_upward():
    folders = {path.relative_to(PACKAGE).parts[0] for path in FILES if path.parent != PACKAGE}
    assert not folders - set(ALLOWED) - ABOVE, "folders that have no place in the table of imports"
    wrong = []
    for name, path in MODULES.items():
        if path.parent == PACKAGE:
            continue
        folder = path.relative_to(PACKAGE).parts[0]
        # "from torchdyn_neuro import LIF" comes from every folder at once.
        others = {([*other.split("."), "the package itself"])[1] for other in imports(path)} - {folder}
        wrong += [f"{name} imports {other}" for other in sorted(others) if not may_import(folder, other)]
    assert not wrong, listed(wrong)


def test_modules_import_in_no_circle():
    graph = {name: imports(path) & set(MODULES) - {name} for name, path in MODULES.items()}
    found = circles(graph)
    assert not found, listed(" <-> ".join(sorted(circle)) for circle in found)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The largest sets of nodes that all reach each other, of two nodes or more."""

    @functools.cache
    def reached(start: str) -> frozenset[str]:
        found, waiting = set(), [start]
        while waiting:
            for node in graph[waiting.pop()] - found:
                found.add(node)
                waiting.append(node)
        return frozenset(found)

    seen, result = set(), []
    for node in graph:
        circle = {other for other in reached(node) if node in reached(other)}
        if len(circle) > 1 and node not in seen:
            result.append(circle)
            seen |= circle
    return result


def test_circles_and_imports_are_found():
    """What the two tests above rely on."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"d"}, "e": {"a"}}
    assert circles(graph) == [{"b", "c"}]
    text = """
from __future__ import annotations
import torch
from typing import TYPE_CHECKING
from . import lif
from ..core import State
def late():
    import torchdyn_neuro.synapses.alpha
if TYPE_CHECKING:
    from ..training import run
else:
    from ..noise import White
"""
    assert imports(PACKAGE / "neurons" / "some_cell.py", text) == {
        "torchdyn_neuro.neurons.lif",
        "torchdyn_neuro.core",
        "torchdyn_neuro.synapses.alpha",
        "torchdyn_neuro.noise",
    }


def listed(offenders) -> str:
    return "\n" + "\n".join(offenders)


def test_files_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    long = [f"{path.relative_to(PACKAGE)}: {lines} lines" for path, lines in lengths.items() if lines > MOST_LINES]
    assert not long, listed(long)


MOST_SECONDS = 0.3

PROBE = """
import compileall, json, sys, time
import torch
# With the bytecode that an installed package has, also where nobody writes it beside the sources.
sys.pycache_prefix = sys.argv[1]
compileall.compile_dir(sys.argv[2], quiet=1)
before = set(sys.modules)
start = time.process_time()
import torchdyn_neuro
seconds = time.process_time() - start
import torchdyn_neuro.core.torch_private, torchdyn_neuro.plotting
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def test_import_is_light(tmp_path):
    runs = []
    for _ in range(2):
        probe = [sys.executable, "-c", PROBE, str(tmp_path), str(PACKAGE)]
        run = subprocess.run(probe, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
        runs.append(json.loads(run.stdout))
        if runs[-1][0] < MOST_SECONDS:
            break
    heavy = {"lightning", "pytorch_lightning", "hydra", "omegaconf", "matplotlib", "triton", "sklearn", "torchvision"}
    loaded = {name.split(".")[0] for name in runs[0][1]} | set(runs[0][1])
    assert "torchdyn_neuro.plotting" in loaded
    # Nor the compiler of torch, nor what it reckons with.
    assert not {*heavy, "torch._dynamo", "sympy"} & loaded
    # Seconds of the processor, whatever else the machine does.
    assert min(seconds for seconds, _ in runs) < MOST_SECONDS


def public_classes() -> dict[str, type]:
    found = {}
    for name in tdn.__all__:
        value = getattr(tdn, name)
        if inspect.isclass(value):
            found[name] = value
    return {**found, **{cls.__name__: cls for cls in concrete_dynamics()}}


QUANTITIES = {"Parametrized", "Real", "Positive", "NonNegative", "UnitInterval"}
"""Their arguments are those of their common base."""


def lacking(name: str, cls: type) -> list[str]:
    """What the docstring of a class does not say."""
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    # A named tuple without a docstring is given its signature for one.
    if not text or re.fullmatch(rf"{cls.__name__}\([\w, ]*\)", text):
        return ["anything of its own"]
    if issubclass(cls, tuple):
        return [f"what {field} is" for field in cls._fields if not re.search(rf"\b{field}\b", text)]
    if issubclass(cls, dict):  # typed
        return [f"what {field} is" for field in cls.__annotations__ if not re.search(rf"\b{field}\b", text)]
    if issubclass(cls, Exception):
        return []
    missing = []
    parameters = [parameter for parameter in inspect.signature(cls).parameters if parameter not in ("args", "kwargs")]
    if parameters and "Args:" not in text and name not in QUANTITIES:
        missing.append("Args:")
    in_core = cls.__module__.startswith("torchdyn_neuro.core")
    if issubclass(cls, tdn.Dynamics) and not in_core:
        if ".. math::" not in text:
            missing.append(".. math::")
        section = text.partition("Args:")[2].split("\n\n")[0]
        undocumented = [name for name in parameters if not re.search(rf"^ *(\w+, )*{name}(, \w+)*:", section, re.M)]
        missing += [f"what the argument {parameter} is" for parameter in undocumented]
    # What is called on tensors says their shapes. Adaptations, noises, channels and receptors are parts of a cell: they
    # act on its potential, elementwise, as their base classes say. A quantity has the shape of its value.
    is_called = issubclass(cls, torch.nn.Module) and cls.forward is not torch.nn.Module.forward
    if (
        is_called
        and not issubclass(cls, Constrained)
        and (not in_core or name in {"Chain", "Recurrent", "Stepwise"})
        and "Shape:" not in text
    ):
        missing.append("Shape:")
    equations = (tdn.Dynamics, tdn.Integrator, tdn.Surrogate)
    if issubclass(cls, equations) and not in_core and name != "CustomSurrogate" and "Source:" not in text:
        missing.append("Source:")
    return missing


def test_docstrings_are_complete():
    gaps = {name: lacking(name, cls) for name, cls in public_classes().items()}
    assert len(gaps) > 50, "hardly a class was found"
    assert not any(gaps.values()), listed(f"{name} does not say: {', '.join(gap)}" for name, gap in gaps.items() if gap)


def test_gaps_in_docstrings_are_found():
    """What the test above relies on."""

    class Bare(tdn.LIF):
        pass

    class Short(tdn.LIF):
        r"""A cell.

        Args:
            tau_mem, dt: time constant and step, ms.
        """

    class BareState(typing.NamedTuple):
        v: torch.Tensor

    class ShortState(typing.NamedTuple):
        """v: potential."""

        v: torch.Tensor
        w: torch.Tensor

    assert lacking("Bare", Bare) == lacking("BareState", BareState) == ["anything of its own"]
    assert lacking("ShortState", ShortState) == ["what w is"]
    missing = lacking("Short", Short)
    assert {".. math::", "Shape:", "Source:", "what the argument v_th is"} <= set(missing)
    assert "what the argument tau_mem is" not in missing


def named_tuples() -> list[type]:
    """The named tuples in the folders of equations that are states, or inputs of several parts."""
    found = set()
    for module in pkgutil.walk_packages(tdn.__path__, "torchdyn_neuro."):
        if module.name.split(".")[1] not in ABOVE | {"fused", "native", "sparse"}:
            members = vars(importlib.import_module(module.name)).values()
            found.update(m for m in members if is_state(m))
    return sorted(found, key=lambda cls: cls.__qualname__)


def is_state(value: object) -> bool:
    named = inspect.isclass(value) and issubclass(value, tuple) and hasattr(value, "_fields")
    return named and not value.__name__.startswith("_")


def may_be_none(hint: object) -> bool:
    return hint in (None, types.NoneType) or any(may_be_none(part) for part in typing.get_args(hint))


def test_what_is_absent_from_a_state_is_an_empty_tuple():
    """torch.func, saving and export take trees of tensors alone."""
    wrong = []
    for cls in named_tuples():
        wrong += [f"{cls.__name__}.{name} is None by default" for name, d in cls._field_defaults.items() if d is None]
        hints = {name: hint for name, hint in cls.__annotations__.items() if name not in cls._field_defaults}
        wrong += [f"{cls.__name__}.{name} may be None" for name, hint in hints.items() if may_be_none(hint)]
    assert not wrong, listed(wrong)


def test_all_is_sorted_into_public_names():
    assert len(tdn.__all__) == len(set(tdn.__all__))
    assert all(hasattr(tdn, name) for name in tdn.__all__)
