"""The one-to-one connection."""

import torch
from torch import Tensor, nn

from ..core.inputs import check_tensor
from ..core.tensors import last_axes_fit


class OneToOne(nn.Module):
    r"""Each neuron feeds the one of the same index, with a weight of its own.

    .. math:: y_i = w_i x_i

    Args:
        neurons: shape of the neurons: a number, or a tuple such as (channels, 1, 1), which broadcasts.
        weight: the weights at the start.

    Shape:
        - input: [..., \*neurons]
        - output: as the input

    Raises:
        ValueError: if a size is not positive; from ``forward`` for an input of other neurons.
        TypeError: from ``forward`` for what is no tensor.

    Example:
        >>> OneToOne(3, weight=0.5)(torch.ones(2, 3))
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000]], grad_fn=<MulBackward0>)
    """

    def __init__(self, neurons: int | tuple[int, ...], weight: float = 1.0):
        super().__init__()
        shape = (neurons,) if isinstance(neurons, int) else tuple(neurons)
        if not shape or min(shape) < 1:
            raise ValueError(f"OneToOne: expected sizes of at least 1, got {neurons}; pass the shape of the neurons")
        self.weight = nn.Parameter(torch.full(shape, float(weight)))

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these neurons."""
        shape = tuple(self.weight.shape)
        check_tensor("OneToOne", x, f"a tensor [..., {', '.join(map(str, shape))}]")
        if x.ndim < len(shape) or not last_axes_fit(shape, x.shape):
            raise ValueError(
                f"OneToOne: expected an input [..., {', '.join(map(str, shape))}], got shape {tuple(x.shape)}; build "
                "it for the shape of the neurons"
            )

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return x * self.weight

    def extra_repr(self) -> str:
        return f"neurons={tuple(self.weight.shape)}"
