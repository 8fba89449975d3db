"""Plasticity of three factors: what spikes ask for is remembered, and done when a reward comes."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.quantities import Positive, Quantity
from ..core.state import State, register_state
from .spike_timing import SpikeTiming


@register_state
class RewardState(NamedTuple):
    r"""eligibility: of each synapse of each row, [B, post, pre, \*]; dopamine: [B], () without a trace; spikes: what
    the rule of spike timing remembers.
    """

    eligibility: Tensor
    dopamine: State
    spikes: State


class RewardSTDP(LearningRule):
    r"""Spike-timing-dependent plasticity that waits for a reward.

    .. math:: \dot e = -e / \tau_e + \mathrm{STDP}, \qquad \dot d = -d / \tau_d + m, \qquad \dot w = e\, d

    What the spikes of a step ask for jumps onto the eligibility :math:`e`; the weight moves by it only while there is
    dopamine :math:`d`. The modulator :math:`m` is an input beside the other, :class:`Modulated`: with a trace each
    value jumps onto :math:`d` at the end of its step, as a spike does; without one (``tau_d=None``) it is :math:`d`
    itself, held over the step. Between events all is exact: a pair of spikes and a reward of 1 a time T later give
    :math:`\Delta w_{STDP}\, e^{-T / \tau_e}\, \tau_e \tau_d / (\tau_e + \tau_d)`.

    Where the batch shares the weights, each row keeps its own eligibility and gets its own reward.

    Args:
        rule: a rule of spike timing, such as :class:`PairSTDP`, whose changes wait; bounds are its own.
        tau_e: time constant of the eligibility, ms.
        tau_d: time constant of the dopamine, ms; ``None`` if the modulator is the dopamine.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares
        - modulator: [B]

    Raises:
        TypeError: if ``rule`` is no rule of spike timing.
        ValueError: if a time constant is not positive.

    Source: Izhikevich (2007), Cereb. Cortex 17:2443 (the traces and the defaults); Frémaux & Gerstner (2016), Front.
    Neural Circuits 9:85 (three factors).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> plastic = tdn.Plastic(torch.nn.Linear(3, 2), tdn.RewardSTDP(tdn.PairSTDP()))
        >>> spikes, reward = torch.ones(10, 4, 3), torch.zeros(10, 4)
        >>> _, (state, _) = tdn.Chain(plastic, tdn.LIF()).scan(tdn.Modulated(spikes, reward))
        >>> state.traces.eligibility.shape
        torch.Size([4, 2, 3])
    """

    modulated = True

    def __init__(self, rule: SpikeTiming, tau_e: Quantity = 1000.0, tau_d: Quantity | None = 200.0):
        if not isinstance(rule, SpikeTiming):
            raise TypeError(
                f"RewardSTDP: expected a rule of spike timing, got {type(rule).__name__}; pass e.g. PairSTDP()"
            )
        super().__init__()
        self.rule = rule
        self.tau_e = Positive(tau_e, unit="ms")
        self.tau_d = None if tau_d is None else Positive(tau_d, unit="ms")

    def initial_traces(self, activity: Activity, dt: float) -> RewardState:
        if self.tau_d is not None and self.tau_d().numel() > 1:
            raise ValueError(
                f"RewardSTDP: expected one tau_d, for the dopamine is one value for each row, got shape "
                f"{tuple(self.tau_d().shape)}; pass one number"
            )
        each, rows = activity.each(), activity.post.shape[0]
        eligibility = each.weight.new_zeros(rows, *each.weight.shape[1:])
        dopamine = () if self.tau_d is None else activity.post.new_zeros(rows)
        return RewardState(eligibility, dopamine, self.rule.initial_traces(each, dt))

    def update(self, weight: Tensor, activity: Activity, traces: RewardState, dt: float) -> tuple[Tensor, RewardState]:
        eligibility, dopamine, spikes = traces
        each, tau_e = activity.each(), activity.at_neurons(self.tau_e)
        rate, present = 1 / tau_e, activity.modulator
        if self.tau_d is not None:
            rate, present = rate + 1 / self.tau_d(), dopamine
            dopamine = dopamine * torch.exp(-dt / self.tau_d()) + activity.modulator
        passed = -torch.expm1(-dt * rate) / rate
        change = activity.gather(eligibility * passed * activity.at_rows(present))
        asked, spikes = self.rule.change(each.weight, each, spikes, dt)
        eligibility = eligibility * torch.exp(-dt / tau_e) + asked
        return weight + change, RewardState(eligibility, dopamine, spikes)

    def bound(self, weight: Tensor) -> Tensor:
        return self.rule.bound(weight)
