"""Weights, a norm and neurons for tokens."""

from torch import nn

from ..activity import CurrentScale
from ..core.stepwise import Stepwise
from .in_order import InOrder
from .neurons import Neurons, make_neurons
from .normalization import normalization


class TokenLayer(InOrder):
    r"""The same weights for each token, a norm over all tokens, and neurons.

    .. math:: s = \mathrm{SN}(\mathrm{norm}(W x))

    Args:
        in_features: features of a token that comes in.
        out_features: features of one that goes out.
        neuron: the neurons, copied, or a population.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, in_features, tokens]
        - output: [T, B, out_features, tokens] spikes

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> TokenLayer(8, 16, tdn.LIF())(torch.zeros(5, 2, 8, 9)).shape
        torch.Size([5, 2, 16, 9])
    """

    def __init__(self, in_features: int, out_features: int, neuron: Neurons, *, norm: str = "batch"):
        owner = type(self).__name__
        super().__init__(
            {
                "linear": Stepwise(nn.Conv1d(in_features, out_features, 1, bias=norm == "none")),
                "norm": normalization(owner, norm, out_features, 1),
                "current": CurrentScale(),
                "neuron": make_neurons(owner, neuron, out_features, 1),
            }
        )
