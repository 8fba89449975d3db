"""The triplet rule of spike timing as a rule of rates."""

from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.state import State
from .triplet_stdp import TripletSTDP


class TripletRate(LearningRule):
    r"""The mean of :class:`TripletSTDP` for independent Poisson spikes, as a rule of rates: one of the BCM kind.

    .. math::
        \dot w = \rho_{pre} \rho_{post} \left[ A_2^+ \tau_+ + A_3^+ \tau_+ \tau_y\, \rho_{post}
        - A_2^- \tau_- - A_3^- \tau_- \tau_x\, \rho_{pre} \right]

    In the minimal model of visual cortex, :math:`A_2^+ = A_3^- = 0`, weights fall below and grow above the postsynaptic
    rate :math:`A_2^- \tau_- / (A_3^+ \tau_+ \tau_y)`, whatever the presynaptic one. The activities are rates in Hz.

    Args:
        rule: the rule of spikes, with all of them paired, whose mean it is; bounds are its own.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        TypeError: if ``rule`` is no :class:`TripletSTDP`.
        ValueError: if it pairs the nearest spikes only, whose mean is another.

    Source: Pfister & Gerstner (2006), J. Neurosci. 26:9673, relation to Bienenstock, Cooper & Munro (1982).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> rule = tdn.TripletRate(tdn.TripletSTDP.preset("visual_cortex/all/minimal"))
        >>> pre, weight = torch.full((1, 1), 10.0), torch.zeros(1, 1, 1)
        >>> [rule.update(weight, tdn.Activity(pre, pre * k, weight), (), 1.0)[0].sign().item() for k in (1, 3)]
        [-1.0, 1.0]
    """

    def __init__(self, rule: TripletSTDP):
        if not isinstance(rule, TripletSTDP):
            raise TypeError(f"TripletRate: expected a TripletSTDP, got {type(rule).__name__}; pass TripletSTDP()")
        if rule.pairing != "all":
            raise ValueError(
                f"TripletRate: expected a rule that pairs all spikes, got pairing={rule.pairing!r}; pass one with "
                "pairing='all'"
            )
        super().__init__()
        self.rule = rule

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        rule, pre, post = self.rule, activity.pre / 1000, activity.post / 1000  # per ms
        # Each quantity on the side of its trace, or of the spike at which it acts, as in the rule of spikes.
        up = rule.A2_plus() + rule.A3_plus() * rule.tau_y() * post
        down = rule.A2_minus() + rule.A3_minus() * rule.tau_x() * pre
        passed = dt * rule.eta() * post
        grown = activity.outer(passed * up, pre * rule.tau_plus())
        return weight + grown - activity.outer(passed * rule.tau_minus(), pre * down), traces

    def bound(self, weight: Tensor) -> Tensor:
        return self.rule.bound(weight)
