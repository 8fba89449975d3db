"""How soon a network has decided."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric

from ..core.checks import positive_number
from ..core.lengths import check_lengths
from ..decoding.decoder import Decoder, keep_real, real_so_far


class LatencyToDecision(Metric):
    r"""The mean time from which on a network says what it says in the end, ms.

    .. math:: t = dt\, \min \bigl\{ n : \arg\max z(y_1 \dots y_m) = \arg\max z(y_1 \dots y_T)
        \ \forall\, m \ge n \bigr\}

    where z is what the decoder reads from the outputs so far. A wrong decision counts as well as a right one.

    Args:
        decoder: reads the outputs.
        dt: time step, ms.

    Shape:
        - input of ``update``: outputs [T, B, C], and the lengths [B] of padded sequences
        - output of ``compute``: scalar

    Raises:
        ValueError: if ``dt`` is not positive.

    Example:
        >>> from torchdyn_neuro.decoding import SpikeCount
        >>> metric = LatencyToDecision(SpikeCount(), dt=2.0)
        >>> metric.update(torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]], [[3.0, 0.0]]]))
        >>> metric.compute()
        tensor(6.)
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self, decoder: Decoder, *, dt: float = 1.0):
        super().__init__()
        self.decoder = decoder
        self.step_ms = positive_number("LatencyToDecision", "dt", dt, unit="ms")
        self.add_state("steps", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("samples", default=torch.tensor(0), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, y: Tensor, lengths: Tensor | None = None) -> None:
        self.steps += decision_steps(self.decoder, y, lengths).sum()
        self.samples += y.shape[1]

    def compute(self) -> Tensor:
        return (self.steps * self.step_ms / self.samples).float()


def decision_steps(decoder: Decoder, y: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The number of steps after which what a decoder says of each row stays what it says in the end, [B].

    Args:
        decoder: reads the outputs.
        y: outputs [T, B, C].
        lengths: real steps of each row, [B].
    """
    if lengths is None:
        lengths = torch.full((y.shape[1],), len(y), device=y.device)
    lengths = check_lengths("decision_steps", lengths, y.shape[1], len(y)).to(y.device)
    # Beyond its own end a row says what it said there.
    said = torch.stack([logits.argmax(1) for logits in _so_far(decoder, y, lengths)])
    step = torch.arange(1, len(y) + 1, device=y.device)[:, None]
    return torch.where(said != said[-1], step, 0).amax(0) + 1


def _so_far(decoder: Decoder, y: Tensor, lengths: Tensor) -> Iterator[Tensor]:
    """What a decoder reads after each step, [B, C]."""
    if decoder.keep is None:
        for steps in range(1, len(y) + 1):
            yield decoder(y[:steps], lengths.clamp(max=steps))
        return
    kept = decoder.start(y[0])
    for step, y_t in enumerate(y):
        kept = keep_real(decoder, kept, y_t, step, lengths)
        yield decoder.finish(kept, real_so_far(lengths, step + 1))
