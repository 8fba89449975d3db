"""A surrogate made smaller."""

from dataclasses import dataclass

from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate
from .triangular import Triangular

_TRIANGLE = Triangular()


@dataclass(frozen=True)
class Damped(Surrogate):
    r"""Another surrogate times a factor, so that gradients do not grow on their way through a recurrent connection.

    .. math:: \Theta'(x) \approx \gamma\, \psi(x)

    Through a loop the gradient of each step is multiplied by the slope and the recurrent weights once more: with a
    slope of one at the threshold it soon explodes where many neurons are near it.

    Args:
        surrogate: the slope :math:`\psi`.
        factor: the damping :math:`\gamma`.

    Raises:
        TypeError: if ``surrogate`` is none.
        ValueError: if ``factor`` is not positive.

    Source: Bellec et al. (2018), NeurIPS (0.3 times a triangle).

    Example:
        >>> import torch
        >>> Damped().derivative(torch.tensor([-0.5, 0.0, 2.0]))
        tensor([0.1500, 0.3000, 0.0000])
    """

    surrogate: Surrogate = _TRIANGLE
    factor: float = 0.3

    def __post_init__(self) -> None:
        if not isinstance(self.surrogate, Surrogate):
            raise TypeError(f"Damped: expected a surrogate, got {self.surrogate!r}; pass e.g. Triangular()")
        positive_number("Damped", "factor", self.factor)

    def derivative(self, x: Tensor) -> Tensor:
        return self.factor * self.surrogate.derivative(x)

    @property
    def support(self) -> float:
        return self.surrogate.support
