"""Several learning rules on one connection."""

from dataclasses import replace

from torch import Tensor, nn

from ..core.learning_rule import Activity, LearningRule
from ..core.state import State


class Rules(LearningRule):
    r"""Learning rules one after the other, each on the weights that the one before it leaves.

    .. math:: W \to \mathrm{rule}_n(\dots\, \mathrm{rule}_1(W))

    Every rule sees the same activity and has traces of its own. The bounds of each are kept behind it, and those of all
    of them at the end of every step. None sees a weight where a sparse connection has none.

    Args:
        rules: what is applied, in order; at least one.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        TypeError: if one of them is no learning rule.
        ValueError: if there is none, or no weight is within the bounds of all.

    Source: Zenke, Agnes & Gerstner (2015), Nat. Commun. 6:6922 (several forms of plasticity at once).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> rule = Rules(tdn.Hebbian(0.01, w_min=0.0), tdn.WeightNormalization(total=1.0))
        >>> plastic = tdn.Plastic(nn.Linear(3, 2), rule)
    """

    def __init__(self, *rules: LearningRule):
        super().__init__()
        if not rules:
            raise ValueError("Rules: expected one rule at least, got none; pass e.g. Oja()")
        for rule in rules:
            if not isinstance(rule, LearningRule):
                raise TypeError(f"Rules: expected learning rules, got {type(rule).__name__}; pass e.g. Oja()")
        self.rules = nn.ModuleList(rules)
        inner = [part for rule in rules for part in rule.modules() if isinstance(part, LearningRule)]
        lowest = max((rule.w_min for rule in inner if rule.w_min is not None), default=None)
        highest = min((rule.w_max for rule in inner if rule.w_max is not None), default=None)
        if lowest is not None and highest is not None and lowest > highest:
            raise ValueError(
                f"Rules: expected bounds that a weight can keep, got one rule with w_min={lowest:g} and one with "
                f"w_max={highest:g}; let them overlap"
            )

    @property
    def modulated(self) -> bool:
        """Whether one of the rules reads a neuromodulator."""
        return any(rule.modulated for rule in self.rules)

    def initial_traces(self, activity: Activity, dt: float) -> State:
        return tuple(rule.initial_traces(activity, dt) for rule in self.rules)

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        after = []
        for rule, own in zip(self.rules, traces, strict=True):
            weight, trace = rule.update(weight, replace(activity, weight=weight), own, dt)
            weight = activity.present(rule.bound(weight))
            after.append(trace)
        return weight, tuple(after)

    def bound(self, weight: Tensor) -> Tensor:
        for rule in self.rules:
            weight = rule.bound(weight)
        return weight
