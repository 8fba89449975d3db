"""A loss at every step."""

from torch import Tensor, nn

from ..decoding import MeanMembrane
from ..decoding.decoder import Decoder


class EveryStep(nn.Module):
    r"""The mean over the steps of a loss of each frame.

    .. math:: L = \frac{1}{T} \sum_t \ell(y_t, target_t)

    Args:
        criterion: the loss of a frame [B, C], averaged over the batch: ``nn.CrossEntropyLoss()`` if omitted,
            ``nn.MSELoss()`` for a target to be followed.
        decoder: what is read from the outputs for the accuracy; their mean if omitted.
        steady: whether all steps have one target, such as a label; if not, each has its own.

    Shape:
        - input: outputs [T, B, C]; targets [B, \*] of all steps, or [T, B, \*] with ``steady=False``
        - output: scalar

    Raises:
        ValueError: if there is not one target for each step.

    Example:
        >>> import torch
        >>> EveryStep(nn.MSELoss(), steady=False)(torch.ones(4, 2, 3), torch.zeros(4, 2, 3))
        tensor(1.)
    """

    def __init__(self, criterion: nn.Module | None = None, *, decoder: Decoder | None = None, steady: bool = True):
        super().__init__()
        self.criterion = nn.CrossEntropyLoss() if criterion is None else criterion
        self.decoder = MeanMembrane() if decoder is None else decoder
        self.steady = steady

    def target_at(self, target: Tensor, step: int) -> Tensor:
        """The target of a step."""
        return target if self.steady else target[step]

    def check_target(self, target: Tensor, steps: int) -> None:
        """Raise unless there is a target for each step."""
        if not self.steady and (target.ndim == 0 or len(target) != steps):
            raise ValueError(
                f"EveryStep: expected targets [T, B, *] for {steps} steps, got shape {tuple(target.shape)}; give each "
                "step its own, or steady=True"
            )

    def forward(self, y: Tensor, target: Tensor) -> Tensor:
        self.check_target(target, len(y))
        return sum(self.criterion(y_t, self.target_at(target, step)) for step, y_t in enumerate(y)) / len(y)
