"""Eigenvalues of the linearised field."""

from typing import Any, Unpack

import torch
from torch import Tensor

from ..core.state import State
from .as_field import as_field
from .field import At
from .jacobian import jacobian_of


def eigenvalues(system: Any, state: State, **at: Unpack[At]) -> Tensor:
    r"""The eigenvalues of the Jacobian, per ms, those with the largest real part first.

    Small deviations from a fixed point grow as :math:`e^{\mathrm{Re} \lambda\, t}` and turn
    :math:`|\mathrm{Im} \lambda| / 2 \pi` times per ms. The eigenvalues of the weights alone predict that only for a
    slope of 1 and one common time constant.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        state: where, [..., n] or a state of the dynamics; usually a fixed point.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        [..., n], complex; differentiable (with :func:`fixed_point` through the fixed point too) where no eigenvectors
        coincide.

    Raises:
        ValueError, TypeError: for what is no smooth autonomous field, see :func:`as_field`.

    Example:
        >>> eigenvalues(lambda x: torch.stack([-x[..., 1], x[..., 0]], -1), torch.zeros(2))
        tensor([0.+1.j, 0.-1.j], dtype=torch.complex128)
    """
    field = as_field(system, state, **at)
    return sorted_eigenvalues(jacobian_of(field, field.in_rows(state)))


def sorted_eigenvalues(matrix: Tensor) -> Tensor:
    """The eigenvalues [..., n] of matrices [..., n, n] by falling real part, the upper one of a pair first."""
    values = torch.linalg.eigvals(matrix)
    # A pair differs in its real part by rounding alone.
    below = (values.imag < 0).to(values.real.dtype)
    by_side = below.argsort(dim=-1, stable=True)
    values = values.gather(-1, by_side)
    scale = values.detach().abs().amax(-1, keepdim=True).clamp(min=torch.finfo(values.real.dtype).tiny)
    level = torch.round(values.detach().real / scale * 1e10)
    height = values.detach().imag.abs() / scale
    order = height.argsort(dim=-1, stable=True)
    order = order.gather(-1, level.gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    return values.gather(-1, order)
