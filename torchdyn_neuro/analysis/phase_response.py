"""What a small kick does to the phase of an oscillation."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from .as_field import as_field
from .field import At
from .fourier import differentiation
from .jacobian import rates_and_jacobian
from .limit_cycle import LimitCycle


class PhaseResponse(NamedTuple):
    """The phase response of a limit cycle.

    phase: of the cycle, from 0 to 1, [N]; 0 is the first state of the cycle.
    response: by how many ms a kick that adds a unit to each variable advances all later cycles, [N, n].
    """

    phase: Tensor
    response: Tensor


def phase_response(system: Any, cycle: LimitCycle, **at: Unpack[At]) -> PhaseResponse:
    r"""The infinitesimal phase response of a limit cycle: the periodic solution of the adjoint equation.

    .. math:: \dot Z = -J(s(t))^\top Z, \qquad Z \cdot f = 1

    A small kick :math:`\delta` to the state at a phase moves all later cycles by :math:`Z \cdot \delta` ms; a current
    through a membrane kicks its potential.

    Args:
        system: that whose cycle it is.
        cycle: from :func:`limit_cycle`, a stable one, so that there are later cycles.
        at: what was given to :func:`limit_cycle`: ``input``, ``parameters``, ``between_spikes``, ``dtype``.

    Returns:
        At the phases of the cycle; differentiable.

    Raises:
        ValueError: if the cycle is none of this system.

    Source: Ermentrout & Terman (2010), Mathematical Foundations of Neuroscience, ch. 8.2 and 8.3.

    Example:
        >>> from torchdyn_neuro.analysis import limit_cycle
        >>> def f(x):
        ...     u, v = x.unbind(-1)
        ...     r = u * u + v * v
        ...     return torch.stack([u - 2 * v - r * u, 2 * u + v - r * v], -1)
        >>> found = phase_response(f, limit_cycle(f, torch.tensor([0.1, 0.0]), settle=20.0))
        >>> f"{found.response.norm(dim=-1).mean():.4f}"
        '0.5000'
    """
    field = as_field(system, cycle.states, **at)
    states = cycle.states
    count, size = states.shape
    rates, slopes = rates_and_jacobian(field, states)
    turn = differentiation(count, states) / cycle.period
    miss = (turn.detach() @ states.detach() - rates.detach()).abs().amax()
    if miss > 1e-3 * rates.detach().abs().amax():
        raise ValueError(
            f"{field.owner}: expected a cycle of this system, got states that do not follow it; pass the input and the "
            "parameters with which limit_cycle found it"
        )
    eye = torch.eye(size, dtype=states.dtype, device=states.device)
    own = torch.einsum("ab,aij->aibj", torch.eye(count, dtype=states.dtype, device=states.device), slopes.mT)
    body = (torch.einsum("ab,ij->aibj", turn, eye) + own).reshape(count * size, -1)
    # The equation has a solution of any size; the border fixes it, and gives the matrix full rank.
    row = rates.flatten()[None] / count
    matrix = torch.cat([torch.cat([body, row.mT], 1), torch.cat([row, torch.zeros_like(row[:, :1])], 1)])
    right = torch.zeros_like(matrix[0])
    right[-1] = 1
    response = torch.linalg.solve(matrix, right)[:-1].reshape(count, size)
    phase = torch.arange(count, dtype=states.dtype, device=states.device) / count
    return PhaseResponse(phase, response)
