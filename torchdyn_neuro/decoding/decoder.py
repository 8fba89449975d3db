"""What a decoder is: a sequence in, one value per class out."""

from torch import Tensor, nn


class Decoder(nn.Module):
    r"""Base of the decoders.

    Shape:
        - input: [T, B, C]
        - output: [B, C]

    Raises:
        ValueError: if the input is not [T, B, C].
    """

    def forward(self, y: Tensor) -> Tensor:
        if y.ndim != 3:
            raise ValueError(
                f"{type(self).__name__}: expected the outputs of a network [T, B, C], got shape {tuple(y.shape)}; "
                "keep the time axis and flatten what lies behind the batch"
            )
        return self.decode(y)

    def decode(self, y: Tensor) -> Tensor:
        """The value of each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define decode(y)")
