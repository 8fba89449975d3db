"""Activity from the start: weights scaled until every spiking layer fires at a wanted rate."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.fits import check_model_input
from ..core.state import State, first_leaf, leaves, map_state
from .feeders import Scaling, proportional, put_in_front, same_memory, scalable
from .layers import fired, hooked, spiking_layers, steps_per_spike, undisturbed
from .report import ActivityReport, layers_of, measured

# The root mean square of the drive is sought from 2**LOWEST_POWER to 2**HIGHEST_POWER: dimensionless units to pA.
LOWEST_POWER, HIGHEST_POWER = -8, 16
HALVINGS = 8

LEFT = "nothing: it runs several times in a pass; give each place a module of its own"


def calibrate(model: nn.Module, x: State, *, rate: float = 50.0) -> ActivityReport:
    r"""Scale the weights of a model so that every spiking layer fires at a mean rate on a batch of data.

    Layer by layer, in the order in which they run, the input of the layer is recorded and the smallest factor is
    sought at which it fires at the rate. Weight and bias of the layer that feeds it are multiplied by that factor: of
    the linear layer or the convolution; of the batch norm behind it, if there is one; of the nearest
    :class:`CurrentScale`. Whether the input of the spiking layer has really followed, and that of all layers before has
    not changed, is seen in the next pass. Where it has not (the sum of a residual branch and its shortcut, a norm
    without weights, a layer that feeds two), the weights are put back, and a ``Chain(CurrentScale(factor), layer)``
    takes the place of the layer.

    In a :class:`Recurrent` layer the drive is scaled, not the recurrent connection; the rate counts its feedback.
    A layer that a forward calls several times is calibrated call by call, each by the weights in front of it; a call
    that only such a layer or one with other calls feeds stays as it is, and a warning says so. Parameters stay the same
    objects, so optimizers stay valid. Norms over the batch that are in training mode use the
    statistics of ``x`` and keep their running ones; dropout is off.

    Args:
        model: any model with spiking layers; changed in place.
        x: a batch of inputs of the model.
        rate: the mean firing rate of each layer, over its neurons, the batch and time, Hz.

    Returns:
        The activity of each layer, measured at the end, and what was scaled by how much.

    Raises:
        ValueError: if the model holds no spiking layer, or one cannot fire that fast even if it fires in every step in
            which it can.

    Warns:
        UserWarning: if a layer does not come near the rate, with the reason.

    Source: Mishkin & Matas (2016), ICLR (weights scaled layer by layer on a batch of data, there to unit variance).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(50, 100), tdn.LIF(), nn.Linear(100, 20), tdn.LIF())
        >>> x = (torch.rand(200, 8, 50) < 0.02).float()
        >>> [round(layer.rate) for layer in tdn.activity_report(model, x)]
        [0, 0]
        >>> [round(layer.rate) for layer in tdn.calibrate(model, x, rate=20.0)]
        [20, 20]
    """
    layers = layers_of(model, "calibrate")
    check_model_input("calibrate", model, x)
    positive_number("calibrate", "rate", rate, unit="Hz")
    for name, layer in layers.items():
        highest = 1000 / (layer.dt * steps_per_spike(layer))
        if rate > highest:
            raise ValueError(
                f"calibrate: expected a rate of at most {highest:g} Hz, a spike of {name or type(layer).__name__} in "
                f"every step in which it can fire, got {rate:g} Hz; lower the rate or dt"
            )
    with undisturbed(model) as rewind:
        notes = _Calibration(model, x, rate, layers, rewind).run()
        rewind()
        report = measured(model, x, spiking_layers(model), notes)
    called = {f"{layer.name or layer.kind} ({layer.rate:.1f} Hz)": layer for layer in report}
    left = [text for text, layer in called.items() if layer.scaled == LEFT]
    low = [text for text, layer in called.items() if not layer.rate >= rate / 2 and text not in left]
    high = [text for text, layer in called.items() if layer.rate > 2 * rate and text not in left]
    if left:
        warnings.warn(
            f"calibrate: left as they are, for what feeds them feeds other calls of the layer too: {', '.join(left)}; "
            "give each place a module of its own",
            stacklevel=2,
        )
    if low:
        warnings.warn(
            f"calibrate: below the {rate:g} Hz asked for, whatever the current: {', '.join(low)}; give more time "
            "steps, lower the threshold, or see the report for a layer that nothing drives",
            stacklevel=2,
        )
    if high:
        warnings.warn(
            f"calibrate: above the {rate:g} Hz asked for at the weakest current that was tried or that moves it: "
            f"{', '.join(high)}; the cells fire by themselves, or their recurrent connection is too strong",
            stacklevel=2,
        )
    return report


class _Pass(NamedTuple):
    """A pass through the model up to one call of a spiking layer.

    layer, input: that layer and its input, ``None`` where the pass ended before; previous: the input of the call
    before; sizes: what identifies the inputs of all calls before that; feeders: layers that may feed ``layer``, the
    most likely first.
    """

    layer: Dynamics | None
    input: State
    previous: State
    sizes: list[list[float]]
    feeders: list[nn.Module]


class _Reached(Exception):  # noqa: N818
    """Ends a pass at the call that it was for."""


class _Calibration:
    """One call of :func:`calibrate`."""

    def __init__(
        self, model: nn.Module, x: State, rate: float, layers: dict[str, Dynamics], rewind: Callable[[], None]
    ):
        self.model, self.x, self.rate, self.rewind = model, x, rate, rewind
        self.layers = list(layers.values())
        self.names = {module: name for name, module in model.named_modules()}
        inside = {part for layer in self.layers for part in layer.modules()}
        self.weighted = [module for module in model.modules() if module not in inside and scalable(module)]
        self.calls: list[Dynamics] = []
        self.notes: dict[tuple[Dynamics, int], str] = {}

    def run(self) -> dict[tuple[Dynamics, int], str]:
        """Calibrate each layer in its turn; returns what was scaled for each of its calls."""
        self.pass_to(-1)
        here = self.pass_to(0)
        index = 0
        while here.layer is not None:
            here, index = self.calibrated(here, index), index + 1
        return self.notes

    def pass_to(self, index: int) -> _Pass:
        """Run up to the call ``index`` of a spiking layer; -1 runs to the end and notes the order of the calls."""
        outputs: list[tuple[nn.Module, object]] = []
        inputs: list[State] = []
        sizes: list[list[float]] = []
        found: list[_Pass] = []

        def remember(module: nn.Module, given: tuple, output: object) -> None:
            outputs.append((module, same_memory(output)))

        def arrive(layer: Dynamics, given: tuple) -> None:
            if index < 0:
                self.calls.append(layer)
                return
            if len(inputs) == index:
                found.append(
                    _Pass(layer, given[0], inputs[-1] if inputs else (), sizes[:-1], _likely(outputs, given[0]))
                )
                raise _Reached
            # Only the last one is looked at closely; all of them would be as large as a training step.
            inputs.append(given[0])
            inputs[:-1] = [()] * (len(inputs) - 1)
            sizes.append(_size(given[0]))

        put = [partial(module.register_forward_hook, remember) for module in self.weighted]
        put += [partial(layer.register_forward_pre_hook, arrive) for layer in self.layers]
        self.rewind()
        try:
            with hooked(put):
                self.model(self.x)
        except _Reached:
            return found[0]
        return _Pass(None, (), inputs[-1] if inputs else (), sizes[:-1], [])

    def calibrated(self, here: _Pass, index: int) -> _Pass:
        """Bring the layer at which a pass has ended to the rate; returns the pass to the next one."""
        factor = self.factor(here)
        for feeder in here.feeders if factor != 1 else []:
            scaling = Scaling(feeder, factor)
            there = self.pass_to(index + 1)
            before = [*here.sizes, _size(here.previous)] if index else []
            if _agree(there.sizes, before) and proportional(there.previous, here.input, factor):
                self.note(index, f"{self.names[feeder]} by {factor:.3g}")
                return there
            scaling.undo()
        if factor != 1 and self.calls.count(here.layer) > 1:
            self.note(index, LEFT)
        elif factor != 1 and not put_in_front(self.model, here.layer, factor):
            self.note(index, "nothing: it is the model; put a layer with weights in front of it")
        elif factor != 1:
            self.note(index, f"its input by {factor:.3g}")
        return self.pass_to(index + 1)

    def factor(self, here: _Pass) -> float:
        """The smallest factor on the input at which the layer fires at the rate; 1 if the input makes no difference."""
        rates: dict[float, float] = {}

        def rate_at(power: float) -> float:
            self.rewind()
            drive = map_state(lambda leaf: leaf * 2.0**power, here.input)
            counted, steps = fired(first_leaf(here.layer.scan(drive)[0]))
            spikes = counted.mean().item() / steps
            # A drive beyond all reason may end in NaN.
            rates[power] = spikes * 1000 / here.layer.dt if math.isfinite(spikes) else 0.0
            return rates[power]

        size = max(leaf.float().square().mean().sqrt().item() for leaf in leaves(here.input))
        if not 0 < size < math.inf:
            return 1.0
        unit = -math.log2(size)
        powers = [unit + power for power in range(LOWEST_POWER, HIGHEST_POWER + 1)]
        if rate_at(powers[0]) >= self.rate or all(rate_at(power) < self.rate for power in powers[1:]):
            best = max(rates.values())
            if best == min(rates.values()) or rates[powers[0]] >= self.rate:
                return 1.0
            goal = 0.9 * best
        else:
            goal = self.rate
        high = next(power for power in powers if rates[power] >= goal)
        low = high - 1
        rate_at(low)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if rate_at(middle) >= goal else (middle, high)
        # Where the rate jumps, as with strong feedback, the nearer side of the jump.
        return 2.0 ** (low if rates[high] * rates[low] > goal * goal else high) if rates[high] > 2 * goal else 2.0**high

    def note(self, index: int, text: str) -> None:
        layer = self.calls[index]
        self.notes[layer, self.calls[:index].count(layer)] = text


def _size(x: State) -> list[float]:
    """Numbers that tell whether an input is still what it was, without keeping it."""
    kept = []
    for leaf in leaves(x):
        kept += [leaf.sum(dtype=torch.float64).item(), torch.linalg.vector_norm(leaf, dtype=torch.float64).item()]
    return kept


def _agree(sizes: list[list[float]], before: list[list[float]]) -> bool:
    if len(sizes) != len(before):
        return False
    pairs = zip(sizes, before, strict=True)
    return all(abs(a - b) <= 1e-3 * abs(b) for now, then in pairs for a, b in zip(now, then, strict=True))


def _likely(outputs: list[tuple[nn.Module, object]], x: State) -> list[nn.Module]:
    """The last layer whose output is the input itself, and the last that ran before it."""
    memory = same_memory(x)
    direct = [module for module, place in outputs if place is not None and place == memory]
    return list(dict.fromkeys([*direct[-1:], *(module for module, _ in outputs[-1:])]))
