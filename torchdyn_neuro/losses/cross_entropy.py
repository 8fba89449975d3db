"""Cross-entropy on what the output neurons did over time."""

from torch import Tensor
from torch.nn import functional

from ..core.checks import positive_number
from ..decoding import MeanMembrane, SpikeCount
from ..decoding.decoder import Decoder
from .decoded import DecodedLoss


class RateCrossEntropy(DecodedLoss):
    r"""Cross-entropy on the spike counts of the output neurons.

    .. math:: L = -\log \mathrm{softmax}(g\, n)_{label}, \qquad n_c = \sum_t s_{t,c}

    Args:
        gain: logit per spike.
        label_smoothing: share of the target that is spread over all classes.

    Shape:
        - input: spikes [T, B, C], labels [B], and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if ``gain`` is not positive, or the spikes are not [T, B, C].
    """

    def __init__(self, *, gain: float = 1.0, label_smoothing: float = 0.0):
        super().__init__(SpikeCount())
        self.gain = positive_number("RateCrossEntropy", "gain", gain)
        self.label_smoothing = label_smoothing

    def judge(self, decoded: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(self.gain * decoded, target, label_smoothing=self.label_smoothing)


class MembraneCrossEntropy(DecodedLoss):
    r"""Cross-entropy on the potentials of non-spiking output neurons.

    .. math:: L = -\log \mathrm{softmax}(z)_{label}

    Args:
        decoder: how the logits z are read from the potentials: their mean (the default), last value or maximum.
        label_smoothing: share of the target that is spread over all classes.

    Shape:
        - input: potentials [T, B, C], labels [B], and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if the potentials are not [T, B, C].
    """

    def __init__(self, decoder: Decoder | None = None, *, label_smoothing: float = 0.0):
        super().__init__(MeanMembrane() if decoder is None else decoder)
        self.label_smoothing = label_smoothing

    def judge(self, decoded: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(decoded, target, label_smoothing=self.label_smoothing)
