"""A classifier that only learns to read out."""

from collections.abc import Sequence

from torch import nn

from ..core.dynamics import Dynamics
from ..core.network import Network
from ..core.stepwise import Stepwise
from .rate_classifier import RateClassifier


class ReservoirClassifier(RateClassifier):
    r"""Sequences through a reservoir that stays as it was drawn; only the readout learns.

    What the readout is given is standardized over the batch and time.

    Args:
        input_shape: shape of one frame without time and batch; of an image by
            :class:`~torchdyn_neuro.encoding.Rows`, [\*, columns].
        classes: number of classes.
        network: the reservoir, such as :class:`EchoState`, with the number of its ``units``; what could be learned in
            it is not.
        readout: the output neurons; ``LeakyIntegrator()`` with the ``dt`` of the network if omitted.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        TypeError: if ``network`` is no :class:`Network` that says how many units it has.
        ValueError: if the input does not have the shape of a frame.

    Source: Jaeger (2001), GMD Report 148; Maass, Natschlaeger & Markram (2002), Neural Comput. 14:2531.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = ReservoirClassifier((1, 8), 10, network=tdn.EchoState(64))
        >>> model(torch.zeros(8, 2, 1, 8)).shape, [name for name, p in model.named_parameters() if p.requires_grad]
        (torch.Size([8, 2, 10]), ['classify.1.weight', 'classify.1.bias'])
    """

    def __init__(self, input_shape: Sequence[int], classes: int, *, network: Network, readout: Dynamics | None = None):
        super().__init__(input_shape, classes, network=network, readout=readout)
        # Gradient descent is slow on features that are far from zero and hardly vary.
        standardize = Stepwise(nn.BatchNorm1d(network.units, affine=False))
        self.classify = nn.Sequential(standardize, nn.Linear(network.units, classes))
        self.linear.requires_grad_(False)
        self.network.requires_grad_(False)
