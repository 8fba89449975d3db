"""The covariance rule."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.quantities import NonNegative, Positive, Quantity, Real
from ..core.state import State, register_state


@register_state
class CovarianceTraces(NamedTuple):
    """pre, post: running means of what comes in and of what the neurons put out, [B, \\*]."""

    pre: Tensor
    post: Tensor


class Covariance(LearningRule):
    r"""Weights grow where activities are above their means together, and shrink where one is above and one below.

    .. math::
        \dot w_{ij} = \eta\, (r_i - \bar r_i)(r_j - \bar r_j), \qquad \tau \dot{\bar r} = -\bar r + r

    The deviations are from the means before the step, so that the present activity is compared with the past alone: for
    activity without memory the mean drift is the covariance times :math:`2 / (1 + e^{-dt / \tau})`, which is near 1.
    Unlike Hebb's rule it has depression of its own; like it, it is unstable without bounds or normalisation.

    Args:
        eta: learning rate, 1/ms.
        tau: time constant of the means, ms; ``None`` for means that stay at ``pre_mean`` and ``post_mean``.
        pre_mean: where the presynaptic mean starts.
        post_mean: where the postsynaptic mean starts.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta`` is negative or ``tau`` not positive.

    Source: Sejnowski (1977), J. Math. Biol. 4:303; Dayan & Abbott (2001), Theoretical Neuroscience, ch. 8.2, eqs. 8.8
    and 8.9 (thresholds at the mean activity).

    Example:
        >>> pre, post, weight = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0]]), torch.zeros(1, 1, 2)
        >>> rule, activity = Covariance(eta=0.1, tau=None, pre_mean=1.0, post_mean=1.0), Activity(pre, post, weight)
        >>> rule.update(weight, activity, rule.initial_traces(activity, 1.0), dt=1.0)[0]
        tensor([[[ 0.2000, -0.2000]]])
    """

    def __init__(
        self,
        eta: Quantity = 0.001,
        *,
        tau: Quantity | None = 1000.0,
        pre_mean: Quantity = 0.0,
        post_mean: Quantity = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta, unit="1/ms")
        self.tau = None if tau is None else Positive(tau, unit="ms")
        self.pre_mean, self.post_mean = Real(pre_mean), Real(post_mean)

    def initial_traces(self, activity: Activity, dt: float) -> CovarianceTraces:
        return CovarianceTraces(
            torch.zeros_like(activity.pre) + self.pre_mean(), torch.zeros_like(activity.post) + self.post_mean()
        )

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        pre, post = activity.pre - traces.pre, activity.post - traces.post
        weight = weight + activity.outer(dt * self.eta() * post, pre)
        if self.tau is not None:
            passed = -torch.expm1(-dt / self.tau())
            traces = CovarianceTraces(traces.pre + passed * pre, traces.post + passed * post)
        return weight, traces
