"""What an activation is: the rate of a unit as a function of its input."""

import torch
from torch import Tensor, nn

from ...core.quantities import Parametrized
from ...core.stepwise import holds_dynamics


class Activation(Parametrized):
    r"""Base of the activations: elementwise functions with parameters that may be learned and stay within bounds.

    A subclass holds quantities and writes ``forward``. Values and gradients are finite for any finite input of
    reasonable size, :math:`\pm 10^6` included, in float32 and float64.

    Shape:
        - input: any tensor; parameters broadcast to its last axes
        - output: as the input
    """

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x)")


def rectified_power(x: Tensor, n: Tensor) -> Tensor:
    """``max(x, 0) ** n`` for n >= 1, with finite gradients for both at and below zero.

    Args:
        x: any tensor of floats.
        n: exponents, which broadcast.

    Example:
        >>> rectified_power(torch.tensor([-1.0, 0.0, 3.0]), torch.tensor(2.0))
        tensor([0., 0., 9.])
    """
    # The power of a base that is not there would bring its logarithm into the gradient. What is no number stays none.
    below = x <= 0
    return torch.where(below, 0.0, torch.pow(torch.where(below, 1.0, x), n))


def check_activation(owner: str, name: str, activation: object) -> nn.Module:
    """``activation`` if it is a module without a state of its own, which does not write into its input; raise else."""
    if not isinstance(activation, nn.Module) or holds_dynamics(activation):
        raise TypeError(
            f"{owner}: expected {name} to be a module that acts on each element, such as rates.Tanh() or nn.Identity(),"
            f" got {activation if isinstance(activation, type) else type(activation).__name__}; pass an instance of one"
        )
    if any(getattr(part, "inplace", False) for part in activation.modules()):
        raise ValueError(
            f"{owner}: expected {name} to leave its input as it is, got {type(activation).__name__} with inplace=True, "
            "which would write into the input of the network; leave it out"
        )
    return activation
