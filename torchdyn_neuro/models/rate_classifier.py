"""A classifier around a rate network."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..activity import ActivityReport
from ..core.dynamics import Dynamics
from ..core.network import Network
from ..neurons import LeakyIntegrator
from .classifier import SpikingClassifier


class RateClassifier(SpikingClassifier):
    r"""Sequences through a recurrent network of rates to a readout; images row by row, for example.

    Args:
        input_shape: shape of one frame without time and batch; of an image by
            :class:`~torchdyn_neuro.encoding.Rows`, [\*, columns].
        classes: number of classes.
        network: the network, such as :class:`CTRNN` or :class:`EINetwork`, with the number of its ``units``.
        readout: the output neurons; ``LeakyIntegrator()`` with the ``dt`` of the network if omitted.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        TypeError: if ``network`` is no :class:`Network` that says how many units it has.
        ValueError: if the input does not have the shape of a frame.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> RateClassifier((1, 8), 10, network=tdn.CTRNN(32))(torch.zeros(8, 2, 1, 8)).shape
        torch.Size([8, 2, 10])
    """

    def __init__(self, input_shape: Sequence[int], classes: int, *, network: Network, readout: Dynamics | None = None):
        owner, units = type(self).__name__, getattr(network, "units", None)
        if not isinstance(network, Network) or not isinstance(units, int):
            raise TypeError(
                f"{owner}: expected a Network with a number of units, got {type(network).__name__}; pass e.g. "
                "CTRNN(128)"
            )
        layers = {
            "flatten": nn.Flatten(start_dim=2),
            "linear": nn.Linear(math.prod(input_shape), units),
            "network": network,
            "classify": nn.Linear(units, classes),
            "readout": LeakyIntegrator(dt=network.dt) if readout is None else readout,
        }
        super().__init__(input_shape, layers)

    def calibrate(self, x: Tensor, rate: float = 100.0) -> ActivityReport:
        """Nothing: rates need no unit of current, and no layer can be silent."""
        self.check_input(x)
        return ActivityReport([])
