"""Lateral inhibition."""

from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import whole_number
from ..core.inputs import check_tensor
from ..core.quantities import NonNegative, Parametrized, Quantity


class LateralInhibition(Parametrized):
    r"""Each unit excites itself and inhibits all others.

    .. math:: y_i = w_{self}\, x_i - \sum_{j \ne i} w_{ij} x_j

    With one strength for all pairs, or one per unit that is inhibited, the sum is formed once for all units, as a pool
    of inhibitory cells does; with a matrix every pair has its own.

    Args:
        units: number of units.
        w: strength of the inhibition: one; one per unit that is inhibited; or a matrix [units, units], onto the row
            from the column, whose diagonal does not count.
        w_self: self-excitation: one, or one per unit.

    Shape:
        - input: [..., units]
        - output: [..., units]

    Raises:
        ValueError: if a strength is negative or of another shape; from ``forward`` for another number of units.
        TypeError: from ``forward`` for what is no tensor.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 7.4.

    Example:
        >>> LateralInhibition(3, w=0.5, w_self=1.0)(torch.tensor([[1.0, 2.0, 4.0]]))
        tensor([[-2.0000, -0.5000,  2.5000]])
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, so that it fuses."""

    bias: ClassVar[None] = None

    def __init__(self, units: int, w: Quantity = 1.0, w_self: Quantity = 0.0):
        super().__init__()
        self.units = whole_number("LateralInhibition", "units", units, 1)
        self.w = NonNegative(w)
        self.w_self = NonNegative(w_self)
        for name, quantity, shapes in (
            ("w", self.w, {(), (units,), (units, units)}),
            ("w_self", self.w_self, {(), (units,)}),
        ):
            if tuple(quantity.start.shape) not in shapes:
                raise ValueError(
                    f"LateralInhibition: expected {name} of one of the shapes {sorted(shapes, key=len)}, got shape "
                    f"{tuple(quantity.start.shape)}; pass one value, or one per unit"
                )

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these units."""
        check_tensor("LateralInhibition", x, f"a tensor [..., {self.units}]")
        if x.ndim == 0 or x.shape[-1] != self.units:
            raise ValueError(
                f"LateralInhibition: expected an input [..., {self.units}], got shape {tuple(x.shape)}; build it for "
                "that number of units"
            )

    @property
    def weight(self) -> Tensor:
        """The strengths as a matrix, [units, units], onto the row from the column; negative where it inhibits."""
        w, w_self = self.w(), self.w_self()
        w = w if w.ndim == 2 else w.reshape(-1, 1).expand(self.units, self.units)
        return torch.diag(w_self.expand(self.units) + w.diagonal()) - w

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        w = self.w()
        if w.ndim == 2:
            return x @ self.weight.mT
        return self.w_self() * x - w * (x.sum(-1, keepdim=True) - x)
