"""Where two branches of fixed points cross."""

from typing import Any, Unpack

from ..core.state import State
from .along_branch import find_point
from .field import At, Parameter
from .special_points import BranchPoint


def branch_point(
    system: Any, parameter: Parameter, between: tuple[float, float], start: State, *, number: int = 1, **at: Unpack[At]
) -> BranchPoint:
    r"""The value of a parameter at which a second branch crosses: a pitchfork or a transcritical bifurcation.

    Where fixed points fill a curve at that value, as of :math:`\dot x = \mu x`, and no branch leaves, its kind says so.

    Args:
        system, parameter, between, start, number, at: as of :func:`hopf_point`.

    Returns:
        The point, its kind and the direction of the second branch; parameter and state are differentiable with respect
        to all other parameters, as long as these leave the crossing in place.

    Raises:
        ValueError: if there is none on the branch in the range; if the start leads to no fixed point; for what is no
            smooth autonomous field.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 7.4 and 10.2.

    Example:
        >>> import torch
        >>> unit = lambda r, w: -r + torch.tanh(w * r)
        >>> point = branch_point(unit, "w", (0.5, 2.1), torch.zeros(1), parameters=(1.0,))
        >>> f"{point.parameter:.6f}", point.kind
        ('1.000000', 'pitchfork')
    """
    return find_point(BranchPoint, system, parameter, between, start, number, at)
