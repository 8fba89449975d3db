"""Back-propagation through time."""

from torch import Tensor, nn

from ..core.context import padded
from .method import LearningMethod, Outcome, judged


class BPTT(LearningMethod):
    r"""Back-propagation through time: the gradient of the loss, by way of all that the sequence has left in memory.

    .. math:: \frac{dE}{d\theta} = \sum_t \frac{\partial E}{\partial s_t} \frac{\partial s_t}{\partial \theta}

    It takes any model and any loss. Time runs on the chosen backend; memory grows with T.

    Shape:
        - as :class:`LearningMethod`

    Source: Werbos (1990), Proc. IEEE 78:1550.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 2), tdn.LeakyIntegrator())
        >>> loss = tdn.losses.MembraneCrossEntropy()
        >>> BPTT()(model, torch.rand(10, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[0].weight.grad.shape
        torch.Size([2, 3])
    """

    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        with padded(lengths):
            y = model(x)
        return judged(loss, y, target, lengths)
