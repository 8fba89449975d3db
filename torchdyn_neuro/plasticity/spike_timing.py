"""What rules of spike timing share: traces of spikes, and delays on the way to the synapse."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import is_whole, one_of, positive_number
from ..core.learning_rule import Activity, LearningRule
from ..core.state import State, register_state

PAIRINGS = ("all", "nearest")


@register_state
class SpikeTimingState(NamedTuple):
    """traces: of the rule; pre, post: spikes on their way to the synapse, oldest first, () without a delay."""

    traces: State
    pre: State = ()
    post: State = ()


@register_state
class PairTraces(NamedTuple):
    r"""pre, post: traces of the spikes on either side, [B, \*], with a jump of 1."""

    pre: Tensor
    post: Tensor


class SpikeTiming(LearningRule):
    r"""Base of the rules that compare the times of spikes on either side of a synapse.

    A subclass says in :meth:`respond` how the weights change with the spikes that reach the synapse in a step. It reads
    the traces before they count these spikes, so that spikes of the same step do not pair; between spikes traces decay
    exactly, so that on the grid nothing depends on ``dt``.

    Args:
        axonal_delay: what a presynaptic spike takes to the synapse, beyond the delay of the network, ms; a whole number
            of steps.
        dendritic_delay: what a postsynaptic spike takes back to the synapse, ms; a whole number of steps.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Raises:
        ValueError: if a delay is negative; from ``initial_state`` if it is no whole number of steps.
    """

    def __init__(
        self,
        *,
        axonal_delay: float = 0.0,
        dendritic_delay: float = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        owner = type(self).__name__
        self.axonal_delay = positive_number(owner, "axonal_delay", axonal_delay, zero=True, unit="ms")
        self.dendritic_delay = positive_number(owner, "dendritic_delay", dendritic_delay, zero=True, unit="ms")

    def rest(self, activity: Activity) -> State:
        r"""The traces before the first step, [B, \*], from zeros of the right shapes."""
        raise NotImplementedError(f"{type(self).__name__} does not define rest(activity)")

    def respond(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        """How the weights change with the spikes that reach the synapse in a step, and the traces after it."""
        raise NotImplementedError(f"{type(self).__name__} does not define respond(weight, activity, traces, dt)")

    def initial_traces(self, activity: Activity, dt: float) -> SpikeTimingState:
        pre = (activity.pre,) * self._steps("axonal_delay", dt)
        post = (activity.post,) * self._steps("dendritic_delay", dt)
        return SpikeTimingState(self.rest(activity), pre, post)

    def update(
        self, weight: Tensor, activity: Activity, traces: SpikeTimingState, dt: float
    ) -> tuple[Tensor, SpikeTimingState]:
        change, traces = self.change(weight, activity, traces, dt)
        return weight + change, traces

    def change(
        self, weight: Tensor, activity: Activity, traces: SpikeTimingState, dt: float
    ) -> tuple[Tensor, SpikeTimingState]:
        """What a step adds to the weights, before they are bounded, and what is remembered after it."""
        traces, *waiting = traces
        if any(waiting):
            pre, waiting[0] = _passed_on(activity.pre, waiting[0])
            post, waiting[1] = _passed_on(activity.post, waiting[1])
            activity = replace(activity, pre=pre, post=post)
        change, traces = self.respond(weight, activity, traces, dt)
        return change, SpikeTimingState(traces, *waiting)

    def _steps(self, name: str, dt: float) -> int:
        delay = getattr(self, name)
        steps = delay / dt
        if not is_whole(steps):
            raise ValueError(
                f"{type(self).__name__}: expected {name} to be a whole number of steps of {dt:g} ms, got {delay:g} ms; "
                "pass a multiple"
            )
        return round(steps)

    def extra_repr(self) -> str:
        delays = (("axonal_delay", self.axonal_delay), ("dendritic_delay", self.dendritic_delay))
        parts = [f"{name}={delay:g} ms" for name, delay in delays if delay]
        return ", ".join(part for part in (*parts, super().extra_repr()) if part)


def _passed_on(spikes: Tensor, waiting: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What arrives in a step, and what is then still on its way."""
    queue = (*waiting, spikes)
    return queue[0], queue[1:]


def decayed(trace: Tensor, tau: Tensor, dt: float) -> Tensor:
    """A trace one step later if no spike comes."""
    return trace * torch.exp(-dt / tau)


def counted(trace: Tensor, spikes: Tensor, pairing: str) -> Tensor:
    """A trace after the spikes of a step: of all spikes so far, or of the last one only."""
    if pairing == "all":
        return trace + spikes
    return trace + (1 - trace) * spikes.clamp(max=1)


def check_pairing(owner: str, pairing: str) -> str:
    """``pairing`` if it is one of the two; ``ValueError`` otherwise."""
    return one_of(owner, "pairing", pairing, *PAIRINGS)
