"""What a way of learning is: a model, a sequence and a loss in, gradients out."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.lengths import check_lengths


class Outcome(NamedTuple):
    """What a sequence has come to.

    loss: scalar; ``loss.backward()`` adds the gradients to ``.grad``, as ever.
    decoded: what the decoder of the loss reads from the outputs, [B, classes], without a gradient.
    """

    loss: Tensor
    decoded: Tensor


def judged(loss: nn.Module, y: Tensor, target: Tensor, lengths: Tensor | None) -> Outcome:
    """What a loss and its decoder say of outputs [T, B, C]; of one that knows no lengths none are asked for."""
    given = () if lengths is None else (lengths,)
    return Outcome(loss(y, target, *given), loss.decoder(y.detach(), *given))


class LearningMethod(nn.Module):
    r"""Base of the ways to learn over time: each finds gradients of the parameters of a model in its own way.

    A method that goes forward in time has found them when its call returns. They reach ``.grad`` by ``backward()`` on
    the loss all the same, so that accumulation, scaling for mixed precision, clipping and several processes act on them
    as on any gradient. A subclass writes :meth:`learn`, and :meth:`prepare` if it has parts that go with the model.

    Padded sequences come with their ``lengths``: the model runs as :func:`torchdyn_neuro.padded` says, and the loss is
    that of the real steps.

    Shape:
        - input: a model, a sequence [T, B, \*], what the loss compares with, the loss; lengths [B] of padded sequences
        - output: :class:`Outcome`
    """

    def prepare(self, model: nn.Module) -> None:
        """Make what goes with the model, such as feedback weights.

        Raises:
            TypeError, ValueError: in words, if the method cannot train it.
        """
        return

    @abstractmethod
    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        """Run ``model`` over ``x`` [T, B, \\*] and find the gradient of ``loss(outputs, target)``."""

    def forward(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        if lengths is None:
            return self.learn(model, x, target, loss)
        lengths = check_lengths(type(self).__name__, lengths, x.shape[1], len(x)).to(x.device)
        return self.learn(model, x, target, loss, lengths)


class _Found(torch.autograd.Function):
    """A loss whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient.to(known.dtype) * known for known in ctx.gradients)


def with_gradients(value: Tensor, gradients: Mapping[nn.Parameter, Tensor]) -> Tensor:
    """``value`` as a loss that hands ``gradients`` to the parameters when ``backward()`` is called on it.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2))
        >>> with_gradients(torch.tensor(3.0), {weight: torch.tensor([1.0, 2.0])}).backward()
        >>> weight.grad
        tensor([1., 2.])
    """
    if not gradients:
        return value.detach()
    given = [gradient.detach().to(parameter.dtype) for parameter, gradient in gradients.items()]
    return _Found.apply(value.detach(), given, *gradients)


class Gradients(dict[nn.Parameter, Tensor]):
    """Sums of gradients, by parameter."""

    def add(self, parameter: nn.Parameter, gradient: Tensor | None) -> None:
        """Add a gradient, which may be missing."""
        if gradient is not None:
            self[parameter] = self[parameter] + gradient if parameter in self else gradient
