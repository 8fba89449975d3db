"""Back-propagation through time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..core.checks import one_of, whole_number
from ..core.context import padded
from .method import LearningMethod, Outcome, judged
from .recompute import blocks_of, by_layers, over_time


class BPTT(LearningMethod):
    r"""Back-propagation through time: the gradient of the loss, by way of all that the sequence has left in memory.

    .. math:: \frac{dE}{d\theta} = \sum_t \frac{\partial E}{\partial s_t} \frac{\partial s_t}{\partial \theta}

    It takes any model and any loss. Time runs on the chosen backend; memory grows with T. Less of it is needed, for a
    second forward pass, with ``recompute``: values and gradients are the same.

    Args:
        recompute: what backward computes once more in place of finding it in memory: ``"none"``; ``"layers"``: all
            within blocks of layers, each of which ends with its dynamics; ``"time"``: all within pieces of the
            sequence, of a model without norms over the batch.
        piece: number of steps of a piece.
        compiled: run the model through ``torch.compile``; it takes a minute at the first step.

    Shape:
        - as :class:`LearningMethod`

    Raises:
        ValueError: for ``compiled`` beside ``recompute``.
        TypeError: if the layers of the model do not stand in a row, or one looks at several frames at once.

    Source: Werbos (1990), Proc. IEEE 78:1550; recomputation: Chen et al. (2016), arXiv:1604.06174.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 2), tdn.LeakyIntegrator())
        >>> loss = tdn.losses.MembraneCrossEntropy()
        >>> BPTT()(model, torch.rand(10, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[0].weight.grad.shape
        torch.Size([2, 3])
    """

    def __init__(self, *, recompute: str = "none", piece: int = 100, compiled: bool = False):
        super().__init__()
        self.recompute = one_of("BPTT", "recompute", recompute, "none", "layers", "time")
        self.piece = whole_number("BPTT", "piece", piece, 1)
        self.compiled = compiled
        if compiled and recompute != "none":
            raise ValueError(
                f"BPTT: expected recompute='none' with compiled=True, which decides by itself what it keeps, got "
                f"{recompute!r}; choose one of them"
            )
        self._made: dict[nn.Module, Callable[[Tensor], Tensor]] = {}

    def prepare(self, model: nn.Module) -> None:
        if self.recompute == "layers":
            blocks_of(model)

    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        with padded(lengths):
            y = self.run(model, x, lengths)
        return judged(loss, y, target, lengths)

    def run(self, model: nn.Module, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The model over a sequence, the way that was chosen."""
        if self.recompute == "layers":
            return by_layers(model, x)
        if self.recompute == "time":
            return over_time(model, x, self.piece, lengths)
        if not self.compiled:
            return model(x)
        if model not in self._made:
            # Only here: validation runs the model itself, whose hooks fire.
            self._made = {model: torch.compile(model)}
        return self._made[model](x)

    def __getstate__(self) -> dict[str, Any]:
        # A copy compiles its own.
        return {**super().__getstate__(), "_made": {}}
