"""The Jacobian of a field."""

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.func import vjp

from ..core.state import State
from ..core.transforms import active_transform
from .as_field import as_field
from .field import At, Field


def jacobian(system: Any, state: State, **at: Unpack[At]) -> Tensor:
    r"""The Jacobian :math:`J_{ij} = \partial f_i / \partial s_j`, per ms.

    Of a rate network :math:`\tau \dot r = -r + F(W r + I)` it is
    :math:`D_\tau^{-1} (-1 + \mathrm{diag}(F')\, W)`.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        state: where, [..., n] or a state of the dynamics.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        [..., n, n], differentiable with respect to state and parameters.

    Raises:
        ValueError, TypeError: for what is no smooth autonomous field, see :func:`as_field`.

    Example:
        >>> jacobian(lambda x, a: a * x, torch.zeros(2), parameters=(-0.5,)).diagonal()
        tensor([-0.5000, -0.5000], dtype=torch.float64)
    """
    field = as_field(system, state, **at)
    return jacobian_of(field, field.in_rows(state))


def jacobian_of(field: Field, state: Tensor) -> Tensor:
    """The Jacobian [..., n, n] of a field at states [..., n] that are known to fit it."""
    return rates_and_jacobian(field, state)[1]


def rates_and_jacobian(field: Callable[[Tensor], Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
    """The rates of change [..., n] and the Jacobian [..., n, n] at states [..., n], of any function row by row."""
    if torch.is_grad_enabled() or active_transform() is not None:
        # A copy of the batch for each row of the Jacobian: rows of a field know nothing of each other.
        copies = state.expand(state.shape[-1], *state.shape)
        rates, pull = vjp(field, copies)
        (rows,) = pull(_units(rates[0]))
        return rates[0], rows.movedim(0, -2)
    # A fifth of the time of many variables, where nobody asks for more derivatives.
    with torch.enable_grad():
        leaf = state.detach().requires_grad_()
        rates = field(leaf)
        if not rates.requires_grad:
            return rates, torch.zeros_like(rates).unsqueeze(-1) * torch.zeros_like(leaf).unsqueeze(-2)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        units = _units(rates)
        try:
            (rows,) = torch.autograd.grad(rates, leaf, units, is_grads_batched=True, **options)
        except RuntimeError:  # a derivative of the user's own that knows one row alone
            rows = torch.stack([torch.autograd.grad(rates, leaf, unit, **options)[0] for unit in units])
    return rates.detach(), rows.movedim(0, -2)


def _units(rates: Tensor) -> Tensor:
    """The unit vectors for rates [..., n], one for each row of the Jacobian, [n, ..., n]."""
    size = rates.shape[-1]
    unit = torch.eye(size, dtype=rates.dtype, device=rates.device)
    return unit.reshape(size, *(1,) * (rates.ndim - 1), size).expand(size, *rates.shape).contiguous()
