"""Checks of the rule by which a cell spikes: of its kinds, levels and times."""

from typing import TYPE_CHECKING

import torch

from .checks import is_whole, one_of, positive_number
from .quantities import readable
from .surrogate import Surrogate

if TYPE_CHECKING:
    from .spiking import Spiking


def check_rule(owner: str, surrogate: Surrogate, reset: str, t_ref: float, detach_reset: bool) -> None:
    """Raise if a part of the rule by which a cell spikes is of another kind than it should be."""
    if not isinstance(surrogate, Surrogate):
        raise TypeError(f"{owner}: expected a surrogate such as ATan(), got {surrogate!r}; pass an instance")
    if not isinstance(detach_reset, bool):
        raise TypeError(f"{owner}: expected detach_reset to be True or False, got {detach_reset!r}; pass one of them")
    one_of(owner, "reset", reset, "subtract", "value", "zero", "none")
    positive_number(owner, "t_ref", t_ref, zero=True, unit="ms")


def check_reset(cell: "Spiking", reset: str) -> None:
    """Raise ``ValueError`` if a reset does not lead below the threshold of a cell."""
    if reset == "none":
        return
    base = {"zero": 0.0, "value": "v_reset", "subtract": "v_rest"}[reset]
    if isinstance(base, str) and base not in cell._modules:
        raise ValueError(
            f"{type(cell).__name__}: expected a cell with {base} for reset={reset!r}, got one without; build it with "
            "that reset"
        )
    top, level = cell.v_th.start, getattr(cell, base).start if isinstance(base, str) else torch.tensor(base)
    if not readable(top, level):
        return
    if not (top > level.to(top.device)).all():
        name = base if isinstance(base, str) else "zero"
        raise ValueError(
            f"{type(cell).__name__}: expected v_th above {name} with reset={reset!r}, got v_th = "
            f"{top.min().item():g} and {level.max().item():g}, where every step would spike; raise v_th or choose "
            "another reset"
        )


def whole_steps(cell: "Spiking", t_ref: float) -> float:
    """A refractory period in steps; ``ValueError`` if it is no whole number of them and the integrator wants one.

    No ``int``, which a fused loop would take for part of the equation and not for a number that follows dt.
    """
    steps = t_ref / cell.dt
    if not is_whole(steps) and not cell.integrator.crossings:
        whole = max(1, round(steps)) * cell.dt
        raise ValueError(
            f"{type(cell).__name__}: expected t_ref to be a whole number of steps of {cell.dt:g} ms, got "
            f"{t_ref:g} ms; pass {whole:g}, another dt, or an integrator such as Interpolated(RK4()), under which "
            "any period is exact"
        )
    return float(round(steps))
