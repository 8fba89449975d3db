"""Wong & Wang (2006), J. Neurosci. 26:1314: two populations decide which way the dots move (Figs. 2, 3 and 5).

The psychometric curve and the reaction times of the reduced model, with all constants of the paper, and the phase plane
in which a decision is made: two attractors, and between them a saddle that both have to be pushed away from.
Run ``python examples/papers/Wong_Wang_2006.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from scipy.optimize import curve_fit

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import phase_plane

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COHERENCES = torch.tensor([0.0, 3.2, 6.4, 12.8, 25.6, 51.2]) / 100
THRESHOLD, LONGEST = 15.0, 2000  # Hz; ms


@torch.no_grad()
def decide(trials: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which trials [B, coherences] are correct, when (ms, NaN if never), and the rates [T, B, coherences, 2]."""
    torch.manual_seed(0)
    network = tdn.WongWang(noise=tdn.OrnsteinUhlenbeckNoise(tau=2.0, sigma=0.02 * 2**0.5))
    current = network.stimulus(COHERENCES).expand(LONGEST, trials, -1, 2)
    S = network(current)
    rates = network.neuron.rate(current + network.connection(S))
    above = rates > THRESHOLD
    first = torch.where(above.any(0), above.float().argmax(0).float(), torch.inf)  # [B, coherences, 2]
    time = first.amin(-1)
    return first[..., 0] < first[..., 1], torch.where(time.isinf(), torch.nan, time + 1), rates


def weibull(coherence: Any, alpha: float, beta: float) -> Any:
    """Share of correct choices; alpha is the coherence with 82 % of them."""
    return 1 - 0.5 * 2.718281828 ** -((coherence / alpha) ** beta)


def main(picture: Path = Path("pictures/Wong_Wang_2006.png"), trials: int = 300) -> dict[str, Any]:
    correct, time, rates = decide(trials)
    decided = ~time.isnan()
    accuracy = (correct & decided).float().sum(0) / decided.sum(0)
    reaction = torch.nanmean(time, 0)
    (alpha, beta), _ = curve_fit(weibull, COHERENCES[1:].numpy(), accuracy[1:].numpy(), p0=(0.1, 1.5))
    for c, p, t in zip(COHERENCES, accuracy, reaction, strict=True):
        print(f"coherence {100 * c:4.1f} %: {100 * p:5.1f} % correct after {t:.0f} ms")
    print(f"82 % correct at a coherence of {100 * alpha:.1f} %; slope {beta:.2f}")
    assert (accuracy.diff() > -0.03).all()
    assert abs(accuracy[0] - 0.5) < 4 * 0.5 / trials**0.5
    assert reaction[0] > 1.5 * reaction[-1]

    network = tdn.WongWang()
    undecided = network.stimulus(0.0)[None]
    found = analysis.fixed_points(network, low=0.0, high=1.0, input=undecided)
    plane = analysis.phase_plane(network, x=(0, 0.0, 0.8), y=(1, 0.0, 0.8), input=undecided)
    stable = [kind.startswith("stable") for kind in plane.kinds]
    print(f"attractors at coherence 0: {sum(stable)}, of {len(found.states)} fixed points")

    figure, axes = plt.subplots(1, 4, figsize=(16, 3.7), layout="constrained")
    fine = torch.logspace(-2, -0.2, 100)
    axes[0].semilogx(100 * COHERENCES[1:], 100 * accuracy[1:], "o", color="tab:blue", label=f"{trials} trials each")
    axes[0].semilogx(100 * fine, 100 * weibull(fine, alpha, beta), "k-", linewidth=1, label="Weibull function")
    axes[0].set(xlabel="coherence (%)", ylabel="correct (%)", ylim=(45, 102), title="psychometric curve")
    axes[1].semilogx(100 * COHERENCES[1:], reaction[1:], "o-", color="tab:blue")
    axes[1].set(xlabel="coherence (%)", ylabel="reaction time (ms)", ylim=(0, None), title="reaction times")
    for ax in axes[:2]:
        ax.minorticks_off()
        ax.set_xticks(100 * COHERENCES[1:], [f"{100 * c:.1f}" for c in COHERENCES[1:]])
    for k in range(6):
        axes[2].plot(rates[:, k, 2, 0], color="tab:blue", linewidth=0.7, label="with the dots" if k == 0 else None)
        axes[2].plot(rates[:, k, 2, 1], color="tab:orange", linewidth=0.7, label="against them" if k == 0 else None)
    axes[2].axhline(THRESHOLD, color="black", linestyle=":", linewidth=0.8)
    axes[2].set(xlabel="time (ms)", ylabel="rate (Hz)", title="six trials at 6.4 %", xlim=(0, 1500))
    axes[2].legend(frameon=False, loc="upper left", fontsize="small")
    axes[0].legend(frameon=False, loc="lower right", fontsize="small")
    phase_plane(plane, labels=("S of population 1", "S of population 2"), legend=False, ax=axes[3])
    axes[3].set_title("coherence 0")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "accuracy": accuracy.tolist(),
        "reaction": reaction.tolist(),
        "threshold": alpha,
        "slope": beta,
        "fixed_points": found.states.tolist(),
        "attractors": sum(stable),
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
