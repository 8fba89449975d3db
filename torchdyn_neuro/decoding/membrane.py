"""Reading out the potential of non-spiking output neurons."""

from torch import Tensor

from .decoder import Decoder


class MeanMembrane(Decoder):
    r"""The potential of each class, averaged over time.

    .. math:: z_c = \frac{1}{T} \sum_t v_{t,c}

    Shape:
        - input: [T, B, C] potentials
        - output: [B, C]
    """

    def decode(self, y: Tensor) -> Tensor:
        return y.mean(0)


class LastMembrane(Decoder):
    r"""The potential of each class at the last step.

    .. math:: z_c = v_{T,c}

    Shape:
        - input: [T, B, C] potentials
        - output: [B, C]
    """

    def decode(self, y: Tensor) -> Tensor:
        return y[-1]


class MaxMembrane(Decoder):
    r"""The highest potential that each class reaches.

    .. math:: z_c = \max_t v_{t,c}

    Shape:
        - input: [T, B, C] potentials
        - output: [B, C]
    """

    def decode(self, y: Tensor) -> Tensor:
        return y.amax(0)
