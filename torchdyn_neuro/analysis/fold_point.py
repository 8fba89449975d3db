"""Where two fixed points meet and vanish."""

from typing import Any, Unpack

from ..core.state import State
from .along_branch import find_point
from .field import At, Parameter
from .special_points import FoldPoint


def fold_point(
    system: Any, parameter: Parameter, between: tuple[float, float], start: State, *, number: int = 1, **at: Unpack[At]
) -> FoldPoint:
    r"""The value of a parameter at which a stable and an unstable fixed point meet: :math:`f = 0,\ J q = 0`.

    The branch of fixed points is followed from ``between[0]``, also where it turns back. Beyond the fold the state
    jumps to what else attracts; between two folds of one branch there are two stable states (hysteresis).

    Args:
        system, parameter, between, start, number, at: as of :func:`hopf_point`.

    Returns:
        The point; parameter and state are differentiable with respect to all other parameters.

    Raises:
        ValueError: if there is none on the branch in the range; if the start leads to no fixed point; for what is no
            smooth autonomous field.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 3.2 and 10.2.

    Example:
        >>> import torch
        >>> point = fold_point(lambda x, mu: mu - x * x, "mu", (1.0, -1.0), torch.ones(1), parameters=(1.0,))
        >>> f"{abs(point.parameter):.6f}"
        '0.000000'
    """
    return find_point(FoldPoint, system, parameter, between, start, number, at)
