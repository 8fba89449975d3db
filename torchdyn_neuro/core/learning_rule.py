"""Learning rules: how the weights of a connection follow what is active on either side of it."""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from .constrained import Constrained
from .quantities import Parametrized
from .repeat import count_rows
from .state import Shared, State, register_state
from .weighted import Weighted


@register_state
class RowTrace(NamedTuple):
    """value: what a rule remembers for the weights of each row, [B, *]."""

    value: State


@register_state
class SharedTrace(NamedTuple):
    """value: what a rule remembers for weights that all rows share, without an axis for the batch."""

    value: Shared


@dataclass(frozen=True)
class Activity:
    """What a learning rule sees of one step.

    Args:
        pre: what came in, [B, pre, \\*].
        post: what the neurons behind put out, [B, post, \\*].
        weight: the weights before the step, [B, post, pre, \\*], or [post, pre, \\*] where all rows share them;
            [B, synapses] or [synapses] of a connection that holds the synapses there are.
        neurons: the state of the neurons after the step.
        modulator: the neuromodulator, [B]; ``None`` if there is none.
        connection: whose weights they are.
        weights: ``"rows"``, ``"mean"`` or ``"sum"``, as in :class:`Plastic`.
    """

    pre: Tensor
    post: Tensor
    weight: Tensor
    neurons: State = ()
    modulator: Tensor | None = None
    connection: Weighted | None = None
    weights: str = "rows"

    @property
    def by_row(self) -> bool:
        """Whether each row of the batch has weights of its own."""
        return self.weights == "rows"

    @property
    def by_synapse(self) -> bool:
        """Whether the weights are those of synapses in a list, [B, synapses] or [synapses]."""
        return self.connection is not None and self.connection.by_synapse

    @property
    def rows(self) -> int | Tensor:
        """How often a change that is the same for all rows is made: once, or for each row where they are summed."""
        return count_rows(self.post) if self.weights == "sum" else 1

    def outer(self, post: Tensor, pre: Tensor | None = None) -> Tensor:
        """The product of two activities at every synapse, in the shape of the weights.

        It is taken for each row, or its mean or sum over the batch, as the weights are; a weight that several places
        share, as in a convolution, gets the sum over them.

        Args:
            post: one value for each postsynaptic neuron, [B, post, \\*].
            pre: one value for each presynaptic neuron, [B, pre, \\*]; ones if omitted.
        """
        pre = torch.ones_like(self.pre) if pre is None else pre
        if self.connection is None:  # by hand: a dense one
            found = post.unsqueeze(-1) * pre.unsqueeze(-2) if self.by_row else post.mT @ pre
        else:
            found = self.connection.pairs(self.weight, post, pre, self.by_row)
        return found / count_rows(post) if self.weights == "mean" else found

    def each(self) -> "Activity":
        """The same, seen by each synapse of each row: :meth:`outer` gives [B, post, pre, \\*] whatever the weights.

        A weight that the rows share is [1, post, pre, \\*] there.
        """
        return self if self.by_row else replace(self, weights="rows", weight=self.weight.unsqueeze(0))

    def gather(self, change: Tensor) -> Tensor:
        """A change [B, post, pre, \\*] for each row as one of the weights: itself, its mean or its sum."""
        if self.by_row:
            return change
        return change.mean(0) if self.weights == "mean" else change.sum(0)

    def at_rows(self, values: Tensor) -> Tensor:
        """One value for each row, [B], in a shape that meets [B, post, pre, \\*]."""
        return values.reshape(-1, *(1,) * (self.weight.ndim - self.by_row))

    def over_inputs(self, values: Tensor) -> Tensor:
        """The sum over all inputs of each postsynaptic neuron, of values in the shape of the weights; axes are kept."""
        if self.by_synapse:
            return self.connection.connection.over_inputs(values)
        return values.sum(tuple(range(2 if self.by_row else 1, values.ndim)), keepdim=True)

    def total(self, post: Tensor) -> Tensor:
        """One value for each postsynaptic neuron, [B, post, \\*], as :meth:`outer` adds it up, at its weights.

        It is what ``outer(post)`` would give if every place had all inputs, in a shape that meets the weights.
        """
        if not self.by_row and (self.connection is None or self.connection.dense):
            return self.outer(post)  # every place has all inputs, and the sum over the batch fuses
        places = tuple(range(2, post.ndim))
        found = post.sum(places, keepdim=True) if places else post
        return self.at_weights(found if self.by_row else self.gather(found))

    def overlap(self, first: Tensor, second: Tensor) -> Tensor:
        """The product of two postsynaptic activities for each pair of neurons, [B, post, post] or [post, post]."""
        if self.by_row:
            return first.reshape(*first.shape[:2], -1) @ second.reshape(*second.shape[:2], -1).mT
        found = first.transpose(0, 1).flatten(1) @ second.transpose(0, 1).flatten(1).mT
        return found / first.shape[0] if self.weights == "mean" else found

    def mean(self, post: Tensor) -> Tensor:
        """The mean of [B, post, \\*] over all that share weights: places and, unless by row, the batch; axes are kept.

        Use it for what a rule remembers of a neuron, and :meth:`keep` it.
        """
        places = tuple(range(2, post.ndim))
        found = post.mean(places, keepdim=True) if places else post
        return found if self.by_row else found.mean(0)

    def keep(self, value: State) -> RowTrace | SharedTrace:
        """A trace of the weights, not of the rows: one for each row if each has weights of its own, one if not."""
        return RowTrace(value) if self.by_row else SharedTrace(value)

    def start(self, value: float | Tensor) -> RowTrace | SharedTrace:
        """The first value of what :meth:`mean` moves on: ``value`` at each postsynaptic neuron."""
        return self.keep(torch.zeros_like(self.mean(self.post)) + value)

    def at_weights(self, values: Tensor) -> Tensor:
        """What :meth:`mean` gives, one value for each postsynaptic neuron, in a shape that meets the weights."""
        if self.by_synapse:
            return self.connection.connection.at_synapses(values)
        return values.unsqueeze(2 if self.by_row else 1)

    def at_neurons(self, quantity: Constrained) -> Tensor:
        """A quantity, one or one for each postsynaptic neuron, in a shape that meets the weights."""
        if quantity.start.ndim and self.by_synapse:
            return self.connection.connection.at_synapses(quantity())
        return quantity().unsqueeze(1) if quantity.start.ndim else quantity()

    def present(self, weight: Tensor) -> Tensor:
        """The weights, with zeros where a sparse connection has none."""
        mask = None if self.connection is None else self.connection.mask
        return weight if mask is None else weight * mask.to(weight.dtype)

    def field(self, name: str) -> Tensor:
        """A field of the state of the neurons behind, such as ``"v"``.

        Raises:
            ValueError: if their state has no such field.
        """
        state = self.neurons
        while isinstance(state, tuple):
            if hasattr(state, name):
                return getattr(state, name)
            state = getattr(state, "neuron", None)
        raise ValueError(
            f"expected neurons with a field {name!r} in their state, got {type(self.neurons).__name__}; put neurons "
            "that have it behind the connection"
        )


class LearningRule(Parametrized):
    r"""Base of the learning rules: how the weights of a connection follow what is active on either side.

    A subclass writes :meth:`update` once, with the batch in front of every tensor. What it does at a synapse it says
    by :meth:`Activity.outer`, so that it holds for dense, convolutional and sparse connections, and for weights of each
    row or one for all.

    Args:
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Raises:
        TypeError: if ``w_min`` or ``w_max`` is no number.
        ValueError: if ``w_min`` is above ``w_max``.
    """

    modulated: ClassVar[bool] = False
    """Whether it reads a neuromodulator, which then comes with the input as :class:`Modulated`."""

    def __init__(self, *, w_min: float | None = None, w_max: float | None = None):
        super().__init__()
        for name, bound in (("w_min", w_min), ("w_max", w_max)):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float)) or bound != bound):
                raise TypeError(
                    f"{type(self).__name__}: expected {name} to be a number or None, got {bound!r}; pass e.g. 0.0"
                )
        if w_min is not None and w_max is not None and w_min > w_max:
            raise ValueError(f"{type(self).__name__}: expected w_min <= w_max, got {w_min} and {w_max}; exchange them")
        self.w_min, self.w_max = w_min, w_max

    def initial_traces(self, activity: Activity, dt: float) -> State:
        r"""What the rule remembers before the first step, [B, \*]: nothing in this base.

        Args:
            activity: zeros of the right shapes, and the weights.
            dt: length of the step, ms.
        """
        return ()

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        r"""The weights and the traces after a step; the bounds are kept by :meth:`bound`, behind it.

        Args:
            weight: the weights, [B, post, pre, \*] or [post, pre, \*].
            activity: what was active.
            traces: what the rule remembers.
            dt: length of the step, ms.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update(weight, activity, traces, dt)")

    def bound(self, weight: Tensor) -> Tensor:
        """The weights within ``w_min`` and ``w_max``."""
        if self.w_min is None and self.w_max is None:
            return weight
        return weight.clamp(self.w_min, self.w_max)

    def extra_repr(self) -> str:
        bounds = (("w_min", self.w_min), ("w_max", self.w_max))
        return ", ".join(f"{name}={value:g}" for name, value in bounds if value is not None)
