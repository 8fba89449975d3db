"""Which frequencies a signal holds."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number


class Spectrum(NamedTuple):
    """A power spectrum.

    frequency: Hz, [F].
    power: density per Hz, of the unit of the signal squared, [F, *].
    """

    frequency: Tensor
    power: Tensor

    @property
    def peak(self) -> Tensor:
        """The frequency of the highest power but that of the mean, Hz, between two lines of the spectrum, [*]."""
        inner = self.power[1:]
        top = inner.argmax(0, keepdim=True).clamp(1, max(1, len(inner) - 2))
        low, middle, high = (inner.gather(0, top + side).clamp(min=1e-300).log()[0] for side in (-1, 0, 1))
        curve = low - 2 * middle + high
        shift = torch.where(curve < 0, 0.5 * (low - high) / torch.where(curve < 0, curve, -1.0), 0.0).clamp(-0.5, 0.5)
        return (top[0] + 1 + shift) * (self.frequency[1] - self.frequency[0])


def power_spectrum(signal: Tensor, *, dt: float = 1.0, segment: int | None = None) -> Spectrum:
    r"""The one-sided power spectral density of signals, by Welch's method.

    Segments that overlap by half, each without its mean and under a Hann window, are transformed; their powers are
    averaged. The integral of the density over frequencies is the variance of the signal.

    Args:
        signal: [T, \*]: rates, potentials, or spikes (divided by ``dt`` in s they are rates).
        dt: time step, ms.
        segment: steps of a segment, which gives a resolution of 1000 / (segment dt) Hz; the whole signal if omitted.

    Returns:
        Frequencies from 0 to 500 / dt Hz and the density at each; differentiable.

    Raises:
        ValueError: if the signal is shorter than a segment, or a segment shorter than 8 steps; if ``dt`` is not
            positive.
        TypeError: if the signal is no tensor of floats.

    Source: Welch (1967), IEEE Trans. Audio Electroacoust. 15:70.

    Example:
        >>> time = torch.arange(1000) * 1e-3
        >>> f"{power_spectrum(torch.sin(2 * torch.pi * 40 * time)).peak:.1f} Hz"
        '40.0 Hz'
    """
    owner = "power_spectrum"
    dt = positive_number(owner, "dt", dt, unit="ms")
    if not isinstance(signal, Tensor) or not signal.is_floating_point():
        got = signal.dtype if isinstance(signal, Tensor) else type(signal).__name__
        raise TypeError(f"{owner}: expected a signal [T, *] of floats, got {got}; call .float()")
    length = signal.shape[0] if signal.ndim else 0
    segment = length if segment is None else whole_number(owner, "segment", segment, 8)
    if segment < 8 or segment > length:
        raise ValueError(
            f"{owner}: expected a signal of at least one segment of 8 steps or more, got {length} steps and segments "
            f"of {segment}; pass a longer signal or a shorter segment"
        )
    pieces = signal.unfold(0, segment, max(1, segment // 2))
    pieces = pieces - pieces.mean(-1, keepdim=True)
    window = torch.hann_window(segment, dtype=signal.dtype, device=signal.device)
    rate = 1000 / dt
    power = torch.fft.rfft(pieces * window, dim=-1).abs().square() / (rate * window.square().sum())
    doubled = torch.full((power.shape[-1],), 2.0, dtype=signal.dtype, device=signal.device)
    doubled[0] = 1
    if segment % 2 == 0:
        doubled[-1] = 1
    frequency = torch.fft.rfftfreq(segment, 1 / rate, dtype=signal.dtype, device=signal.device)
    return Spectrum(frequency, (power * doubled).mean(0).movedim(-1, 0))
