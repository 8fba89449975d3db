"""The test by a vote of several looks at each sample."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ...core.checks import whole_number
from ...data.sequence_data import Sequences

VOTE = "test/vote"


class Votes(Callback):
    r"""Tests once more: each sample as it is and ``looks`` times changed at random, as the training changes them
    (but for what follows from the labels, as a partner to blend with does).

    .. math:: \hat k(x) = \arg\max_k \sum_{i=0}^{n} \log p_k(x_i), \qquad x_0 = x

    What a network says of a voice, or a hand, that it does not know depends on a little more or less of what the
    changes are made of; the sum depends on it less. Logs ``test/vote``, the accuracy, beside ``test/accuracy``; a test
    takes ``looks`` + 1 times as long.

    Args:
        looks: number of changed samples beside the sample itself.

    Raises:
        TypeError: in the test, if the data are no sequences of this package, which change their samples by themselves.

    Source: Krizhevsky, Sutskever & Hinton (2012), NeurIPS (there ten crops of an image).
    """

    def __init__(self, looks: int = 8):
        super().__init__()
        self.looks = whole_number("Votes", "looks", looks, 1)

    @torch.no_grad()
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        split = getattr(trainer.datamodule, "splits", {}).get("test")
        if not isinstance(split, Sequences):
            raise TypeError(
                f"Votes: expected sequences that can be changed at random, got {type(trainer.datamodule).__name__}; "
                "leave out callbacks.votes, or use a set of events"
            )
        parts = torch.arange(len(split.labels)).split(trainer.datamodule.batch_size)
        right = sum(int((self._sums(pl_module, split, part).argmax(1) == split.labels[part]).sum()) for part in parts)
        pl_module.log(VOTE, right / len(split.labels), sync_dist=True)

    def _sums(self, task: LightningModule, split: Sequences, samples: Tensor) -> Tensor:
        """The logarithms of the probabilities, summed over all looks, [B, classes]."""
        total: Tensor | float = 0.0
        for look in range(-1, self.looks):
            frames, _, lengths = split.batch(samples, None) if look < 0 else split.look(samples, look)
            total = total + task(frames.to(task.device), lengths.to(task.device)).float().log_softmax(1).cpu()
        return total
