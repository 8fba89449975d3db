"""Homeostatic synaptic scaling."""

import torch
from torch import Tensor

from ..core.learning_rule import Activity, LearningRule, RowTrace, SharedTrace
from ..core.quantities import NonNegative, Positive, Quantity, Real
from ..core.state import State


class SynapticScaling(LearningRule):
    r"""All weights of a neuron grow by the same factor while its mean activity is too low, and shrink while too high.

    .. math:: \dot w_{ij} = \eta\, (r_0 - \bar r_i)\, w_{ij}, \qquad \tau \dot{\bar r}_i = -\bar r_i + r_i

    At rest the mean activity is :math:`r_0`, whatever the input, and the ratios of the weights are kept. It is meant
    for excitatory weights; a step is the exact solution for a mean that is held over it. The mean must be faster than
    the weights, or both oscillate. Weights that a batch or the places of a convolution share belong to one neuron: its
    mean is over them too, and it is scaled once, whether changes are averaged or summed.

    Args:
        eta: learning rate, 1/ms per unit of activity.
        target: the mean activity :math:`r_0`, in units of what the neurons put out; for spikes, a rate in Hz times
            ``dt / 1000``.
        tau: time constant of the mean, ms.
        start: where the mean starts; at ``target`` if omitted.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta`` is negative or ``tau`` not positive.

    Source: Turrigiano et al. (1998), Nature 391:892; van Rossum, Bi & Turrigiano (2000), J. Neurosci. 20:8812
    (without its integral term).

    Example:
        >>> pre, post, weight = torch.ones(1, 2), torch.zeros(1, 1), torch.tensor([[[1.0, 2.0]]])
        >>> rule, activity = SynapticScaling(eta=0.01, target=0.5, start=0.0), Activity(pre, post, weight)
        >>> rule.update(weight, activity, rule.initial_traces(activity, 20.0), dt=20.0)[0]
        tensor([[[1.1052, 2.2103]]])
    """

    def __init__(
        self,
        eta: Quantity = 1e-4,
        *,
        target: Quantity = 0.01,
        tau: Quantity = 1000.0,
        start: Quantity | None = None,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta, unit="1/ms")
        self.target = Real(target)
        self.tau = Positive(tau, unit="ms")
        self.start = None if start is None else Real(start)

    def initial_traces(self, activity: Activity, dt: float) -> RowTrace | SharedTrace:
        start = self.target if self.start is None else self.start
        return activity.start(start())

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        mean = traces.value
        mean = mean + (activity.mean(activity.post) - mean) * -torch.expm1(-dt / self.tau())
        factor = torch.exp(dt * self.eta() * (self.target() - mean))
        return weight * activity.at_weights(factor), activity.keep(mean)
