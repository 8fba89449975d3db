"""A threshold without a memory."""

from torch import Tensor

from ..core.quantities import Parametrized, Quantity, Real
from ..core.surrogate import Surrogate
from ..surrogates import ATan


class SpikeThreshold(Parametrized):
    r"""One where the input is at or above a threshold, zero elsewhere: the ``Threshold`` of NIR.

    .. math:: z = \Theta(x - \theta)

    Args:
        threshold: :math:`\theta`; one for all or one per neuron.
        surrogate: slope of the step in the backward pass.

    Shape:
        - input: [..., \*]
        - output: as the input, 0 or 1

    Raises:
        ValueError: if the threshold is not finite.

    Example:
        >>> import torch
        >>> SpikeThreshold(0.5)(torch.tensor([0.4, 0.5, 0.6]))
        tensor([0., 1., 1.])
    """

    def __init__(self, threshold: Quantity = 1.0, *, surrogate: Surrogate = ATan()):
        super().__init__()
        self.threshold = Real(threshold)
        self.surrogate = surrogate

    def forward(self, x: Tensor) -> Tensor:
        return self.surrogate(x - self.threshold())
