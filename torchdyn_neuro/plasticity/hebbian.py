"""Hebb's rule with decay."""

import torch
from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.state import State


class Hebbian(LearningRule):
    r"""Neurons that are active together are connected more strongly; every weight decays.

    .. math:: \dot w_{ij} = \eta\, (r_i r_j - \alpha w_{ij})

    At constant activity the weight goes to :math:`r_i r_j / \alpha`; a step is the exact solution for an activity that
    is held over it. In a closed loop, :math:`r_i = w r_j`, the weight diverges where :math:`r_j^2 > \alpha`.

    Args:
        eta: learning rate, 1/ms.
        alpha: decay relative to the learning rate, above 0.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta`` is negative or ``alpha`` not positive.

    Source: Hebb (1949), The Organization of Behavior; Gerstner et al. (2014), Neuronal Dynamics, ch. 19.2 (decay).

    Example:
        >>> weight, pre, post = torch.zeros(1, 1, 1), torch.tensor([[2.0]]), torch.tensor([[3.0]])
        >>> weight, _ = Hebbian(eta=0.1, alpha=2.0).update(weight, Activity(pre, post, weight), (), dt=1000.0)
        >>> weight
        tensor([[[3.]]])
    """

    def __init__(
        self,
        eta: Quantity = 0.001,
        *,
        alpha: Quantity = 1.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta, unit="1/ms")
        self.alpha = Positive(alpha)

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        eta, alpha = activity.at_neurons(self.eta), activity.at_neurons(self.alpha)
        target = activity.outer(activity.post, activity.pre) / alpha
        passed = -torch.expm1(-dt * eta * alpha)
        return weight + passed * (target - activity.rows * weight), traces
