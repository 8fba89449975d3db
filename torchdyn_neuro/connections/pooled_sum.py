"""A pool of units."""

from typing import ClassVar

from torch import Tensor

from ..core.checks import whole_number
from ..core.inputs import check_tensor
from ..core.quantities import NonNegative, Parametrized, Quantity
from ..core.state import State


class PooledSum(Parametrized):
    r"""A weighted sum over all units, handed to each of them; the weights are never negative.

    .. math:: y_i = \sum_j w_{ij} x_j

    Args:
        units: number of units.
        w: weights: one for all pairs, one per unit that receives, or a matrix [units, units], onto the row from the
            column.

    Shape:
        - input: [..., units]
        - output: [..., units]

    Raises:
        ValueError: if a weight is negative or of another shape; from ``forward`` for another number of units.
        TypeError: from ``forward`` for what is no tensor.

    Source: Carandini & Heeger (2012), Nat. Rev. Neurosci. 13:51.

    Example:
        >>> import torch
        >>> PooledSum(3, w=0.5)(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 3., 3.]])
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, so that it fuses."""

    bias: ClassVar[None] = None

    def __init__(self, units: int, w: Quantity = 1.0):
        super().__init__()
        self.units = whole_number("PooledSum", "units", units, 1)
        self.w = NonNegative(w)
        if tuple(self.w.start.shape) not in {(), (units,), (units, units)}:
            raise ValueError(
                f"PooledSum: expected one weight, one per unit or a matrix ({units}, {units}), got shape "
                f"{tuple(self.w.start.shape)}; pass one of them"
            )

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these units."""
        check_tensor("PooledSum", x, f"a tensor [..., {self.units}]")
        if x.ndim == 0 or x.shape[-1] != self.units:
            raise ValueError(
                f"PooledSum: expected an input [..., {self.units}], got shape {tuple(x.shape)}; build it for that "
                "number of units"
            )

    @property
    def weight(self) -> Tensor:
        """The weights as a matrix, [units, units], onto the row from the column."""
        w = self.w()
        return w if w.ndim == 2 else w.reshape(-1, 1).expand(self.units, self.units)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        w = self.w()
        return x @ w.mT if w.ndim == 2 else (w * x.sum(-1, keepdim=True)).expand(x.shape)


def read_for(pool: PooledSum, x: State, axis: int) -> State:
    """What comes into an equation with a pool; a sequence (axis 2) of another number of units is refused."""
    if axis == 2 and isinstance(x, Tensor) and x.ndim > axis:
        pool.check_input(x)
    return x
