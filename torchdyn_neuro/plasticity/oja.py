"""Oja's rule."""

from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.numerics import exprel
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.state import State


class Oja(LearningRule):
    r"""Hebb's rule with a decay that keeps the length of each neuron's weights.

    .. math:: \dot w_{ij} = \eta\, (r_i r_j - \alpha r_i^2 w_{ij})

    For a linear neuron, :math:`r_i = \sum_j w_{ij} r_j`, the weights converge to the first principal component of the
    input (of its correlation matrix), with :math:`|w|^2 = 1 / \alpha`. A step is the exact solution for an activity
    that is held over it, which no rate, however high, makes unstable; to first order it is the map of the source.

    Args:
        eta: learning rate, 1/ms per squared unit of activity.
        alpha: inverse of the squared length of the weights, above 0.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta`` is negative or ``alpha`` not positive.

    Source: Oja (1982), J. Math. Biol. 15:267; Dayan & Abbott (2001), Theoretical Neuroscience, eq. 8.16 (``alpha``).

    Example:
        >>> import torch
        >>> pre, post, weight = torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0]]), torch.zeros(1, 1, 2)
        >>> Oja(eta=1.0).update(weight, Activity(pre, post, weight), (), dt=100.0)[0]  # x / y: a unit vector
        tensor([[[0.6000, 0.8000]]])
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
        post = activity.post
        decay = dt * self.eta() * self.alpha() * post.square()
        mean = dt * self.eta() * exprel(-decay)  # of what is left of a change, over the step
        lost = activity.total(self.alpha() * mean * post.square())
        return weight + activity.outer(mean * post, activity.pre) - lost * weight, traces
