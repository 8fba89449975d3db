"""Whether a field is what every analysis takes it for: autonomous, without chance, row by row, and smooth."""

import torch
from torch import Tensor
from torch.func import vjp

from ..core.transforms import active_transform
from .field import Field
from .solve import known

_COPIES = 16
"""Among so many, two differ by chance."""


def check_field(field: Field, state: Tensor) -> None:
    """Raise ``ValueError`` unless the field is a function of each state alone whose gradient is its slope.

    Args:
        field: the field.
        state: states [..., n] near which it is tried, at one of them.
    """
    if active_transform() is None:
        _check(field, state)
        return
    try:
        _check(field, state)
    except RuntimeError:
        return  # inside vmap values cannot be looked at


def check_at_rest(field: Field, state: Tensor, rates: Tensor, slope: Tensor) -> None:
    """Raise ``ValueError`` if states [..., n] are no fixed points."""
    fastest = rates.detach().abs().amax(-1)
    scale = (slope.detach().abs() @ (1 + state.detach().abs()).unsqueeze(-1)).squeeze(-1).amax(-1)
    moves = fastest > 10 * torch.finfo(state.dtype).eps ** 0.5 * scale
    if known(moves.any()):
        raise ValueError(
            f"{field.owner}: expected a fixed point, got a state that changes by {fastest[moves].max().item():.3g} per "
            "ms; find one with fixed_point"
        )


def _check(field: Field, state: Tensor) -> None:
    owner = field.owner
    with torch.no_grad():
        x = state.detach()
        rates = field(x)
        if not isinstance(rates, Tensor) or rates.shape[-1:] != x.shape[-1:] or rates.dtype != x.dtype:
            got = f"{rates.dtype} {tuple(rates.shape)}" if isinstance(rates, Tensor) else type(rates).__name__
            raise ValueError(
                f"{owner}: expected rates of change {x.dtype} {tuple(x.shape)} of such states, got {got}; return one "
                "for each component, in the type of the state"
            )
        x = x.expand(rates.shape)
        size = x.shape[-1]
        wave = torch.cos(torch.arange(1, size + 1, dtype=x.dtype, device=x.device) * 1.7)
        scale = 1e-3 * (1 + x.abs())
        near = x + scale * wave
        first, second, copies = field(near), field(near), field(near.expand(_COPIES, *near.shape))
        if not _alike(first, second) or not _alike(copies, copies[:1].expand_as(copies)):
            raise ValueError(
                f"{owner}: expected an autonomous field without chance, got two rates for one state; call eval() on "
                "modules with dropout, and leave noise and time out"
            )
        together = field(torch.stack([near, near + scale]))
        if not _alike(copies[0], first) or not _alike(together[0], first):
            raise ValueError(
                f"{owner}: expected rows that do not act on each other, got a rate that depends on the other states in "
                "the batch; write the field for states [..., n], and call eval() on norms over the batch"
            )
        _check_slope(field, near, scale, wave)


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two rates are one: sums of batches of another size are rounded otherwise."""
    return torch.allclose(one, other, 1e-6, 1e-9, equal_nan=True)


def _check_slope(field: Field, x: Tensor, scale: Tensor, wave: Tensor) -> None:
    """Raise if the derivative by autograd is not that by differences: a surrogate stands in the field."""
    way, weight = scale * torch.sin(wave * 5), torch.cos(wave * 3)
    precise = x.dtype == torch.float64
    small, tolerance = (1e-2, 1e-3) if precise else (5.0, 2e-2)
    rise = (field(x + small * way) - field(x - small * way)) / (2 * small)
    _, pull = vjp(field, x)
    (slope,) = pull(weight.expand_as(rise).contiguous())
    by_gradient, by_difference = (slope * way).sum(-1), (weight * rise).sum(-1)
    size = (slope * way).abs().sum(-1) + (weight * rise).abs().sum(-1)
    # By differences of second order over 1e-5 of the state (5e-3 in float32), where a kink is rare.
    wrong = (by_gradient - by_difference).abs() > tolerance * size + 1e-12
    if (wrong & torch.isfinite(size)).all():
        raise ValueError(
            f"{field.owner}: expected a smooth field, got one whose gradient is not its slope, as that of a surrogate "
            "at a threshold; use a smooth activation"
        )
