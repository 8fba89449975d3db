"""How fast a network rings, and the name of its rhythm."""

import torch
from torch import Tensor

from .placed import check_placed

BANDS = {
    "slow": 0.5,
    "delta": 4.0,
    "theta": 8.0,
    "alpha": 13.0,
    "beta": 30.0,
    "gamma": 80.0,
    "fast": 200.0,
    "ultra-fast": 600.0,
}
"""The upper ends of the bands, Hz; each begins where the one before ends."""


def oscillation_frequency(eigenvalues: Tensor) -> Tensor:
    r"""The frequency of small oscillations about a fixed point, Hz, of the least damped pair of eigenvalues.

    .. math:: f = 1000\, |\mathrm{Im} \lambda| / 2 \pi

    It is the frequency of what dies out after a small kick, and of a limit cycle close to the Hopf point from which it
    has grown. Far from that point it is not: the period of a large cycle is that of :func:`limit_cycle`, and may differ
    by any factor.

    Args:
        eigenvalues: per ms, [..., n], complex, from :func:`eigenvalues`.

    Returns:
        [...], 0 where no eigenvalue is complex; differentiable.

    Raises:
        TypeError: if they are not complex.

    Source: Strogatz (2015), Nonlinear Dynamics and Chaos, ch. 8.2.

    Example:
        >>> oscillation_frequency(torch.tensor([-0.1 + 0.25j, -0.1 - 0.25j]))
        tensor(39.7887)
    """
    if not isinstance(eigenvalues, Tensor) or not eigenvalues.is_complex():
        got = eigenvalues.dtype if isinstance(eigenvalues, Tensor) else type(eigenvalues).__name__
        raise TypeError(
            f"oscillation_frequency: expected complex eigenvalues, got {got}; pass those of eigenvalues(system, state)"
        )
    height = eigenvalues.imag.abs()
    turns = height > 1e-12 * eigenvalues.detach().abs().amax(-1, keepdim=True)
    damping = torch.where(turns, eigenvalues.detach().real, -torch.inf)
    chosen = damping.argmax(-1, keepdim=True)
    frequency = 1000 / (2 * torch.pi) * height.gather(-1, chosen).squeeze(-1)
    return torch.where(turns.any(-1), frequency, torch.zeros_like(frequency))


def band(frequency: float | Tensor) -> str:
    """The name of the band of a rhythm: theta from 4 to 8 Hz, alpha to 13, beta to 30, gamma to 80, and the rest.

    Below theta there are delta, to 0.5 Hz, and slow; above gamma fast, to 200 Hz, and ultra-fast, to 600 Hz.

    Args:
        frequency: Hz, one number.

    Returns:
        The name; ``"none"`` at 0, ``"beyond"`` above 600 Hz.

    Raises:
        ValueError: if it is below 0 or no number.

    Source: Buzsaki & Draguhn (2004), Science 304:1926, for the slowest and the fastest.

    Example:
        >>> band(6.0), band(40.0), band(0.0)
        ('theta', 'gamma', 'none')
    """
    if isinstance(frequency, Tensor) and frequency.numel() != 1:
        raise ValueError(f"band: expected one frequency, got shape {tuple(frequency.shape)}; pass each by itself")
    if isinstance(frequency, Tensor):
        check_placed("band", "a frequency", [frequency])
    value = float(frequency.detach() if isinstance(frequency, Tensor) else frequency)
    if not value >= 0:
        raise ValueError(f"band: expected a frequency of 0 Hz or above, got {value}; pass one")
    if value == 0:
        return "none"
    return next((name for name, end in BANDS.items() if value < end), "beyond")
