"""Sanger's rule, the generalised Hebbian algorithm."""

from torch import Tensor

from ..core.learning_rule import Activity, LearningRule
from ..core.quantities import NonNegative, Quantity
from ..core.state import State


class Sanger(LearningRule):
    r"""Oja's rule for several neurons: each learns what the neurons before it leave of the input.

    .. math:: \dot w_{ij} = \eta\, r_i \Bigl(r_j - \sum_{k \le i} r_k w_{kj}\Bigr)

    For linear neurons, :math:`r_i = \sum_j w_{ij} r_j`, the weights of neuron ``i`` converge to the ``i``-th principal
    component of the input, in order, each of length 1. A step is one of Euler, as in the source: it is stable while
    :math:`\eta\, dt \sum_k r_k^2` stays below 1.

    Args:
        eta: learning rate, 1/ms per squared unit of activity.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares

    Raises:
        ValueError: if ``eta`` is negative; for a grouped convolution, whose neurons have no input in common.

    Source: Sanger (1989), Neural Networks 2:459.

    Example:
        >>> import torch
        >>> pre, post, weight = torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.eye(2)[None]
        >>> Sanger(eta=0.1).update(weight, Activity(pre, post, weight), (), dt=1.0)[0]
        tensor([[[1.0000, 0.1000],
                 [0.0000, 0.8000]]])
    """

    def __init__(self, eta: Quantity = 0.001, *, w_min: float | None = None, w_max: float | None = None):
        super().__init__(w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta, unit="1/ms")

    def initial_traces(self, activity: Activity, dt: float) -> State:
        if activity.by_synapse:
            raise TypeError(
                "Sanger: expected neurons that share their inputs, got a connection of single synapses; use nn.Linear"
            )
        groups = 1 if activity.connection is None else getattr(activity.connection.connection, "groups", 1)
        if groups > 1:
            raise ValueError(
                f"Sanger: expected neurons that share their inputs, got a convolution in {groups} groups; use groups=1"
            )
        return ()

    def update(self, weight: Tensor, activity: Activity, traces: State, dt: float) -> tuple[Tensor, State]:
        post, inputs = activity.post, 2 if activity.by_row else 1
        before = activity.overlap(post, post).tril() @ weight.flatten(inputs)
        change = activity.outer(post, activity.pre) - before.reshape(weight.shape)
        return weight + dt * activity.at_neurons(self.eta) * change, traces
