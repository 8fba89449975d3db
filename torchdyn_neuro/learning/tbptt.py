"""Truncated back-propagation through time."""

import torch
from torch import Tensor, nn

from ..core.checks import whole_number
from ..core.context import interceptor, padded
from ..core.streaming import Carried, run_carrying
from ..decoding.decoder import keep_real, real_so_far
from ..losses import EveryStep
from .errors import check_loss, scaled_gradient
from .method import Gradients, LearningMethod, Outcome, with_gradients


class TBPTT(LearningMethod):
    r"""Truncated back-propagation through time: k steps at a time, the state handed on without its history.

    .. math:: \sum_{i} \frac{k}{T}\, \frac{d}{d\theta} \mathrm{judge}(\mathrm{decoder}(y_1 \dots y_{ik}), target)

    where each derivative reaches back to the start of its piece. A loss of the whole sequence is judged at the end of
    each piece as if the sequence ended there; one of every step (``EveryStep``) as it is. With ``steps`` of T or more
    the result is that of BPTT. Memory grows with ``steps``, not with T. A norm over the batch takes the statistics of
    each piece. Of padded sequences T is the number of real steps, and k/T the share of them that a piece has, row by
    row. The weights of a :class:`Plastic` connection are a state like any other: their values are handed on, and what
    earlier pieces did to them is no part of a derivative, nor is the module's own weight behind the first piece.

    Args:
        steps: length k of a piece.

    Shape:
        - as :class:`LearningMethod`; any model that calls each of its dynamics once

    Raises:
        ValueError: if ``steps`` is below 1, or a model calls one of its dynamics twice.
        TypeError: for a loss that needs the whole sequence at once.

    Source: Williams & Peng (1990), Neural Comput. 2:490.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 2), tdn.LeakyIntegrator())
        >>> loss = tdn.losses.MembraneCrossEntropy()
        >>> TBPTT(steps=4)(model, torch.rand(10, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[0].weight.grad.shape
        torch.Size([2, 3])
    """

    def __init__(self, steps: int = 10):
        super().__init__()
        self.steps = whole_number("TBPTT", "steps", steps, 1)

    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        check_loss("TBPTT", loss)
        every_step = isinstance(loss, EveryStep)
        if every_step:
            loss.check_target(target, len(x))
            normalizer = loss.normalizer(target, x.shape[1], lengths)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if interceptor() is not None:
            raise RuntimeError(
                "TBPTT: expected to run the model by itself, got one that is being streamed or recorded; train outside"
            )
        # Pieces of padding alone would have nothing to say.
        x = x if lengths is None else x[: int(lengths.max())]
        states: Carried = {}
        gradients = Gradients()
        value, kept, seen = torch.zeros((), device=x.device), None, 0
        for piece in x.split(self.steps):
            real = None if lengths is None else (lengths - seen).clamp(0, len(piece))
            with torch.enable_grad():
                with padded(real):
                    y = run_carrying("TBPTT", model, piece, states)
                kept = loss.decoder.start(y[0]) if kept is None else kept.detach()
                shares = []
                for step, y_t in enumerate(y.unbind(0), start=seen):
                    kept = keep_real(loss.decoder, kept, y_t, step, lengths)
                    if every_step:
                        shares.append(loss.share(y_t, target, step, len(x), lengths, normalizer))
                seen += len(piece)
                if every_step:
                    share = sum(shares)
                elif lengths is None:
                    share = self._judged(loss, kept, seen, target) * (len(piece) / len(x))
                else:
                    part = scaled_gradient(kept, real, lengths)
                    share = self._judged(loss, part, real_so_far(lengths, seen), target)
            value = value + share.detach()
            if share.requires_grad:
                found = torch.autograd.grad(share, parameters, allow_unused=True)
                for parameter, gradient in zip(parameters, found, strict=True):
                    gradients.add(parameter, gradient)
        steps = real_so_far(lengths, seen)
        if not every_step:
            value = self._judged(loss, kept.detach(), steps, target)
        return Outcome(with_gradients(value, gradients), loss.decoder.finish(kept.detach(), steps))

    @staticmethod
    def _judged(loss: nn.Module, kept: Tensor, steps: int | Tensor, target: Tensor) -> Tensor:
        return loss.judge(loss.decoder.finish(kept, steps), target)
