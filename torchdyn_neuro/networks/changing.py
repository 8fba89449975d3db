"""Projections whose synapses change with activity: what they release, or their weights."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.constrained import Constrained
from ..core.learning_rule import LearningRule
from ..core.state import State, register_state
from ..plasticity import InhibitorySTDP, PairSTDP, TsodyksMarkram
from ..wiring.draw import draw
from .layout import Layout

_HEADER, _DELAY_AT, _LONGEST = 2, 48, 1 << 15
_MOST_TOGETHER, _MOST = 65_528, 2**31
_FADES = 4096
_RELEASES, _CONSTANT, _NEAREST = 1, 2, 4
ROOM = 80
"""Bytes for each synapse while rows are laid out."""


@register_state
class ReleaseState(NamedTuple):
    """u, R: of each presynaptic neuron after its last spike that arrived everywhere; last: the step of it, int32."""

    u: Tensor
    R: Tensor
    last: Tensor


@register_state
class LearningState(NamedTuple):
    """weight: of each synapse, by presynaptic neuron, in the order in which they are drawn; pre: the trace of each of
    these neurons after its last spike that arrived everywhere; last: the step of that one, int32; post: the trace of
    each target.
    """

    weight: Tensor
    pre: Tensor
    last: Tensor
    post: Tensor


def numbers_of(release: TsodyksMarkram | None, rule: LearningRule | None, dt: float) -> tuple[list[float], int]:
    """What the kernels take of either: numbers, and flags."""
    if release is not None:
        U = _one(release, "U")
        rates = [0.0 if getattr(release, tau) is None else dt / _one(release, tau) for tau in ("tau_f", "tau_d")]
        rest = 0.0 if release.form == "m98" else U
        return [U, *rates, rest, *[0.0] * 9], _RELEASES | _CONSTANT * (release.form == "text")
    bounds = [-math.inf if rule.w_min is None else rule.w_min, math.inf if rule.w_max is None else rule.w_max]
    if isinstance(rule, InhibitorySTDP):
        eta, rho, tau = (_one(rule, name) for name in ("eta", "rho", "tau"))
        factors, taus, nearest = [eta, eta, -eta * 2 * rho / 1000 * tau, 0.0, 0.0], (tau, tau), False
    else:
        factors = [_one(rule, "A_plus"), -_one(rule, "A_minus"), 0.0, rule.mu_plus, rule.mu_minus]
        taus, nearest = (_one(rule, "tau_plus"), _one(rule, "tau_minus")), rule.pairing == "nearest"
    return [*[0.0] * 4, *factors, *bounds, dt / taus[0], math.exp(-dt / taus[1])], _NEAREST * nearest


def check_change(owner: str, release: TsodyksMarkram | None, rule: LearningRule | None) -> None:
    """Raise if synapses cannot change like this in a network that runs in one call."""
    if release is not None and rule is not None:
        raise ValueError(f"{owner}: expected release= or plasticity=, got both; pass one of the two")
    if release is not None and not isinstance(release, TsodyksMarkram):
        raise TypeError(f"{owner}: expected release to be TsodyksMarkram, got {type(release).__name__}; pass one")
    if rule is not None and type(rule) not in (PairSTDP, InhibitorySTDP):
        raise TypeError(
            f"{owner}: expected plasticity to be PairSTDP or InhibitorySTDP, got {type(rule).__name__}; pass one of "
            "them, or use a Network with Plastic(SparseLinear(...), rule), which takes any"
        )
    module = rule if release is None else release
    for name, quantity in () if module is None else module.named_children():
        if isinstance(quantity, Constrained) and quantity.start.numel() != 1:
            raise ValueError(
                f"{owner}: expected one {name} of {type(module).__name__} for all synapses, got shape "
                f"{tuple(quantity.start.shape)}; pass one number, or several projections"
            )
    if rule is not None and (rule.axonal_delay or rule.dendritic_delay):
        raise ValueError(
            f"{owner}: expected {type(rule).__name__} without delays of its own, got {rule.axonal_delay:g} and "
            f"{rule.dendritic_delay:g} ms; leave them out: presynaptic spikes take the delay of their synapse"
        )


def _one(module: torch.nn.Module, name: str) -> float:
    return float(getattr(module, name)().reshape(()))


@dataclass(frozen=True, eq=False)
class ChangingRows:
    """The synapses of one such projection; see ``changing.h``.

    Args:
        projection: which it is.
        words: source, target and receptor, the first of the source's neurons, their number, flags, targets.
        places, weights, offsets: as in :class:`~torchdyn_neuro.networks.packed.Packed`.
        order: the place of each synapse, in the order in which they are drawn, int32.
        begin, at, back: of each target the synapses that lead to it, their places, and from there to the header.
        numbers, fade: of the rule.
    """

    projection: int
    words: tuple[int, ...]
    places: Tensor
    weights: Tensor
    offsets: Tensor
    order: Tensor
    begin: Tensor | None
    at: Tensor | None
    back: Tensor | None
    numbers: Tensor
    fade: Tensor

    @property
    def releases(self) -> bool:
        """Whether it is what they release that changes."""
        return bool(self.words[5] & _RELEASES)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        every = self.places, self.weights, self.offsets, self.order, self.begin, self.at, self.back
        return sum(x.numel() * x.element_size() for x in every if x is not None)

    def __getstate__(self) -> dict:
        # torch 2.14 pickles no whole numbers of 16 bits without a sign.
        back = None if self.back is None else self.back.view(torch.int16)
        return {**self.__dict__, "places": self.places.view(torch.int16), "back": back}

    def __setstate__(self, state: dict) -> None:
        back = None if state["back"] is None else state["back"].view(torch.uint16)
        self.__dict__.update(state, places=state["places"].view(torch.uint16), back=back)

    def initial_state(self) -> State:
        """Before the first spike."""
        sources, dtype = self.words[4], self.weights.dtype
        last = torch.zeros(sources, dtype=torch.int32)
        if self.releases:
            rest = torch.full((sources,), float(self.numbers[3]), dtype=dtype)
            return ReleaseState(rest, torch.ones(sources, dtype=dtype), last)
        low, high = self.numbers[9:11].tolist()
        weight = self.weights[self.order.to(torch.int64)].clamp(low, high)
        return LearningState(weight, torch.zeros(sources, dtype=dtype), last, torch.zeros(self.words[6], dtype=dtype))

    def fits(self, state: State) -> bool:
        """Whether a state is one of this projection."""
        like = self.initial_state()
        return type(state) is type(like) and all(
            isinstance(x, Tensor) and x.shape == y.shape and x.dtype == y.dtype
            for x, y in zip(state, like, strict=True)
        )

    def held(self, state: State) -> "Held":
        """A copy of a state that the kernels change in place."""
        return Held(self, state)


class Held:
    """The synapses of a projection in a run.

    Args:
        rows: of the projection.
        state: to start from.
    """

    def __init__(self, rows: ChangingRows, state: State):
        self.rows, self.state = rows, type(state)(*(x.clone() for x in state))
        self.weights = rows.weights
        if not rows.releases:
            self.weights = rows.weights.clone()
            self.weights[rows.order.to(torch.int64)] = state.weight

    @property
    def tensors(self) -> list[Tensor | None]:
        """What the kernels take."""
        rows, state = self.rows, self.state
        if rows.releases:
            own = [state.u, state.R, None, state.last, None]
        else:
            own = [None, None, state.pre, state.last, state.post]
        every = [rows.places, self.weights, rows.offsets, *own, rows.begin, rows.at, rows.back, rows.numbers, rows.fade]
        return every

    def now(self) -> State:
        """The state as it is now."""
        copied = type(self.state)(*(x.clone() for x in self.state))
        return copied if self.rows.releases else copied._replace(weight=self.weights[self.rows.order.to(torch.int64)])


def lay_out(
    layout: Layout,
    projection: object,
    number: int,
    places: tuple[int, int, int],
    stream: int,
    dt: float,
    dtype: torch.dtype,
) -> ChangingRows:
    """Draw the synapses of a projection and lay them out.

    Args:
        layout: of the neurons.
        projection: whose synapses change.
        number: among all projections.
        places: the numbers of its source, its target and the receptor.
        stream: of what is drawn.
        dt: ms.
        dtype: of the weights.
    """
    source, target, receptor = places
    numbers, flags = numbers_of(projection.release, projection.plasticity, dt)
    sources, targets = layout.neurons[source], layout.neurons[target]
    rows = draw(projection.rule(sources, targets, stream, dt, dtype), stream, *projection.tables(dt), dtype=dtype)
    count, post = len(rows.place), rows.place.to(torch.int64)
    if 3 * count >= _MOST:
        raise ValueError(
            f"SpikingNetwork: expected fewer than {_MOST // 3} synapses in {projection.title}, whose synapses change, "
            f"got {count}; divide it into several"
        )
    where = layout.where(target, receptor)[post]
    pre = torch.repeat_interleave(torch.arange(sources), rows.start.diff())
    row = (where >> 16).to(torch.int64) * sources + pre
    sort = torch.argsort(row * _LONGEST + rows.delay, stable=True)
    row, delay = row[sort], rows.delay[sort].to(torch.int64)
    _, chunk, together = torch.unique_consecutive(row * _LONGEST + delay, return_inverse=True, return_counts=True)
    if count and int(together.max()) > _MOST_TOGETHER:
        raise ValueError(
            f"SpikingNetwork: expected at most {_MOST_TOGETHER} synapses from one neuron with one delay in "
            f"{projection.title}, whose synapses change, got {int(together.max())}; take more owners"
        )
    first = together.cumsum(0) - together
    header = first + _HEADER * torch.arange(len(together))
    at = torch.arange(count) + _HEADER * (chunk + 1)
    packed = torch.zeros(count + _HEADER * len(together), dtype=torch.int32)
    weights = torch.zeros(len(packed), dtype=dtype)
    packed[at], weights[at] = (where[sort] & 0xFFFF).to(torch.int32), rows.weight[sort]
    packed[header] = together.to(torch.int32)
    follows = row[first][1:] == row[first][:-1]
    packed[header[:-1][follows] + 1] = delay[first][1:][follows].to(torch.int32)
    offsets = torch.full((layout.owners, layout.total), -1, dtype=torch.int64)
    heads = torch.ones(len(together), dtype=torch.bool)
    heads[1:] = ~follows
    owner, neuron = row[first][heads] // sources, row[first][heads] % sources
    offsets[owner, layout.first(source) + neuron] = header[heads] | delay[first][heads] << _DELAY_AT
    order = torch.empty(count, dtype=torch.int32)
    order[sort] = at.to(torch.int32)
    begin = incoming = back = None
    if projection.plasticity is not None:
        by_target = torch.argsort(post[sort], stable=True)
        begin = torch.zeros(targets + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(post, minlength=targets), 0, out=begin[1:])
        incoming = at[by_target].to(torch.int32)
        back = (at - header[chunk])[by_target].to(torch.int32).to(torch.uint16)
    fade = torch.exp(-numbers[11] * torch.arange(_FADES, dtype=torch.float64)).to(dtype)
    words = (source, target, receptor, layout.first(source), sources, flags, targets, 0)
    exact = torch.tensor(numbers, dtype=torch.float64)
    packed = packed.to(torch.uint16)
    return ChangingRows(number, words, packed, weights, offsets, order, begin, incoming, back, exact, fade)
