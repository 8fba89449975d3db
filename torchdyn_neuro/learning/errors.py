"""The error of the outputs while a sequence goes on."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.state import State, register_state, widen
from ..decoding.decoder import Decoder, keep_real, real_so_far
from ..losses import DecodedLoss, EveryStep


@register_state
class ReadingState(NamedTuple):
    """kept: what a decoder keeps of all frames so far, [B, C]."""

    kept: Tensor


class _Reading(Dynamics):
    r"""A decoder as the last part of a model: :math:`k_t = \mathrm{keep}(k_{t-1}, y_t)`.

    Args:
        decoder: says what is kept.
        dt: time step, ms.
    """

    def __init__(self, decoder: Decoder, dt: float):
        super().__init__(dt=dt)
        self.decoder = decoder
        self.pointwise = decoder.elementwise

    def initial_state(self, x_t: State) -> ReadingState:
        return ReadingState(self.decoder.start(widen(x_t)))

    def step(self, x_t: Tensor, state: ReadingState) -> tuple[Tensor, ReadingState]:
        kept = self.decoder.keep(state.kept, x_t.to(state.kept.dtype))
        return kept, ReadingState(kept)


class Errors:
    r"""What the loss says of the outputs so far, and its slope.

    ``when="end"`` is the loss itself. ``when="running"`` judges after every step as if the sequence ended there,

    .. math:: E = \frac{1}{T} \sum_t \mathrm{judge}(\mathrm{decoder}(y_1 \dots y_t), target)

    so that there is an error at every step. A loss that comes at every step, :class:`EveryStep`, is itself with both.

    Args:
        owner: who asks, for messages.
        loss: the loss.
        target: what it compares with.
        steps: length of the sequence.
        when: ``"end"`` or ``"running"``.
        lengths: real steps [B] of padded sequences; each row ends with its own.
        elementwise: whether each output has to be read by itself.

    Raises:
        TypeError: if the loss needs the whole sequence at once.
    """

    def __init__(
        self,
        owner: str,
        loss: nn.Module,
        target: Tensor,
        steps: int,
        when: str,
        lengths: Tensor | None = None,
        *,
        elementwise: bool = True,
    ):
        self.loss, self.target, self.steps, self.when, self.lengths = loss, target, steps, when, lengths
        self.every_step = isinstance(loss, EveryStep)
        check_loss(owner, loss, elementwise=elementwise)
        if self.every_step:
            loss.check_target(target, steps)
        self.value = torch.zeros((), device=target.device)
        self.seen = 0
        self.kept: Tensor | None = None
        self._ends = {steps} if lengths is None else set(lengths.tolist())
        self._normalizer: float | Tensor | None = None

    @property
    def at_end_only(self) -> bool:
        """Whether the error is only known when the sequence is over."""
        return self.when == "end" and not self.every_step

    def reading(self, dt: float) -> nn.Module:
        """What stands behind the outputs; its output is what :meth:`slope` takes."""
        return nn.Identity() if self.every_step else _Reading(self.loss.decoder, dt)

    def of_step(self, kept: Tensor, step: int) -> Tensor:
        """The share of a step, the first being 0, in the loss."""
        if self.every_step:
            if self._normalizer is None:
                self._normalizer = self.loss.normalizer(self.target, len(kept), self.lengths)
            return self.loss.share(kept, self.target, step, self.steps, self.lengths, self._normalizer)
        if self.lengths is not None:
            counted = self.lengths == step + 1 if self.when == "end" else self.lengths > step
            kept = scaled_gradient(kept, counted, 1 if self.when == "end" else self.lengths)
        judged = self.loss.judge(self.loss.decoder.finish(kept, step + 1), self.target)
        return judged if self.when == "end" or self.lengths is not None else judged / self.steps

    def slope(self, kept: Tensor) -> Tensor | None:
        """The slope of the loss in what is kept in each step of the next piece, [T, B, C]; None if it is zero."""
        first, self.seen = self.seen, self.seen + len(kept)
        self._decode(kept, first)
        with torch.enable_grad():
            kept = widen(kept.detach()).requires_grad_()
            counted = [
                self.of_step(kept[step], first + step)
                for step in range(len(kept))
                if not self.at_end_only or first + step + 1 in self._ends
            ]
            if not counted:
                return None
            total = sum(counted[1:], start=counted[0])
            (slope,) = torch.autograd.grad(total, kept)
        self.value = self.value + total.detach()
        return slope

    def _decode(self, kept: Tensor, first: int) -> None:
        """Keep what the decoder needs of a piece."""
        if self.lengths is None and not self.every_step:
            self.kept = kept[-1]
            return
        decoder = self.loss.decoder
        for step, kept_t in enumerate(kept.unbind(0), start=first):
            if self.every_step:
                before = decoder.start(kept_t) if self.kept is None else self.kept
                self.kept = keep_real(decoder, before, kept_t, step, self.lengths)
            else:
                before = kept_t if self.kept is None else self.kept
                self.kept = torch.where((self.lengths > step).unsqueeze(1), kept_t, before)

    def result(self) -> tuple[Tensor, Tensor]:
        """The loss that was asked for, and what has been decoded [B, C], at the end of the sequence."""
        decoded = self.loss.decoder.finish(self.kept, real_so_far(self.lengths, self.seen))
        return (self.value if self.every_step else self.loss.judge(decoded, self.target)), decoded


def scaled_gradient(value: Tensor, share: Tensor, of: Tensor | int) -> Tensor:
    """``value`` [B, C], whose gradient is multiplied, row by row, by a ``share`` [B] of ``of`` on its way back."""
    scaled = value * (share.to(value.dtype) / of).unsqueeze(1)
    return value.detach() + (scaled - scaled.detach())


def check_loss(owner: str, loss: nn.Module, *, elementwise: bool = False) -> None:
    """Raise ``TypeError`` unless a loss can be computed while time goes on.

    Args:
        owner: who asks, for messages.
        loss: the loss.
        elementwise: whether each output has to be read by itself.
    """
    if not isinstance(loss, (DecodedLoss, EveryStep)):
        raise TypeError(
            f"{owner}: expected a loss of decoded outputs (tdn.losses.DecodedLoss) or of every step "
            f"(tdn.losses.EveryStep), got {type(loss).__name__}, which takes the whole sequence at once; use one of "
            "them, or BPTT"
        )
    if loss.decoder.keep is None:
        raise TypeError(
            f"{owner}: expected a decoder that reads while time goes on (a method keep), got "
            f"{type(loss.decoder).__name__}; use MeanMembrane, LastMembrane, MaxMembrane or SpikeCount, or BPTT"
        )
    if elementwise and not loss.decoder.elementwise and not isinstance(loss, EveryStep):
        raise TypeError(
            f"{owner}: expected a decoder that reads each output by itself, got {type(loss.decoder).__name__}; use "
            "MeanMembrane, LastMembrane, MaxMembrane or SpikeCount, or TBPTT, RTRL or BPTT"
        )
