"""The rule of Bienenstock, Cooper and Munro."""

import torch
from torch import Tensor

from ..core.learning_rule import Activity, LearningRule, RowTrace, SharedTrace
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.state import State


class BCM(LearningRule):
    r"""Activity above a threshold potentiates, below it depresses; the threshold slides with the activity squared.

    .. math::
        \dot w_{ij} = \eta\, r_i (r_i - \theta_i)\, r_j - \epsilon\, w_{ij}, \qquad
        \tau \dot\theta_i = -\theta_i + r_i^2 / r_0

    A linear neuron that is shown ``K`` independent patterns, each as often, ends up with the response :math:`K r_0` to
    one and 0 to all others: it is selective. The threshold must be faster than the weights, or both oscillate. Weights
    that a batch or the places of a convolution share belong to one neuron: its threshold follows the mean over them.
    The threshold of the present step is the one before it.

    Args:
        eta: learning rate, 1/ms per cubed unit of activity.
        tau: time constant of the threshold, ms.
        rate: the activity :math:`r_0` at which the threshold equals the activity.
        decay: of the weights, :math:`\epsilon`, 1/ms.
        threshold: where the threshold starts.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta``, ``decay`` or ``threshold`` is negative, or ``tau`` or ``rate`` not positive.

    Source: Bienenstock, Cooper & Munro (1982), J. Neurosci. 2:32; Intrator & Cooper (1992), Neural Networks 5:3 (the
    mean of the square as the threshold).

    Example:
        >>> pre, post, weight = torch.ones(1, 1), torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, 1)
        >>> rule, activity = BCM(eta=0.1, threshold=1.0), Activity(pre, post, weight)
        >>> rule.update(weight, activity, rule.initial_traces(activity, 1.0), dt=1.0)[0].squeeze()
        tensor([-0.0250,  0.2000])
    """

    def __init__(
        self,
        eta: Quantity = 0.001,
        *,
        tau: Quantity = 100.0,
        rate: Quantity = 1.0,
        decay: Quantity = 0.0,
        threshold: Quantity = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta, unit="1/ms")
        self.tau = Positive(tau, unit="ms")
        self.rate = Positive(rate)
        self.decay = NonNegative(decay, unit="1/ms")
        self.threshold = NonNegative(threshold)

    def initial_traces(self, activity: Activity, dt: float) -> RowTrace | SharedTrace:
        return activity.start(self.threshold())

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        post, threshold = activity.post, traces.value
        change = activity.outer(dt * self.eta() * post * (post - threshold), activity.pre)
        lost = -torch.expm1(-dt * activity.at_neurons(self.decay)) * activity.rows
        square = activity.mean(post.square()) / self.rate()
        threshold = threshold + (square - threshold) * -torch.expm1(-dt / self.tau())
        return weight + change - lost * weight, activity.keep(threshold)
