"""Points where the number or the stability of fixed points changes, as solutions of regular equations."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jacrev

from .directional import directional
from .field import Field, Parameter
from .implicit import implicit
from .jacobian import jacobian_of
from .refused_gradient import refused
from .solve import solve

Residual = Callable[[Tensor], Tensor]


class FoldPoint(NamedTuple):
    """Where two fixed points meet and vanish (saddle-node, limit point).

    parameter: value of the parameter.
    state: [n].
    direction: along which the field has no slope, [n], of length 1.
    curvature: of the field along it, seen from its left counterpart; not zero at a fold.
    """

    parameter: Tensor
    state: Tensor
    direction: Tensor
    curvature: Tensor


class HopfPoint(NamedTuple):
    """Where a fixed point begins to oscillate.

    parameter: value of the parameter.
    state: [n].
    frequency: of the oscillation that begins, Hz.
    first_lyapunov: first Lyapunov coefficient, per ms; below zero a stable cycle grows as the square root of the
        distance on the unstable side (supercritical), above zero an unstable one shrinks onto the stable side; of
        zero, cubic terms do not decide.
    """

    parameter: Tensor
    state: Tensor
    frequency: Tensor
    first_lyapunov: Tensor

    @property
    def supercritical(self) -> bool:
        """Whether the cycle that begins is stable, as far as the two directions go."""
        return bool(self.first_lyapunov < 0)


class BranchPoint(NamedTuple):
    """Where two branches of fixed points cross.

    parameter: value of the parameter.
    state: [n].
    kind: ``"pitchfork"`` or ``"transcritical"``; ``"line of fixed points"`` where these fill a curve at this one value
        of the parameter and no branch leaves (degenerate).
    directions: of the second branch, or of that curve, [n + 1], the last entry that of the parameter.
    """

    parameter: Tensor
    state: Tensor
    kind: str
    directions: Tensor


def solved(residual: Residual, guess: Tensor) -> Tensor | None:
    """The root of as many equations as variables near a guess, with its derivatives; ``None`` if there is none."""

    def equations(z: Tensor) -> tuple[Tensor, Tensor]:
        return residual(z), jacrev(residual)(z)

    found = solve(equations, guess)
    return implicit(equations, found.z) if bool(found.converged) else None


def fold_near(field: Field, parameter: Parameter, state: Tensor, value: Tensor) -> FoldPoint | None:
    r"""The fold near a state and a value of the parameter: :math:`f = 0,\ J q = 0,\ c \cdot q = 1`."""
    size, along = state.numel(), field.along(parameter)
    with torch.no_grad():
        slope = jacobian_of(field.with_value(parameter, value), state)
        left, _, right = torch.linalg.svd(slope)
        normal = right[-1]

    def residual(z: Tensor) -> Tensor:
        x, mu, q = z[:size], z[size], z[size + 1 :]
        push = directional(lambda x: along(x, mu), q)(x)
        return torch.cat([along(x, mu), push, (normal @ q - 1)[None]])

    root = solved(residual, torch.cat([state, value.reshape(1), normal]))
    if root is None:
        return None
    x, mu, q = root[:size], root[size], root[size + 1 :]
    at = field.with_value(parameter, mu.detach())
    with torch.no_grad():
        left = torch.linalg.svd(jacobian_of(at, x))[0][:, -1]
        way = q / torch.linalg.vector_norm(q)
        left = left * torch.sign(left @ way + 1e-300)
        curvature = left @ directional(at, way, way)(x)
    return FoldPoint(mu, x, *(_held(field, mu, value) for value in (way, curvature)))


def hopf_near(field: Field, parameter: Parameter, state: Tensor, value: Tensor) -> HopfPoint | None:
    r"""The Hopf point near a state and a value of the parameter: :math:`f = 0,\ J q = i \omega q,\ c \cdot q = 1`."""
    size, along = state.numel(), field.along(parameter)
    with torch.no_grad():
        values, vectors = torch.linalg.eig(jacobian_of(field.with_value(parameter, value), state))
        scale = values.abs().amax()
        distance = torch.where(values.imag > 1e-9 * scale, values.real.abs(), torch.inf)
        if not torch.isfinite(distance).any():
            return None
        pick = int(distance.argmin())
        speed, vector = values[pick].imag, vectors[:, pick]
        vector = vector / torch.linalg.vector_norm(vector)
        real, imag = vector.real.contiguous(), vector.imag.contiguous()

    def residual(z: Tensor) -> Tensor:
        x, mu, omega = z[:size], z[size], z[size + 1]
        a, b = z[size + 2 : 2 * size + 2], z[2 * size + 2 :]
        at = lambda x: along(x, mu)  # noqa: E731
        return torch.cat(
            [
                at(x),
                directional(at, a)(x) + omega * b,
                directional(at, b)(x) - omega * a,
                (real @ a + imag @ b - 1)[None],
                (real @ b - imag @ a)[None],
            ]
        )

    root = solved(residual, torch.cat([state, value.reshape(1), speed.reshape(1), real, imag]))
    if root is None or not root[size + 1].abs() > 1e-9 * scale:
        return None
    x, mu, omega = root[:size], root[size], root[size + 1].abs()
    with torch.no_grad():
        first = first_lyapunov_coefficient(field.with_value(parameter, mu.detach()), x.detach(), omega.detach())
    return HopfPoint(mu, x, 1000 / (2 * torch.pi) * omega, _held(field, mu, first))


def _held(field: Field, point: Tensor, value: Tensor) -> Tensor:
    """What tells of a point but is not followed when parameters move it."""
    message = (
        f"{field.owner}: expected a gradient of the parameter, the state or the frequency of a point, got one of its "
        "direction, curvature or coefficient, which have none; take their differences"
    )
    return refused(value.detach(), point, message)


def first_lyapunov_coefficient(field: Field, state: Tensor, omega: Tensor) -> Tensor:
    r"""The coefficient of the cubic term of the oscillation at a Hopf point, per ms.

    .. math:: l_1 = \frac{1}{2 \omega} \mathrm{Re} \bigl\langle p,\ C(q, q, \bar q) - 2 B(q, J^{-1} B(q, \bar q))
        + B(\bar q, (2 i \omega - J)^{-1} B(q, q)) \bigr\rangle

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, eq. (5.62).
    """
    slope = jacobian_of(field, state)
    values, vectors = torch.linalg.eig(slope)
    q = vectors[:, int((values - 1j * omega).abs().argmin())]
    q = q / torch.linalg.vector_norm(q)
    values, vectors = torch.linalg.eig(slope.mT)
    p = vectors[:, int((values + 1j * omega).abs().argmin())]
    p = p / (p.conj() @ q).conj()
    wide = slope.to(q.dtype)
    eye = torch.eye(len(state), dtype=q.dtype, device=q.device)

    def second(u: Tensor, v: Tensor) -> Tensor:
        parts = {(k, m): directional(field, a, b)(state) for k, a in _parts(u) for m, b in _parts(v)}
        return torch.complex(parts[0, 0] - parts[1, 1], parts[0, 1] + parts[1, 0])

    a, b = q.real.contiguous(), q.imag.contiguous()
    third = torch.complex(
        directional(field, a, a, a)(state) + directional(field, a, b, b)(state),
        directional(field, a, a, b)(state) + directional(field, b, b, b)(state),
    )
    inner = third - 2 * second(q, torch.linalg.solve(wide, second(q, q.conj())))
    inner = inner + second(q.conj(), torch.linalg.solve(2j * omega * eye - wide, second(q, q)))
    return (p.conj() @ inner).real / (2 * omega)


def _parts(vector: Tensor) -> list[tuple[int, Tensor]]:
    return [(0, vector.real.contiguous()), (1, vector.imag.contiguous())]


def branch_near(
    field: Field, parameter: Parameter, state: Tensor, value: Tensor, tangent: Tensor
) -> BranchPoint | None:
    r"""The crossing of branches near a point: :math:`f + \beta p = 0,\ J^\top p = 0,\ p \cdot f_\mu = 0,\ \|p\| = 1`.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 10.2 and 10.3.
    """
    size, along = state.numel(), field.along(parameter)

    def joint(z: Tensor) -> Tensor:
        return along(z[:size], z[size])

    with torch.no_grad():
        start = torch.cat([state, value.reshape(1)])
        left = torch.linalg.svd(jacrev(joint)(start)[:, :size])[0][:, -1]

    def residual(z: Tensor) -> Tensor:
        rates, pull = torch.func.vjp(joint, z[: size + 1])
        beta, p = z[size + 1], z[size + 2 :]
        (rows,) = pull(p)
        return torch.cat([rates + beta * p, rows, (p @ p - 1)[None]])

    root = solved(residual, torch.cat([start, torch.zeros_like(start[:1]), left]))
    if root is None:
        return None
    point, p = root[: size + 1], root[size + 2 :].detach()
    with torch.no_grad():
        here = point.detach()
        # Two directions without slope, one of them that of the branch we came along.
        plane = torch.linalg.svd(jacrev(joint)(here))[2][-2:]
        first = plane.T @ (plane @ tangent)
        first = first / torch.linalg.vector_norm(first)
        second = plane[0] - first * (plane[0] @ first)
        other = plane[1] - first * (plane[1] @ first)
        second = second if torch.linalg.vector_norm(second) > torch.linalg.vector_norm(other) else other
        second = second / torch.linalg.vector_norm(second)
        mixed = p @ directional(joint, first, second)(here)
        pure = p @ directional(joint, second, second)(here)
        way = -pure * first + 2 * mixed * second
        way = way / torch.linalg.vector_norm(way)
        null = torch.linalg.svd(jacrev(joint)(here)[:, :size])[2][-1]
        null = torch.cat([null, torch.zeros_like(null[:1])])
        bend = (p @ directional(joint, null, null)(here)).abs()
        kind = "pitchfork" if bend < 1e-6 * (mixed.abs() + 1e-300) else "transcritical"
        kind = "line of fixed points" if _fills_a_line(joint, here, null) else kind
    return BranchPoint(point[size], point[:size], kind, _held(field, point, way))


def _fills_a_line(joint: Residual, point: Tensor, way: Tensor) -> bool:
    """Whether fixed points at some distance from a crossing, along a way, have its very value of the parameter."""
    for distance in (0.05, 0.1):
        distance = distance * (1 + point[:-1].abs().amax())

        def aside(z: Tensor, distance: Tensor = distance) -> Tensor:
            return torch.cat([joint(z), (way @ (z - point) - distance)[None]])

        found = solve(lambda z, aside=aside: (aside(z), jacrev(aside)(z)), point + distance * way)
        if not bool(found.converged) or (found.z - point)[-1].abs() > 1e-10 * (1 + point[-1].abs()):
            return False
    return True
