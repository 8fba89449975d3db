"""Stochastic resonance: noise that is neither too weak nor too strong carries a signal that is below threshold.

Leaky integrate-and-fire neurons hear a sine that alone makes none of them fire. Without
noise they are silent, with much noise they fire whenever they like; in between their spikes follow the signal. The
measure is the signal-to-noise ratio of the spike train: the power at the signal's frequency over that beside it.
Run ``python examples/stochastic_resonance.py [PICTURE]``. Source: Gammaitoni, Haenggi, Jung & Marchesoni (1998), Rev.
Mod. Phys. 70:223; Longtin (1993), J. Stat. Phys. 70:309 (neurons).
"""

import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import raster, spectrum

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FREQUENCY, MEAN, AMPLITUDE = 5.0, 0.8, 0.15  # Hz; the threshold is 1
SEGMENT = 2000  # ms of a spectrum: lines of 0.5 Hz, one of them that of the signal


def signal(steps: int) -> torch.Tensor:
    """The current [T]: its peak of 0.95 stays below the rheobase of 1."""
    time = torch.arange(steps)
    return MEAN + AMPLITUDE * torch.sin(2 * math.pi * FREQUENCY * time / 1000)


@torch.no_grad()
def spikes(sigma: torch.Tensor, steps: int, rows: int) -> torch.Tensor:
    """Spike trains [T, B, N] of B neurons under each of N levels of noise (in units of current times sqrt(ms))."""
    torch.manual_seed(0)
    cells = tdn.LIF(tau_mem=20.0, noise=tdn.WhiteNoise(sigma))
    return cells(signal(steps)[:, None, None].expand(-1, rows, len(sigma)))


def main(
    picture: Path = Path("pictures/stochastic_resonance.png"), steps: int = 20_000, rows: int = 32
) -> dict[str, Any]:
    sigma = torch.cat([torch.zeros(1), torch.logspace(-1.0, 1.3, 13)])
    trains = spikes(sigma, steps, rows)
    found = analysis.power_spectrum(trains, segment=SEGMENT)
    power = found.power.mean(1)  # [F, N]
    line = round(FREQUENCY * SEGMENT / 1000)
    beside = torch.cat([power[line - 5 : line - 1], power[line + 2 : line + 6]]).mean(0)
    ratio = torch.where(beside > 0, power[line] / beside.clamp(min=1e-30), 1.0)
    rates = 1000 * trains.mean((0, 1))
    best = int(ratio.argmax())
    print(f"without noise: {rates[0]:g} Hz; signal-to-noise ratio best at sigma = {sigma[best]:.2f}: {ratio[best]:.1f}")
    print(f"at the most noise: {ratio[-1]:.1f}")
    assert rates[0] == 0
    assert 0 < best < len(sigma) - 1
    assert ratio[best] > 2 * ratio[-1]

    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    axes[0].semilogx(sigma[1:], ratio[1:], "o-", color="tab:blue")
    axes[0].set(xlabel="noise sigma (current √ms)", ylabel="signal-to-noise ratio", title="an interior maximum")
    chosen = [1 + (best - 1) // 2, best, len(sigma) - 1]
    shown = min(steps, 1000)
    rows_shown = torch.cat([trains[:shown, :12, k] for k in chosen], 1)
    raster(rows_shown, populations={f"{sigma[k]:.2g}": min(rows, 12) for k in chosen}, ax=axes[1])
    axes[1].set(title="spikes at three levels of noise", yticks=[], ylabel="neurons")
    for k, color in zip(chosen, ("tab:red", "tab:blue", "tab:green"), strict=True):
        spectrum(found.frequency, power[:, k], highest=25.0, color=color, ax=axes[2])
    axes[2].set_title("spectra of the spike trains")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"sigma": sigma.tolist(), "ratio": ratio.tolist(), "rates": rates.tolist(), "best": best}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
