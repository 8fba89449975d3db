"""A surrogate from a function of one's own."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class CustomSurrogate(Surrogate):
    r"""Uses ``fn`` as the slope of the spike.

    .. math:: \Theta'(x) \approx \mathrm{fn}(x)

    Args:
        fn: elementwise function from the distance to the threshold to the slope. A module that is to be pickled needs
            one defined at the top level of a module.
        support: the distance from the threshold from which on ``fn`` is zero, if there is one.

    Raises:
        TypeError: if ``fn`` cannot be called.

    Example:
        >>> import torch
        >>> spike = CustomSurrogate(lambda x: torch.exp(-x.abs()))
        >>> spike(torch.tensor([-0.1, 0.0]))
        tensor([0., 1.])
    """

    fn: Callable[[Tensor], Tensor]
    support: float = math.inf

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise TypeError(f"CustomSurrogate: expected a function of a tensor, got {self.fn!r}; pass a callable")

    def derivative(self, x: Tensor) -> Tensor:
        return self.fn(x)
