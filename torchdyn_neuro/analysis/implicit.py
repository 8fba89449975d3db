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
        torch.linalg.LinAlgError: where the Jacobian is singular: at a bifurcation the root has no derivative.

    Source: Blondel et al. (2022), Efficient and Modular Implicit Differentiation, NeurIPS.
    """
    root = root.detach()
    if not torch.is_grad_enabled():
        return root
    for _ in range(2):
        residual, slope = equations(root)
        if not residual.requires_grad and active_transform() is None:
            return root
        root = root - torch.linalg.solve(slope, residual.unsqueeze(-1)).squeeze(-1)
    return root
