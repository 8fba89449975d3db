"""Whether a fixed point attracts."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.state import State
from .as_field import as_field
from .checked_field import check_at_rest
from .eigenvalues import sorted_eigenvalues
from .field import At
from .jacobian import rates_and_jacobian


class Stability(NamedTuple):
    """What small deviations from a fixed point do.

    kind: ``"stable node"``, ``"stable focus"``, ``"saddle"``, ``"unstable node"``, ``"unstable focus"``, or
        ``"undecided"`` where a real part is zero as far as the numbers tell, so that terms beyond the linear ones
        decide; of one fixed point, or a list for [k, n].
    stable: whether all of them die out, [...].
    unstable: the number of directions in which they grow, [...].
    eigenvalues: per ms, [..., n], complex.
    """

    kind: str | list
    stable: Tensor
    unstable: Tensor
    eigenvalues: Tensor


def stability(system: Any, state: State, *, tolerance: float = 1e-9, **at: Unpack[At]) -> Stability:
    """The stability of fixed points, by the eigenvalues of the Jacobian.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        state: fixed points [..., n], or a state of the dynamics.
        tolerance: a real part counts as zero below this share of the largest eigenvalue.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if a state is no fixed point; for what is no smooth autonomous field, see :func:`as_field`.

    Source: Strogatz (2015), Nonlinear Dynamics and Chaos, ch. 5.2 and 6.3.

    Example:
        >>> stability(lambda r, w: -r + torch.tanh(w * r), torch.zeros(1), parameters=(2.0,)).kind
        'unstable node'
    """
    field = as_field(system, state, **at)
    x = field.in_rows(state)
    rates, slope = rates_and_jacobian(field, x)
    check_at_rest(field, x, rates, slope)
    return classify(sorted_eigenvalues(slope), tolerance)


def classify(values: Tensor, tolerance: float = 1e-9) -> Stability:
    """The stability that eigenvalues [..., n] stand for."""
    given = values.detach()
    size = given.abs().amax(-1, keepdim=True)
    grows = given.real > tolerance * size
    falls = given.real < -tolerance * size
    turns = given.imag.abs() > tolerance * size
    unstable = grows.sum(-1)
    decided = (grows | falls).all(-1)
    # What is seen in the end: the slowest to fall, or the fastest to grow.
    leading = turns[..., 0]
    stable = decided & (unstable == 0)

    def named(ok: bool, up: int, turning: bool, total: int) -> str:
        if not ok:
            return "undecided"
        if 0 < up < total:
            return "saddle"
        return f"{'unstable' if up else 'stable'} {'focus' if turning else 'node'}"

    flat = [decided.flatten().tolist(), unstable.flatten().tolist(), leading.flatten().tolist()]
    kinds = [named(ok, up, turning, given.shape[-1]) for ok, up, turning in zip(*flat, strict=True)]
    return Stability(_folded(kinds, decided.shape), stable, unstable, values)


def _folded(kinds: list[str], shape: torch.Size) -> Any:
    if not shape:
        return kinds[0]
    if len(shape) == 1:
        return kinds
    each = len(kinds) // shape[0]
    return [_folded(kinds[k * each : (k + 1) * each], shape[1:]) for k in range(shape[0])]
