"""Derivatives of what is found by a search: the implicit function theorem."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.transforms import active_transform


def implicit(equations: Callable[[Tensor], tuple[Tensor, Tensor]], root: Tensor) -> Tensor:
    r"""A root with its derivatives with respect to all that the equations depend on.

    .. math:: g(z, p) = 0 \implies \frac{dz}{dp} = -\Bigl(\frac{\partial g}{\partial z}\Bigr)^{-1}
        \frac{\partial g}{\partial p}

    Each differentiable Newton step from the root doubles the order up to which derivatives are right, and leaves the
    value where it is: two of them give the first, second and third derivative.

    Args:
        equations: maps z [..., m] to the residuals [..., m] and their Jacobian [..., m, m], both differentiable.
        root: z at which they vanish, found without a gradient.

    Raises:
        ValueError: where the Jacobian is singular: at a bifurcation the root has no derivative.

    Source: Blondel et al. (2022), Efficient and Modular Implicit Differentiation, NeurIPS.
    """
    root = root.detach()
    if not torch.is_grad_enabled():
        return root
    for _ in range(2):
        residual, slope = equations(root)
        if not residual.requires_grad and active_transform() is None:
            return root
        try:
            root = root - torch.linalg.solve(slope, residual.unsqueeze(-1)).squeeze(-1)
        except torch.linalg.LinAlgError as error:
            raise ValueError(
                "implicit: expected a root that its equations fix, got a singular Jacobian: it is at a bifurcation or "
                "one of a line of roots, and has no derivative; search under torch.no_grad(), or elsewhere"
            ) from error
    return root
