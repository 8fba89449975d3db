"""Wilson & Cowan (1972), Biophys. J. 12:1: excitation and inhibition in hysteresis (Fig. 4) and in a rhythm (Fig. 11).

Their equations have a factor for the cells that are refractory, and a response of zero without input. Both are added to
:class:`WilsonCowan` here in a few lines; a relaxation is all that an integrator or an analysis asks for.
Run ``python examples/papers/Wilson_Cowan_1972.py [PICTURE]``.
"""

import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import bifurcation_diagram, phase_plane

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TAU = 10.0  # ms, for both; the paper counts time in units of it
NOTHING = torch.zeros(1, 1), torch.zeros(1, 1)


class Response(nn.Module):
    """The sigmoid of the paper, which is 0 at 0 and ``highest`` at most."""

    def __init__(self, a: float, theta: float):
        super().__init__()
        self.a, self.theta, self.highest = a, theta, 1 / (1 + math.exp(-a * theta))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.a * (x - self.theta)) - (1 - self.highest)


class Refractory(tdn.WilsonCowan):
    """tau dE/dt = -E + (k - E) F(input): only those that did not fire just now can fire."""

    def relaxation(self, x_t: tuple[Tensor, Tensor], state: tdn.WilsonCowanState) -> tuple:
        F, tau = super().relaxation(x_t, state)
        target = tdn.WilsonCowanState(self.F_E.highest * F.E / (1 + F.E), self.F_I.highest * F.I / (1 + F.I))
        return target, tdn.WilsonCowanState(tau.E / (1 + F.E), tau.I / (1 + F.I))


def circuit(c: tuple[float, ...], E: tuple[float, float], I: tuple[float, float]) -> Refractory:  # noqa: E741
    """The circuit of the constants c1 to c4 and of the slope and the threshold of each population."""
    w_EE, w_EI, w_IE, w_II = c
    return Refractory(
        tau_E=TAU, tau_I=TAU, w_EE=w_EE, w_EI=w_EI, w_IE=w_IE, w_II=w_II,
        F_E=Response(*E), F_I=Response(*I),
    )  # fmt: skip


BISTABLE = circuit((12.0, 4.0, 13.0, 11.0), E=(1.2, 2.8), I=(1.0, 4.0))
RHYTHMIC = circuit((16.0, 12.0, 15.0, 3.0), E=(1.3, 4.0), I=(2.0, 3.7))
DRIVE = 1.25  # of the rhythm in Fig. 11


@torch.no_grad()
def ramp(low: float, high: float, steps: int) -> tuple[Tensor, Tensor]:
    """A slow input that goes up and down again, and the excitation that it leads to, [T]."""
    P = torch.cat([torch.linspace(low, high, steps), torch.linspace(high, low, steps)])
    return P, BISTABLE((P[:, None, None], torch.zeros(len(P), 1, 1)))[:, 0, 0]


def main(picture: Path = Path("pictures/Wilson_Cowan_1972.png"), steps: int = 20_000) -> dict[str, Any]:
    hysteresis = analysis.bifurcation_diagram(BISTABLE, "I_E", (-1.0, 1.0), torch.zeros(2), input=NOTHING, cycles=False)
    [(down, up)] = hysteresis.hysteresis
    P, E = ramp(-1.0, 1.0, steps)
    jumps = P[:steps][E[:steps] > 0.25][0].item(), P[steps:][E[steps:] < 0.25][0].item()
    print(
        f"two stable states for inputs from {down:.3f} to {up:.3f}; jumps at {jumps[0]:.3f} and back at {jumps[1]:.3f}"
    )
    assert abs(jumps[0] - up) < 0.05
    assert abs(jumps[1] - down) < 0.05

    cycle = analysis.limit_cycle(RHYTHMIC, torch.zeros(2), input=NOTHING, parameters={"I_E": DRIVE})
    print(f"rhythm at P = {DRIVE}: {cycle.frequency:.2f} Hz, {analysis.band(cycle.frequency)}")
    assert cycle.stable

    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    bifurcation_diagram(hysteresis, labels=("input P", "excitation E"), ax=axes[0])
    axes[0].plot(P[200:], E[200:], color="tab:orange", alpha=0.6, linewidth=3, zorder=0, label="slow ramp")
    axes[0].legend(frameon=False, fontsize="small", loc="upper left")
    axes[0].set_title("hysteresis (Fig. 4)")
    plane = analysis.phase_plane(
        RHYTHMIC, x=("E", -0.02, 0.5), y=("I", -0.02, 0.5), input=(torch.full((1, 1), DRIVE), torch.zeros(1, 1))
    )
    closed = torch.cat([cycle.states, cycle.states[:1]])
    phase_plane(plane, trajectory=tuple(closed.T), labels=("excitation E", "inhibition I"), ax=axes[1])
    axes[1].set_title(f"limit cycle at P = {DRIVE} (Fig. 11)")
    time = torch.linspace(0, 2 * cycle.period.item(), 2 * len(cycle.states) + 1)
    for values, name in zip(torch.cat([cycle.states, closed]).T, ("excitation", "inhibition"), strict=True):
        axes[2].plot(time, values, label=name)
    axes[2].set(
        xlabel="time (ms)",
        ylabel="share of active cells",
        ylim=(0, 0.32),
        title=f"{cycle.frequency:.1f} Hz with tau = 10 ms",
    )
    axes[2].legend(frameon=False, loc="upper center", ncols=2)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"range": (down, up), "jumps": jumps, "frequency": cycle.frequency.item()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
