"""Normalisation of the incoming weights."""

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from ..core.learning_rule import Activity, LearningRule
from ..core.quantities import Positive, Quantity
from ..core.state import State


class WeightNormalization(LearningRule):
    r"""The incoming weights of each neuron are scaled to a given sum, so that they compete.

    .. math:: w_{ij} \to w_{ij}\, \frac{s}{\sum_k |w_{ik}|} \qquad \text{or} \qquad
        w_{ij} \to w_{ij}\, \frac{s}{\sqrt{\sum_k w_{ik}^2}}

    It learns nothing itself: put it behind another rule with :class:`Rules`. Neurons without weights are left alone.
    Weights are scaled in the steps that end a whole number of intervals after the start.

    Args:
        total: the sum ``s``, above 0: one, or one for each neuron, [post] or [post, 1, \*].
        norm: ``"sum"`` of the absolute weights, on the left, or ``"length"``, on the right.
        every: interval from one scaling to the next, ms, a whole number of steps; every step if omitted.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted. What is cut off is missing in the sum.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``total`` or ``every`` is not above 0, or ``norm`` none of the two; from ``initial_state`` if
            ``every`` is no whole number of steps.

    Source: von der Malsburg (1973), Kybernetik 14:85; Diehl & Cook (2015), Front. Comput. Neurosci. 9:99.

    Example:
        >>> weight = torch.tensor([[[1.0, 3.0]]])
        >>> activity = Activity(torch.ones(1, 2), torch.zeros(1, 1), weight)
        >>> WeightNormalization(total=2.0).update(weight, activity, (), dt=1.0)[0]
        tensor([[[0.5000, 1.5000]]])
    """

    def __init__(
        self,
        total: Quantity = 1.0,
        *,
        norm: str = "sum",
        every: float | None = None,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.total = Positive(total)
        self.norm = one_of("WeightNormalization", "norm", norm, "sum", "length")
        self.every = None if every is None else positive_number("WeightNormalization", "every", every, unit="ms")

    def initial_traces(self, activity: Activity, dt: float) -> State:
        """How many steps have passed since the last scaling."""
        if self.every is None:
            return ()
        steps = self.every / dt
        if steps < 0.5 or abs(steps - round(steps)) > 1e-6 * steps:
            raise ValueError(
                f"WeightNormalization: expected every to be a whole number of steps of {dt:g} ms, got {self.every:g} "
                f"ms; pass {max(1, round(steps)) * dt:g}"
            )
        return activity.start(0.0)

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        if self.every is None:
            return self.normalized(weight, activity), traces
        passed = traces.value + 1
        due = passed >= self.every / dt - 0.5
        weight = torch.where(activity.at_weights(due), self.normalized(weight, activity), weight)
        return weight, activity.keep(torch.where(due, torch.zeros_like(passed), passed))

    def normalized(self, weight: Tensor, activity: Activity) -> Tensor:
        """The weights, scaled."""
        total = self.total()
        if self.total.start.ndim and activity.by_synapse:
            total = activity.at_neurons(self.total)
        elif self.total.start.ndim:
            total = total.reshape(-1, *(1,) * (weight.ndim - (2 if activity.by_row else 1)))
        found = activity.over_inputs(weight.abs() if self.norm == "sum" else weight.square())
        there = found > 0
        # A root has no slope at 0, and nothing divides by it.
        found = torch.where(there, found, 1.0)
        found = found if self.norm == "sum" else found.sqrt()
        # Divided first: the inverse of a tiny sum overflows.
        alone = torch.where(there, 0.0, 1.0).to(weight.dtype)
        return weight * alone + weight / found * total * (1 - alone)

    def extra_repr(self) -> str:
        every = "" if self.every is None else f", every={self.every:g} ms"
        return ", ".join(filter(None, [f"norm={self.norm!r}{every}", super().extra_repr()]))
