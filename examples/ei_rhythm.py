"""Where the eigenvalue tells the rhythm of an excitatory-inhibitory pair, and where it does not.

At the Hopf point the frequency of the rhythm that begins is that of the eigenvalues. Further on the cycle is large and
slows down, and at last it passes by a place where two fixed points are about to appear: it takes as long as one likes,
while the eigenvalue goes on as if nothing happened. The period itself comes of :func:`limit_cycle`.
Run ``python examples/ei_rhythm.py [PICTURE]``. Source: Wilson & Cowan (1972), Biophys. J. 12:1 (the form); Strogatz
(2015), Nonlinear Dynamics and Chaos, ch. 8 (the two ends of the rhythm).
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import bifurcation_diagram, spectrum

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NOTHING = torch.zeros(1, 1), torch.zeros(1, 1)
PAIR = tdn.WilsonCowan(
    w_EE=10.0, w_EI=12.0, w_IE=10.0, w_II=0.0,
    F_E=tdn.rates.Sigmoid(1.0, theta=2.0), F_I=tdn.rates.Sigmoid(1.0, theta=3.0), integrator=tdn.RK4(), dt=0.5,
)  # fmt: skip
NEAR, FAR = 0.01, 3.55  # above the Hopf point


@torch.no_grad()
def measured(drives: torch.Tensor, steps: int = 4000) -> analysis.Spectrum:
    """The spectrum of the excitation under each of the inputs [B], from a simulation."""
    drive = drives.float()[None, :, None].expand(2 * steps, -1, -1)
    E = PAIR((drive, torch.zeros_like(drive)))[steps:, :, 0]
    return analysis.power_spectrum(E, dt=PAIR.dt)


def main(picture: Path = Path("pictures/ei_rhythm.png"), points: int = 8) -> dict[str, Any]:
    hopf = analysis.hopf_point(PAIR, "I_E", (0.0, 5.0), torch.zeros(2), input=NOTHING)
    onset = hopf.parameter.item()
    drives = onset + torch.linspace(NEAR**0.5, FAR**0.5, points, dtype=torch.float64) ** 2
    predicted, cycles = [], []
    for drive in drives:
        at = {"input": NOTHING, "parameters": {"I_E": drive}}
        rest = analysis.fixed_point(PAIR, hopf.state, **at)
        predicted.append(analysis.oscillation_frequency(analysis.eigenvalues(PAIR, rest, **at)).item())
        cycles.append(analysis.limit_cycle(PAIR, rest + 0.02, settle=400.0, **at))
    periods = [cycle.frequency.item() for cycle in cycles]
    spectra = measured(drives)
    peaks = spectra.peak
    print(f"Hopf point at I_E = {onset:.4f}, {hopf.frequency.item():.2f} Hz")
    for place, k in (("just above it", 0), ("far from it", -1)):
        print(f"{place}: eigenvalue {predicted[k]:.2f} Hz, cycle {periods[k]:.2f} Hz, spectrum {peaks[k]:.2f} Hz")
    assert abs(predicted[0] / periods[0] - 1) < 0.01
    assert predicted[-1] / periods[-1] > 1.5

    diagram = analysis.bifurcation_diagram(PAIR, "I_E", (0.0, 8.5), torch.zeros(2), input=NOTHING, cycles=False)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    bifurcation_diagram(diagram, labels=("input I_E", "excitation E"), legend=False, ax=left)
    for extreme in ("low", "high"):
        left.plot(drives, [getattr(cycle, extreme)[0].item() for cycle in cycles], "o-", color="tab:blue", markersize=3)
    left.set_title("fixed points, and extremes of the cycle")
    middle.plot(drives, predicted, "k--", label="eigenvalue of the fixed point")
    middle.plot(drives, periods, color="tab:blue", label="limit cycle")
    middle.plot(drives, peaks, "o", color="tab:orange", markersize=5, label="peak of the spectrum, simulated")
    middle.plot(onset, hopf.frequency.item(), "o", color="tab:red", label="Hopf point")
    middle.set(xlabel="input I_E", ylabel="frequency (Hz)", title="predicted and measured", ylim=(0, None))
    middle.legend(frameon=False, fontsize="small", loc="lower left")
    for k, color in ((points // 2, "tab:blue"), (points - 1, "tab:orange")):
        spectrum(spectra.frequency, spectra.power[:, k], highest=150.0, color=color, ax=right, label=f"{drives[k]:.2f}")
    right.set(title="spectrum of the excitation", ylim=(1e-12, None))
    right.legend(title="input I_E", frameon=False, fontsize="small")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "onset": onset,
        "frequency": hopf.frequency.item(),
        "drives": drives.tolist(),
        "predicted": predicted,
        "cycle": periods,
        "spectrum": peaks.tolist(),
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
