"""What the contract tests run: every concrete dynamics of the package, with a builder and an input that drives it."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro import layers
from torchdyn_neuro.core.state import State, map_state

NEURONS = 5
"""Size of the last axis of every input, so that the connections in the table below fit it."""


@dataclass(frozen=True)
class Case:
    """How the contract tests build and drive one class; every part may be left out.

    build: makes the module; the class without arguments if omitted. Its last axis has ``NEURONS`` entries.
    drive: makes the input from uniform numbers [T, B, *] in [0, 1); omitted, they are scaled until the output varies.
    """

    build: Callable[[], tdn.Dynamics] | None = None
    drive: Callable[[torch.Tensor], State] | None = None


def dyadic_linear() -> nn.Linear:
    """A connection whose sums of spikes are free of rounding, so that no batching changes a bit."""
    layer = nn.Linear(NEURONS, NEURONS, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(-12.0, 13.0).reshape(NEURONS, NEURONS) / 8)
    return layer


def dyadic(layer):
    """``layer`` with the weights of :func:`dyadic_linear`."""
    with torch.no_grad():
        layer.weight.copy_(dyadic_linear().weight)
    return layer


def with_statistics(norm):
    """A norm for evaluation whose statistics and weights all differ."""
    for value in (*norm.parameters(), *norm.buffers()):
        if value.is_floating_point():
            value.data.copy_(torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape))
    return norm.eval()


def spikes(uniform: torch.Tensor) -> torch.Tensor:
    """Spikes, 0 or 1, for dynamics that take nothing else."""
    return (uniform < 0.4).to(uniform.dtype)


EXAMPLES: dict[str, Case] = {
    # In training their statistics are those of the frames of a call.
    "BatchNormThroughTime": Case(lambda: with_statistics(layers.BatchNormThroughTime(NEURONS, steps=7))),
    "TemporalEffectiveBatchNorm": Case(lambda: with_statistics(layers.TemporalEffectiveBatchNorm(NEURONS, steps=7))),
    "SpikingDropout": Case(layers.SpikingDropout),
    "SpikingMaxPool2d": Case(
        lambda: layers.SpikingMaxPool2d((1, 3), 1, (0, 1)), lambda uniform: spikes(uniform).flatten(2)[:, :, None, None]
    ),
    "CTRNN": Case(lambda: tdn.CTRNN(NEURONS, tdn.Learned(torch.linspace(5.0, 20.0, NEURONS)))),
    "Chain": Case(lambda: tdn.Chain(tdn.LIF(), dyadic_linear(), tdn.LeakyIntegrator())),
    "ConductanceLIF": Case(drive=lambda uniform: (20 * uniform, 5 * uniform.flip(0))),
    "ConductanceSynapse": Case(drive=lambda uniform: torch.stack([uniform, 2 * uniform], 2)),
    "Delay": Case(lambda: tdn.Delay(torch.tensor([0.0, 1.0, 2.5, 3.0, 4.0]))),
    "DelayedLinear": Case(lambda: dyadic(tdn.DelayedLinear(NEURONS, NEURONS, 2.5)), spikes),
    "Network": Case(lambda: tdn.Network(tdn.LIF(), dyadic_linear(), delay=1.0)),
    "Plastic": Case(lambda: tdn.Chain(tdn.Plastic(dyadic_linear(), tdn.Hebbian()), tdn.LIF())),
    "PlasticLinear": Case(lambda: tdn.PlasticLinear(NEURONS, NEURONS, tdn.TsodyksMarkram()), spikes),
    "TsodyksMarkram": Case(drive=spikes),
    "DivisiveNormalization": Case(lambda: tdn.DivisiveNormalization(NEURONS)),
    "EchoState": Case(lambda: tdn.EchoState(NEURONS)),
    "EINetwork": Case(lambda: tdn.EINetwork(NEURONS - 1, 1)),
    "GatingUnit": Case(drive=lambda uniform: 0.1 * uniform),
    "KWinnersTakeAll": Case(lambda: tdn.KWinnersTakeAll(NEURONS, k=2), lambda uniform: uniform),
    "Microcircuit": Case(drive=lambda uniform: (20 * uniform, 5 * uniform.flip(0))),
    "RateNetwork": Case(lambda: tdn.RateNetwork(NEURONS, activation=tdn.rates.Softplus())),
    "RateUnit": Case(lambda: tdn.RateUnit(activation=tdn.rates.Softplus())),
    "WilsonCowan": Case(drive=lambda uniform: (3 * uniform, uniform.flip(0))),
    "WinnerTakeAll": Case(lambda: tdn.WinnerTakeAll(NEURONS), lambda uniform: uniform),
    "WongWang": Case(lambda: tdn.WongWang(NEURONS), lambda uniform: 0.1 * uniform),
    "HodgkinHuxley": Case(lambda: tdn.HodgkinHuxley(dt=0.2), lambda uniform: 60 * uniform),
    "Recurrent": Case(lambda: tdn.Recurrent(tdn.LIF(), dyadic_linear())),
    "TwoSynapseLIF": Case(drive=lambda uniform: (4 * uniform, -uniform.flip(0))),
    "TwoCompartment": Case(
        drive=lambda uniform: tdn.TwoCompartmentInput(1e3 * uniform, 400 * uniform.flip(0), (50 * uniform,))
    ),
}
"""Classes that need more than their default arguments, by name."""


def concrete_dynamics() -> list[type[tdn.Dynamics]]:
    """Every class of the package with an equation of its own: public, below ``Dynamics``, with all methods written."""
    for package in pkgutil.iter_modules(tdn.__path__, "torchdyn_neuro."):
        # The deep-learning parts need packages beyond torch, which take seconds to import, and hold no equations.
        if package.name.split(".")[1] in {"data", "training", "plotting"}:
            continue
        path = getattr(importlib.import_module(package.name), "__path__", [])
        for module in pkgutil.walk_packages(path, f"{package.name}."):
            importlib.import_module(module.name)
    found, waiting = set(), [tdn.Dynamics]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        found.update(cls for cls in below if cls.__module__.startswith("torchdyn_neuro.") and _is_concrete(cls))
    return sorted(found, key=lambda cls: cls.__name__)


def _is_concrete(cls: type[tdn.Dynamics]) -> bool:
    if cls.__name__.startswith("_") or inspect.isabstract(cls):
        return False
    if cls.initial_state is tdn.Dynamics.initial_state or cls.step is tdn.Dynamics.step:
        return False
    if not issubclass(cls, tdn.ODE):
        return True
    equation = ("derivative", "relaxation", "flow")
    return any(getattr(cls, name) is not getattr(tdn.ODE, name) for name in equation)


def build(cls: type[tdn.Dynamics]) -> tdn.Dynamics:
    """The example of ``cls``, the same on every call."""
    torch.manual_seed(0)
    maker = EXAMPLES.get(cls.__name__, Case()).build
    return (maker or cls)()


def sequence(cls: type[tdn.Dynamics], *shape: int, dtype: torch.dtype = torch.float32) -> State:
    """An input [T, B, *] (by default [12, 3, NEURONS]) that drives ``cls``."""
    generator = torch.Generator().manual_seed(1)
    uniform = torch.rand(shape or (12, 3, NEURONS), generator=generator)
    drive = EXAMPLES.get(cls.__name__, Case()).drive
    x = drive(uniform) if drive else uniform * _scale(cls)
    return map_state(lambda leaf: leaf.to(dtype), x)


@functools.cache
def _scale(cls: type[tdn.Dynamics]) -> float:
    generator = torch.Generator().manual_seed(1)
    uniform = torch.rand(12, 3, NEURONS, generator=generator)
    module = build(cls)
    for scale in (20.0, 100.0, 1e3, 1e4, 1e5):
        with torch.no_grad():
            y = tdn.core.state.first_leaf(module(uniform * scale))
        if y.isfinite().all() and len(y[1:].unique()) > 1:
            return scale
    return 20.0
