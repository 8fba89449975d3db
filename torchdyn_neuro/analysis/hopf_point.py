"""Where an oscillation begins."""

from typing import Any, Unpack

from ..core.state import State
from .along_branch import find_point
from .field import At, Parameter
from .special_points import HopfPoint


def hopf_point(
    system: Any, parameter: Parameter, between: tuple[float, float], start: State, *, number: int = 1, **at: Unpack[At]
) -> HopfPoint:
    r"""The value of a parameter at which a fixed point begins to oscillate: :math:`\lambda = \pm i \omega`.

    The branch of fixed points is followed from ``between[0]``; where a pair of eigenvalues has crossed the imaginary
    axis, :math:`f = 0,\ J q = i \omega q` is solved. Of two variables that is trace 0 with a determinant above 0.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field; one system.
        parameter: what is varied: ``"input"``, the name of a quantity or a parameter; of a function the name or the
            place of an argument. ``(name, index)`` varies one entry.
        between: where the search begins and ends.
        start: a state near a fixed point at ``between[0]``, [n] or a state of the dynamics.
        number: which one, in the order along the branch.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        The point, its frequency, and whether a stable cycle begins there. Parameter, state and frequency are
        differentiable with respect to all other parameters.

    Raises:
        ValueError: if there is none on the branch in the range; if the start leads to no fixed point; for what is no
            smooth autonomous field.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 3.4 and 10.2.

    Example:
        >>> import torch
        >>> def f(x, mu):
        ...     u, v = x.unbind(-1)
        ...     r = u * u + v * v
        ...     return torch.stack([mu * u - v - r * u, u + mu * v - r * v], -1)
        >>> point = hopf_point(f, "mu", (-0.6, 0.5), torch.zeros(2), parameters=(0.0,))
        >>> f"{abs(point.parameter):.6f}", f"{point.frequency:.2f} Hz", point.supercritical
        ('0.000000', '159.15 Hz', True)
    """
    return find_point(HopfPoint, system, parameter, between, start, number, at)
