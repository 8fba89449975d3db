"""A loss at every step."""

import copy

import torch
from torch import Tensor, nn

from ..core.lengths import check_lengths, fill_padding, step_counts, total
from ..decoding import MeanMembrane
from ..decoding.decoder import Decoder


class EveryStep(nn.Module):
    r"""The mean over the steps of a loss of each frame.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{T_b} \sum_{t \le T_b} \ell(y_{t,b}, target_{t,b})

    over the :math:`T_b` real steps of each row. Under a criterion that weighs classes, or ignores some, the rows and
    steps are averaged with those weights.

    Args:
        criterion: the loss of a frame [B, C], averaged over the batch: ``nn.CrossEntropyLoss()`` if omitted,
            ``nn.MSELoss()`` for a target to be followed.
        decoder: what is read from the outputs for the accuracy; their mean if omitted.
        steady: whether all steps have one target, such as a label; if not, each has its own.

    Shape:
        - input: outputs [T, B, C]; targets [B, \*] of all steps, or [T, B, \*] with ``steady=False``; the lengths [B]
          of padded sequences
        - output: scalar

    Raises:
        TypeError: if the criterion is no loss of torch that can be had for each row (``reduction="none"``).
        ValueError: if there is not one target for each step.

    Example:
        >>> import torch
        >>> EveryStep(nn.MSELoss(), steady=False)(torch.ones(4, 2, 3), torch.zeros(4, 2, 3))
        tensor(1.)
    """

    def __init__(self, criterion: nn.Module | None = None, *, decoder: Decoder | None = None, steady: bool = True):
        super().__init__()
        self.criterion = nn.CrossEntropyLoss() if criterion is None else criterion
        reduction = getattr(self.criterion, "reduction", None)
        if reduction not in ("mean", "batchmean"):
            raise TypeError(
                f"EveryStep: expected a criterion with reduction='mean', as those of torch.nn have, got "
                f"{type(self.criterion).__name__} with {reduction!r}; give the class a reduction of 'mean' and 'none'"
            )
        self.decoder = MeanMembrane() if decoder is None else decoder
        self.steady = steady

    def check_target(self, target: Tensor, steps: int) -> None:
        """Raise unless there is a target for each step."""
        if not self.steady and (target.ndim == 0 or len(target) != steps):
            raise ValueError(
                f"EveryStep: expected targets [T, B, *] for {steps} steps, got shape {tuple(target.shape)}; give each "
                "step its own, or steady=True"
            )

    def normalizer(self, target: Tensor, rows: int, lengths: Tensor | None = None) -> float | Tensor:
        """What the sum over the rows is divided by."""
        weights = self._weights(target)
        if weights is None:
            return rows
        if self.steady:
            return weights.flatten().sum()
        return (total(weights, lengths) / step_counts(weights, lengths)).sum()

    def share(
        self, y_t: Tensor, target: Tensor, step: int, steps: int, lengths: Tensor | None, normalizer: float | Tensor
    ) -> Tensor:
        """The share of one step, the first being 0, in the loss.

        Args:
            y_t: its outputs [B, C].
            target: of all steps.
            step, steps: which one, of how many.
            lengths: real steps of each row.
            normalizer: see :meth:`normalizer`.
        """
        values = self._of_each(y_t, target if self.steady else target[step])
        if lengths is None:
            return values.sum() / steps / normalizer
        return (values / lengths).masked_fill(lengths <= step, 0.0).sum() / normalizer

    def forward(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> Tensor:
        self.check_target(target, len(y))
        steps, rows = y.shape[:2]
        if lengths is not None:
            lengths = check_lengths("EveryStep", lengths, rows, steps).to(y.device)
            y = fill_padding(y, lengths)
            # What stands there need not even be a label.
            target = target if self.steady else fill_padding(target, lengths)
        each = target.expand(steps, *target.shape) if self.steady else target
        values = self._of_each(y.flatten(0, 1), each.flatten(0, 1)).unflatten(0, (steps, rows))
        return (total(values, lengths) / step_counts(values, lengths)).sum() / self.normalizer(target, rows, lengths)

    def _of_each(self, y: Tensor, target: Tensor) -> Tensor:
        """The loss of each of N frames [N, C], [N]."""
        criterion = copy.copy(self.criterion)
        criterion.reduction = "none"
        values = criterion(y, target)
        if values.ndim == 0 or len(values) != len(y):
            raise TypeError(
                f"EveryStep: expected one loss for each row from {type(criterion).__name__}(reduction='none'), got "
                f"shape {tuple(values.shape)} for {len(y)} rows; let it heed reduction"
            )
        values = values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)
        return values.sum(1) if self.criterion.reduction == "batchmean" or self._weighs(target) else values.mean(1)

    def _weighs(self, target: Tensor) -> bool:
        """Whether the criterion has a weight for each target."""
        return isinstance(self.criterion, (nn.CrossEntropyLoss, nn.NLLLoss)) and not target.is_floating_point()

    def _weights(self, target: Tensor) -> Tensor | None:
        """How much the target of each row, or of each step and row, counts; ``None`` if all do alike."""
        if not self._weighs(target):
            return None
        ignored, weight = target == self.criterion.ignore_index, self.criterion.weight
        if weight is None:
            weights = torch.ones(target.shape, device=target.device)
        else:
            weights = weight[target.masked_fill(ignored, 0)]
        axes = 1 if self.steady else 2
        return weights.masked_fill(ignored, 0.0).reshape(*target.shape[:axes], -1).sum(axes)
