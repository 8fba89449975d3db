"""The equations of a periodic solution, all of its phases at once."""

import torch
from torch import Tensor

from .field import Field
from .fourier import differentiation
from .implicit import implicit
from .jacobian import rates_and_jacobian


class CycleEquations:
    r"""Periodic solutions by Fourier collocation.

    .. math:: \frac{1}{T} \frac{ds}{d\varphi}(\varphi_k) = f(s(\varphi_k)), \qquad
        \sum_k (s(\varphi_k) - s^*(\varphi_k)) \cdot \frac{ds^*}{d\varphi}(\varphi_k) = 0

    at N phases; the last equation fixes which phase is the first, by a reference :math:`s^*`. The unknowns are the
    states and the period T, [N n + 1].

    Args:
        reference: states at the phases of a similar cycle, [N, n], N odd.

    Source: Trefethen (2000), Spectral Methods in MATLAB, ch. 3; Doedel et al. (1991), Int. J. Bifurcation Chaos 1:745
    (the condition on the phase).
    """

    def __init__(self, reference: Tensor):
        self.count, self.size = reference.shape
        self.derivative = differentiation(self.count, reference)
        self.reference = reference.detach()
        self.speed = self.derivative @ self.reference

    def linearized(self, field: Field, z: Tensor) -> tuple[Tensor, Tensor]:
        """The residual [N n + 1] and its Jacobian at z [N n + 1]."""
        states, period = z[:-1].reshape(self.count, self.size), z[-1]
        rates, slopes = rates_and_jacobian(field, states)
        turning = self.derivative @ states
        phase = ((states - self.reference) * self.speed).sum()
        residual = torch.cat([(turning / period - rates).flatten(), phase.reshape(1)])
        eye = torch.eye(self.size, dtype=z.dtype, device=z.device)
        body = torch.einsum("ab,ij->aibj", self.derivative / period, eye)
        body = (body - _own(slopes)).reshape(self.count * self.size, -1)
        last = (-turning / period**2).reshape(-1, 1)
        row = torch.cat([self.speed.flatten(), torch.zeros_like(z[:1])])[None]
        return residual, torch.cat([torch.cat([body, last], 1), row])


def regular_cycle(field: Field, states: Tensor, period: Tensor) -> tuple[Tensor, Tensor]:
    """States [N, n] and period of a cycle with their derivatives with respect to the parameters of the field."""
    equations = CycleEquations(states)
    z = implicit(lambda z: equations.linearized(field, z), torch.cat([states.flatten(), period.reshape(1)]))
    return z[:-1].reshape(states.shape), z[-1]


def _own(slopes: Tensor) -> Tensor:
    """The Jacobians [N, n, n] as [N, n, N, n], each phase with itself alone."""
    eye = torch.eye(len(slopes), dtype=slopes.dtype, device=slopes.device)
    return torch.einsum("ab,aij->aibj", eye, slopes)
