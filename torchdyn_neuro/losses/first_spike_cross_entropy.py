"""Cross-entropy on who fires first."""

from torch import Tensor
from torch.nn import functional

from ..decoding import FirstSpike
from .decoded import DecodedLoss


class FirstSpikeCrossEntropy(DecodedLoss):
    r"""Cross-entropy on the times of the first output spikes: the neuron of the label is to fire before all others.

    .. math:: L = -\log \frac{e^{-t_{label}/\tau}}{\sum_c e^{-t_c/\tau}}

    Args:
        tau: lead that counts as one unit of a logit, ms.
        label_smoothing: share of the target that is spread over all classes.
        dt: time step, ms.

    Shape:
        - input: spikes [T, B, C], labels [B], and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive.

    Source: Mostafa (2017), IEEE Trans. Neural Netw. Learn. Syst. 29:3227; Goeltz et al. (2021), Nat. Mach. Intell.
    3:823 (with the scale ``tau``).

    Example:
        >>> import torch
        >>> FirstSpikeCrossEntropy(tau=1.0)(torch.eye(2).unsqueeze(1), torch.tensor([0]))
        tensor(0.3133)
    """

    def __init__(self, *, tau: float = 10.0, label_smoothing: float = 0.0, dt: float = 1.0):
        super().__init__(FirstSpike(tau=tau, dt=dt))
        self.label_smoothing = label_smoothing

    def judge(self, decoded: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(decoded, target, label_smoothing=self.label_smoothing)
