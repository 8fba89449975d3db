"""What a loss on decoded outputs is."""

from torch import Tensor, nn

from ..decoding.decoder import Decoder


class DecodedLoss(nn.Module):
    r"""Base of the losses of what a decoder reads from the outputs of a whole sequence.

    .. math:: L = \mathrm{judge}(\mathrm{decoder}(y), target)

    Args:
        decoder: from outputs over time to one value per class.

    Shape:
        - input: outputs [T, B, C], targets [B], and the lengths [B] of padded sequences
        - output: scalar
    """

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder

    def judge(self, decoded: Tensor, target: Tensor) -> Tensor:
        """The loss of decoded outputs [B, C], averaged over the rows."""
        raise NotImplementedError(f"{type(self).__name__} does not define judge(decoded, target)")

    def forward(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.judge(self.decoder(y, lengths), target)
