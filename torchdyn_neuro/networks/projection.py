"""A projection from one population to another."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.checks import is_whole, positive_number
from ..core.learning_rule import LearningRule
from ..plasticity import TsodyksMarkram
from ..wiring import Given, Values, Wiring
from ..wiring.draw import Rule, typed
from ..wiring.values import table_of
from .changing import check_change
from .drives import fits

LONGEST = 2**15 - 1
"""Steps of a delay."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another.

    Args:
        source, target: names of the populations.
        wiring: which neurons are connected.
        weight: what a spike adds to the input: a number or a distribution; omitted for a ``wiring.Given`` with weights.
        delay: ms, from the spike to its arrival: a number, a whole number of steps from one on, or a distribution,
            whose values are rounded to steps; omitted for a ``wiring.Given`` with delays.
        receptor: the input of the target's cell, by its place or its name.
        learned: whether the weights are a parameter of the network, ``SpikingNetwork.weights``; 12 bytes more for each.
        release: short-term plasticity, a :class:`~torchdyn_neuro.TsodyksMarkram`: a spike brings the weight times what
            it releases, of which each presynaptic neuron has one state.
        plasticity: a rule by which the weights learn, :class:`~torchdyn_neuro.PairSTDP` or
            :class:`~torchdyn_neuro.InhibitorySTDP`: presynaptic spikes are seen where and when they arrive.

    Raises:
        TypeError: if ``wiring`` is none, a weight or delay is neither a number nor a distribution, or ``release`` or
            ``plasticity`` is something else.
        ValueError: if weights or delays are missing or given twice; if both of ``release`` and ``plasticity`` are
            given, or one of their quantities is not one number.
    """

    source: str
    target: str
    wiring: Wiring
    weight: float | Values | None = None
    delay: float | Values | None = None
    receptor: int | str = 0
    learned: bool = False
    release: TsodyksMarkram | None = None
    plasticity: LearningRule | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.wiring, Wiring):
            raise TypeError(
                f"Projection: expected a rule of connectivity as wiring, got {type(self.wiring).__name__}; pass e.g. "
                "wiring.FixedProbability(0.1)"
            )
        for name in ("weight", "delay"):
            given = isinstance(self.wiring, Given) and getattr(self.wiring, name) is not None
            value = getattr(self, name)
            if given == (value is not None):
                raise ValueError(
                    f"Projection: expected {name}= or the {name}s of a Given wiring, got "
                    f"{'both' if given else 'none'}; pass one of the two"
                )
            if name == "delay" and isinstance(value, (int, float)):
                positive_number("Projection", name, value, unit="ms")
            if value is not None:
                table_of("Projection", name, value)

        check_change("Projection", self.release, self.plasticity)
        if self.learned and self.changes:
            raise ValueError(
                "Projection: expected learned=, release= or plasticity=, got two of them; a gradient needs weights "
                "that stay in a run"
            )

    @property
    def changes(self) -> bool:
        """Whether synapses change with activity."""
        return self.release is not None or self.plasticity is not None

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"the projection from {self.source} to {self.target}"

    def steps(self, dt: float) -> Tensor:
        """The quantiles of the delays, or the delays as given, in steps; raise if they are no delays."""
        if self.delay is None:
            delays = self.wiring.delay.to(torch.float64) / dt
            if len(delays) and not all(is_whole(float(step)) for step in delays.unique()):
                self._refuse("delays of whole steps", "others", dt, "round them")
            steps = delays.round()
        else:
            steps = table_of("Projection", "delay", self.delay) / dt
            if not isinstance(self.delay, Values):
                if not is_whole(float(steps[0])):
                    self._refuse("a delay of whole steps", f"{self.delay:g} ms", dt, "choose one")
                steps = steps.round()
        low, high = (float(f(steps)) if len(steps) else 1.0 for f in (torch.min, torch.max))
        if low < 1 - 1e-6:
            fix = "give the distribution a lower bound" if isinstance(self.delay, Values) else "raise it, or lower dt"
            self._refuse("delays of at least one step", f"{low * dt:g} ms", dt, fix)
        if high > LONGEST:
            self._refuse(f"delays of at most {LONGEST} steps", f"{high * dt:g} ms", dt, "lower them")
        return steps

    def check(self, dt: float) -> None:
        """Raise if its times do not fit steps of this length."""
        self.steps(dt)
        if self.release is not None and self.release.dt != dt:
            raise ValueError(
                f"SpikingNetwork: expected steps of {dt:g} ms in the release of {self.title}, got "
                f"{self.release.dt:g} ms; give it the dt of the cells"
            )

    def _refuse(self, expected: str, got: str, dt: float, fix: str) -> None:
        raise ValueError(f"SpikingNetwork: expected {expected} of {dt:g} ms in {self.title}, got {got}; {fix}")

    def delays(self, dt: float) -> set[int]:
        """All delays that there may be, in steps."""
        steps = self.steps(dt)
        if self.delay is None:
            return {int(step) for step in steps.unique()}
        return set(range(max(1, math.floor(steps.min() + 0.5)), math.floor(steps.max() + 0.5) + 1))

    def rule(self, pre: int, post: int, stream: int, dt: float, dtype: torch.dtype) -> Rule:
        """What the kernels carry out."""
        if self.weight is not None:
            weights = table_of("Projection", "weight", self.weight)
            fits("Projection", f"a weight in {self.title}", float(weights[weights.abs().argmax()]), dtype)
        rule = self.wiring.rule(pre, post, self.source == self.target, stream)
        if self.delay is None:
            rule = replace(rule, delay=self.steps(dt).to(torch.int32))
        return typed(rule, dtype)

    def digest(self, dt: float) -> str:
        """Some letters that tell projections apart."""
        held = [self.source, self.target, self.receptor, type(self.wiring).__name__, *vars(self.wiring).values()]
        digest = hashlib.sha256()
        for each in (*held, *self.tables(dt), self.steps(dt)):
            if isinstance(each, Tensor):
                digest.update(each.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
            elif isinstance(each, (str, int, float)):
                digest.update(f"{each!r},".encode())
        return digest.hexdigest()[:8]

    def tables(self, dt: float) -> tuple[Tensor, Tensor]:
        """The quantiles of weights and of delays in steps; of no meaning where they are given."""
        weight = table_of("Projection", "weight", 0.0 if self.weight is None else self.weight)
        return weight, weight if self.delay is None else self.steps(dt)


def titles_of(projections: Sequence[Projection]) -> list[str]:
    """A name for each: source and target, and a number where there are several of those."""
    found: list[str] = []
    for projection in projections:
        title = f"{projection.source}->{projection.target}"
        before = sum(name.partition(":")[0] == title for name in found)
        found.append(f"{title}:{before}" if before else title)
    return found
