"""A card for each equation: what it says, a picture of what it does, source, tests, integrators, fusing and speed.

Everything on it comes from the docstring, from the builders and inputs of the contract tests, and from running it.
"""

import functools
import inspect
import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import torchdyn_neuro as tdn
from tests import contract_cases
from torchdyn_neuro.core.state import State, first_leaf, map_state
from torchdyn_neuro.rates.activations.activation import Activation

from . import MADE, QUICK, ROOT, reference, responses, title, write

NEEDED: dict[str, Callable[[], object]] = {
    "CustomSurrogate": lambda: tdn.CustomSurrogate(lambda x: torch.exp(-x.abs())),
    "Damped": lambda: tdn.Damped(tdn.ATan(), 0.3),
    "GapJunction": lambda: tdn.GapJunction(contract_cases.NEURONS),
    "LateralInhibition": lambda: tdn.LateralInhibition(contract_cases.NEURONS, w=0.5, w_self=1.0),
    "FixedRandom": lambda: tdn.FixedRandom(contract_cases.NEURONS, contract_cases.NEURONS),
    "DaleLinear": lambda: tdn.DaleLinear(contract_cases.NEURONS, contract_cases.NEURONS),
    "Rules": lambda: tdn.Rules(tdn.Hebbian(), tdn.WeightNormalization()),
    "RewardSTDP": lambda: tdn.RewardSTDP(tdn.PairSTDP()),
    "TripletRate": lambda: tdn.TripletRate(tdn.TripletSTDP.preset("visual_cortex/all/minimal")),
    "Receptor": lambda: tdn.Receptor(0.0),
    "Interpolated": lambda: tdn.Interpolated(tdn.RK4()),
}
"""Examples of what is no dynamics and needs arguments."""
METHODS = [tdn.ExponentialEuler, tdn.ExponentialMidpoint, tdn.Exact, tdn.Euler, tdn.Heun, tdn.Midpoint, tdn.RK4]
KINDS: list[tuple[type, responses.Drawing]] = [
    (tdn.Dynamics, responses.dynamics),
    (tdn.Surrogate, responses.surrogate),
    (Activation, responses.activation),
    (tdn.LearningRule, responses.rule),
    (tdn.Adaptation, responses.attached),
    (tdn.Noise, responses.attached),
    (tdn.IonChannel, responses.channel),
    (tdn.Receptor, responses.receptor),
    (tdn.Integrator, responses.integrator),
    (nn.Module, responses.matrix),
]
"""How what is of a kind is drawn; the first kind that fits counts."""
BASES = {kind for kind, _ in KINDS} - {tdn.Receptor}
"""They have no equation of their own, or none that runs."""
HEADINGS = {
    "neurons": "Neurons and channels",
    "synapses": "Synapses, receptors and delays",
    "adaptation": "Adaptation",
    "noise": "Noise",
    "rates": "Rates and circuits",
    "plasticity": "Plasticity",
    "connections": "Connections",
    "core": "Containers",
    "surrogates": "Surrogates",
    "integrators": "Integrators",
}
"""The folders that hold equations, in the order in which one reads them."""
SECTIONS = r"\n\n(?=(?:Args|Shape|Raises|Source|Example|Returns):)"
STEPS, ROWS = 50, 128


@functools.cache
def cards() -> dict[str, dict[str, type]]:
    """For each family, a folder of the package, its classes with an equation, by their public names."""
    found: dict[str, dict[str, type]] = {}
    for folder in reference.folders():
        for name, value in reference.exports(folder).items():
            if inspect.isclass(value) and value not in BASES and ".. math::" in (vars(value)["__doc__"] or ""):
                family = folder.__name__.rpartition(".")[2]
                if family in HEADINGS:
                    found.setdefault(family, {})[name] = value
    return dict(sorted(found.items(), key=lambda item: list(HEADINGS).index(item[0])))


def description(cls: type) -> str:
    """The docstring up to its arguments: a sentence, the equation, and what else there is to say."""
    text = inspect.cleandoc(cls.__doc__)
    return "\n".join(reference.as_markup(cls, re.split(SECTIONS, text)[0].splitlines()))


def source(cls: type) -> str:
    """Where the equation comes from."""
    found = re.search(r"^Source: (.*?)(?:\n\n|\Z)", inspect.cleandoc(cls.__doc__), re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]) if found else ""


@functools.cache
def _texts() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}


def tests(cls: type) -> list[str]:
    """The file of tests that mirrors the source, else those that name the class most."""
    path = Path(inspect.getfile(cls)).relative_to(ROOT / "torchdyn_neuro")
    mirrored = str(Path("tests", path.parent, f"test_{path.stem}.py"))
    if mirrored in _texts():
        return [mirrored]
    counts = {name: len(re.findall(rf"\b{cls.__name__}\b", text)) for name, text in _texts().items()}
    ranked = sorted((name for name in counts if counts[name]), key=lambda name: (-counts[name], name))
    near = [name for name in ranked if name.startswith(f"tests/{path.parts[0]}/")]
    return (near or ranked)[:2]


def example(cls: type) -> object:
    """An object of the class; ``None`` if nobody says how to make one."""
    torch.manual_seed(0)
    if issubclass(cls, tdn.Dynamics):
        return contract_cases.build(cls) if cls in contract_cases.concrete_dynamics() else None
    try:
        return NEEDED.get(cls.__name__, cls)()
    except TypeError:
        return None


def integrators(cls: type) -> str:
    """The default, and all others under which the equation runs."""
    module = contract_cases.build(cls)
    default = getattr(module, "integrator", None)
    if not isinstance(module, tdn.ODE) or default is None:
        return "none: each step is its exact solution, or a map"
    x, taken = contract_cases.sequence(cls), []
    for method in METHODS:
        if not isinstance(default, method) and (steps := next((n for n in (1, 20) if _runs(cls, method(n), x)), None)):
            taken.append(f":class:`~torchdyn_neuro.{method.__name__}`" + " (of shorter steps)" * (steps > 1))
    return ", ".join([f"**{type(default).__name__}** (the default)", *taken])


def _runs(cls: type, method: tdn.Integrator, x: State) -> bool:
    """Whether an equation takes a method, and stays finite."""
    module = contract_cases.build(cls)
    try:
        module.integrator = method
        with torch.no_grad(), tdn.backend("eager"):
            return bool(first_leaf(module(x)).isfinite().all())
    except (ValueError, TypeError, NotImplementedError):
        return False


def fusing(cls: type) -> str:
    """Whether it runs as one kernel, or why it does not."""
    reason = tdn.why_eager(contract_cases.build(cls), contract_cases.sequence(cls))
    return "yes: forward and backward, each as one kernel" if reason is None else f"not here: {escape(reason)}"


def escape(text: str) -> str:
    return re.sub(r"([*`|_\\])", r"\\\1", text.replace("\n", " "))


def speed(cls: type) -> str:
    """Nanoseconds for a neuron and a step, forward and backward, in the eager loop and as it runs by default."""
    figures = []
    for name in ("eager", "auto"):
        module = contract_cases.build(cls)
        x = contract_cases.sequence(cls, STEPS, ROWS, contract_cases.NEURONS)
        x = map_state(lambda leaf: leaf.requires_grad_() if leaf.is_floating_point() else leaf, x)
        with tdn.backend(name):
            figures.append(min(_seconds(module, x) for _ in range(1 if name == "eager" else 4)))
    eager, auto = (1e9 * figure / (STEPS * ROWS * contract_cases.NEURONS) for figure in figures)
    return f"{eager:.0f} ns eager, {auto:.1f} ns as it runs by default, for a neuron and a step, forward and backward"


def _seconds(module: tdn.Dynamics, x: State) -> float:
    start = time.perf_counter()
    y = first_leaf(module(x))
    if y.requires_grad:
        y.sum().backward()
    return time.perf_counter() - start


def picture(name: str, cls: type, path: Path) -> bool:
    """Draw what it does; false where nothing is to be drawn."""
    draw = next((draw for kind, draw in KINDS if issubclass(cls, kind)), None)
    made = None if draw is None or QUICK else example(cls)
    if made is None:
        return False
    with plt.rc_context(responses.STYLE):
        figure = draw(cls, made)
        if figure is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    return True


def card(name: str, cls: type, folder: Path) -> str:
    """The page of one class."""
    short = name.rpartition(".")[2]
    text = title(short) + f".. currentmodule:: {name.rpartition('.')[0]}\n\n" + description(cls) + "\n\n"
    if picture(name, cls, folder / f"{short}.svg"):
        what = responses.__dict__[next(draw for kind, draw in KINDS if issubclass(cls, kind)).__name__].__doc__
        text += f".. figure:: {short}.svg\n   :alt: {short}\n\n   {what}\n\n"
    facts = {"Source": source(cls)}
    facts["Code"] = f"``{Path(inspect.getfile(cls)).relative_to(ROOT)}``"
    facts["Tests"] = ", ".join(f"``{path}``" for path in tests(cls))
    if not QUICK and issubclass(cls, tdn.Dynamics) and cls in contract_cases.concrete_dynamics():
        facts["Integrators"], facts["One kernel"], facts["Speed"] = integrators(cls), fusing(cls), speed(cls)
    facts["Arguments"] = f":class:`{name.replace('torchdyn_neuro', 'tdn')} <{name}>`"
    rows = "".join(f"   * - {key}\n     - {value}\n" for key, value in facts.items() if value)
    return text + f".. list-table::\n   :widths: 18 82\n   :stub-columns: 1\n\n{rows}"


def make() -> None:
    """Write all cards, two at a time, and a page for each family."""
    sources = [path for part in ("torchdyn_neuro", "docs/making") for path in (ROOT / part).rglob("*.py")]
    newest = max(path.stat().st_mtime for path in sources)
    due = [
        name
        for family, classes in cards().items()
        for name in classes
        if not (page := _page(family, name)).exists() or page.stat().st_mtime < newest
    ]
    if QUICK:
        for name in due:
            make_card(name)
    else:
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            for _ in pool.map(make_card, due):
                pass
    for family, classes in cards().items():
        names = sorted(classes, key=lambda name: name.rpartition(".")[2].lower())
        short = {name: name.rpartition(".")[2] for name in names}
        rows = "".join(f"   * - :doc:`{short[name]}`\n     - {reference.summary(classes[name])}\n" for name in names)
        contents = "".join(f"   {short[name]}\n" for name in names)
        place = f".. currentmodule:: torchdyn_neuro\n\n.. list-table::\n   :widths: 30 70\n\n{rows}\n"
        text = title(HEADINGS[family]) + place + f".. toctree::\n   :hidden:\n\n{contents}"
        write(_page(family, "index"), text)
    text = title("Equation cards") + (
        "One card for each equation: what it says, a picture of what it does, where it comes from, the test of its "
        "truth, the integrators that it takes, and whether its time loop runs as one kernel. All of it is made when "
        "these pages are built, from the docstrings and from running the modules under the inputs of the contract "
        f"tests. Speed was measured then, too, on one thread of that machine, for [{STEPS}, {ROWS}, "
        f"{contract_cases.NEURONS}] in float32: it tells eager from fused; :doc:`/speed` tells more.\n\n"
        ".. toctree::\n   :maxdepth: 2\n\n" + "".join(f"   {family}/index\n" for family in cards())
    )
    write(MADE / "cards/index.rst", text)


def _page(family: str, name: str) -> Path:
    return MADE / "cards" / family / f"{name.rpartition('.')[2]}.rst"


def _family(name: str) -> str:
    return next(family for family, classes in cards().items() if name in classes)


def make_card(name: str) -> None:
    """Write one card; for a process of its own."""
    torch.set_num_threads(1)
    family = _family(name)
    cls, page = cards()[family][name], _page(family, name)
    page.unlink(missing_ok=True)  # so that it is younger than what it comes from
    write(page, card(name, cls, page.parent))
