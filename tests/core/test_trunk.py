"""The measure of the trunk: how much a reader, and the author of a cell, has to hold in the head."""

import ast
import collections
import inspect
import pathlib
import sys

import pytest
import torch

import torchdyn_neuro as tdn
from tests.contract_cases import build, concrete_dynamics
from torchdyn_neuro.core.torch_private import COMPILER_RETURNS_REPLACED

PACKAGE = pathlib.Path(tdn.__file__).parent

AUTHORS = {
    "initial_state",
    "step",
    "pointwise",
    "derivative",
    "relaxation",
    "flow",
    "diffusion",
    "observe",
    "time_constants",
    "membrane",
    "arrive",
    "on_spike",
}


def own_calls(function):
    """The Python calls of the package in one call of ``function``, by file."""
    calls = collections.Counter()

    def watch(frame, event, _):
        path = pathlib.Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            calls[str(path.relative_to(PACKAGE))] += 1

    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_a_step_of_a_plain_cell_is_short():
    cell, x = tdn.LIF(), torch.rand(2, 4)
    state = cell.initial_state(x)
    cell.step(x, state)
    calls = own_calls(lambda: cell.step(x, state))
    assert calls.total() <= 25, calls
    # One more where the compiler asks for a _replace of ours.
    assert len(calls) <= 5 + (not COMPILER_RETURNS_REPLACED), calls


def test_the_author_of_a_cell_meets_twelve_names_listed_in_one_place():
    assert len(AUTHORS) <= 12
    table = tdn.Dynamics.__doc__
    missing = [name for name in AUTHORS if f"``{name}``" not in table]
    assert not missing


def test_the_cells_override_no_other_name():
    """Every public name of the bases that a shipped equation defines anew stands in the table."""
    bases = (tdn.Dynamics, tdn.ODE, tdn.Spiking)
    offered = {name for base in bases for name in vars(base) if not name.startswith("_")}
    # Containers and delays run their own loop, and conductances look at what arrives; training asks for these.
    wanted = AUTHORS | {"scan", "forward", "extra_repr", "quantities", "check_input", "check_quantities", "take_state"}
    offenders = {
        cls.__name__: sorted(names)
        for cls in concrete_dynamics()
        if issubclass(cls, tdn.ODE) and (names := (offered & set(vars(cls))) - AUTHORS - {"extra_repr", "defaults"})
    }
    assert not offenders
    assert not (AUTHORS - offered)
    assert wanted


def names_in(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield (node.module or "").rpartition(".")[2]


METHODS = {"Euler", "EulerMaruyama", "Exact", "ExponentialEuler", "Heun", "Interpolated", "Midpoint", "RK4"}


def test_no_class_outside_integrators_looks_at_which_integrator_it_has():
    offenders = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "integrators":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                kinds = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                if kinds & (METHODS | {"ExplicitIntegrator"}):
                    offenders.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.Attribute) and node.attr in ("explicit", "stochastic", "interpolate"):
                offenders.append(f"{path.name}:{node.lineno}")
    assert not offenders


def test_random_numbers_are_known_to_five_files():
    """Beside core/random.py itself; a check that only wants the structure of a state tells it to draw nothing."""
    drawing = {"random_bits", "uniform", "normal", "normals", "start_key", "philox"}
    knowing = [path.name for path in PACKAGE.rglob("*.py") if drawing & set(names_in(path))]
    assert len(knowing) <= 5, knowing


@pytest.mark.parametrize("name", ["Noisy", "Draw"])
def test_nothing_is_left_of_the_old_way(name):
    assert not hasattr(tdn, name)


def test_every_argument_is_an_attribute_of_the_same_name():
    """What a module was built with can be read from it; what a level or a reset does not use reads as None."""
    missing = []
    for cls in concrete_dynamics():
        # The example of a connection that learns is a chain with neurons behind it.
        module = next(part for part in build(cls).modules() if isinstance(part, cls))
        taken = set(inspect.signature(cls).parameters) - {"layers", "named", "options"}
        missing += [f"{cls.__name__}.{name}" for name in sorted(taken) if not hasattr(module, name)]
    assert not missing
