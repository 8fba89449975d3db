"""Tsodyks, Pawelzik & Markram (1998), Neural Comput. 10:821, Fig. 1 A to C: the response to a train of spikes.

A: a depressing synapse between pyramidal cells at 20 Hz. B, C: a facilitating synapse onto an interneuron at 20 Hz and,
where facilitation gives way to depression, at 70 Hz. Added is the stationary response at other rates: that of the
facilitating synapse is highest near :math:`(U \\tau_f \\tau_d)^{-1/2}`, the depressing one has no such peak.

The values are those of the paper as in the example of the Brian 2 documentation, but for the U = 0.5 of A, which is
replaced there by 0.6 to match the plot. What a spike has released recovers from the start, while in the paper it is
active first, for ``tau_inact``, a hundredth of the time it takes to recover.
Run ``python examples/papers/Tsodyks_1998.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import traces

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DT, ONSET = 0.05, 100.0  # ms
DEPRESSING = {"U": 0.5, "tau_f": None, "tau_d": 800.0}
FACILITATING = {"U": 0.03, "tau_f": 530.0, "tau_d": 130.0}
INTERNEURON = {"synapse": FACILITATING, "tau_inact": 1.5, "A": 1540.0, "tau_mem": 60.0, "R": 1.0}  # ms, pA, ms, GOhm
PANELS = {
    "A  depressing, 20 Hz": {
        "cell": {"synapse": DEPRESSING, "tau_inact": 3.0, "A": 250.0, "tau_mem": 40.0, "R": 0.1},
        "rate": 20.0,
        "stop": 1100.0,
        "end": 1200.0,
    },
    "B  facilitating, 20 Hz": {"cell": INTERNEURON, "rate": 20.0, "stop": 1100.0, "end": 1200.0},
    "C  facilitating, 70 Hz": {"cell": INTERNEURON, "rate": 70.0, "stop": 375.0, "end": 500.0},
}


@torch.no_grad()
def respond(cell: dict, rate: float, stop: float, end: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The potential [T], mV above rest, and what each spike of the train releases."""
    spikes = torch.zeros(round(end / DT), 1, 1)
    times = torch.arange(ONSET, stop, 1000 / rate)
    spikes[(times / DT).round().long()] = 1
    released = tdn.TsodyksMarkram(**cell["synapse"], form="m98", dt=DT)(spikes)
    active = tdn.ExponentialSynapse(cell["tau_inact"], dt=DT)(released)
    potential = tdn.LeakyIntegrator(cell["tau_mem"], R=cell["R"], dt=DT)(cell["A"] * active)
    return potential.flatten(), released[spikes > 0]


@torch.no_grad()
def stationary(synapse: dict, rate: float) -> float:
    """Release per spike after a long regular train."""
    interval = round(1000 / rate)
    spikes = torch.zeros(round(6000 / interval) * interval + 1, 1, 1)
    spikes[::interval] = 1
    return tdn.TsodyksMarkram(**synapse, form="m98")(spikes)[-1].item()


def main(picture: Path = Path("pictures/Tsodyks_1998.png")) -> dict[str, Any]:
    responses = [respond(**panel) for panel in PANELS.values()]
    rates = torch.tensor([2.0, 5, 8, 12, 16, 20, 25, 32, 40, 50, 70, 100])
    tuning = {
        name: torch.tensor([stationary(synapse, rate.item()) for rate in rates]) / synapse["U"]
        for name, synapse in (("depressing", DEPRESSING), ("facilitating", FACILITATING))
    }
    best = rates[tuning["facilitating"].argmax()].item()
    predicted = 1000 * (FACILITATING["U"] * FACILITATING["tau_f"] * FACILITATING["tau_d"]) ** -0.5
    print(f"facilitating synapse responds best at {best:g} Hz; (U tau_f tau_d)^(-1/2) = {predicted:.1f} Hz")

    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    for ax, title, (potential, _), color in zip(axes.flat, PANELS, responses, ("C0", "C1", "C1"), strict=False):
        traces(potential, dt=DT, label="potential above rest (mV)", ax=ax, color=color)
        ax.set(title=title, ylim=(0, None))
    last = axes[1, 1]
    for name, response in tuning.items():
        last.semilogx(rates, response, marker="o", label=name)
    last.axvline(predicted, color="black", linestyle=":", label=r"$(U \tau_f \tau_d)^{-1/2}$")
    last.set(xlabel="rate (Hz)", ylabel="stationary release (first = 1)", title="added: response at other rates")
    last.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "released": [released.tolist() for _, released in responses],
        "highest": [potential.max().item() for potential, _ in responses],
        "tuning": {name: dict(zip(rates.tolist(), values.tolist(), strict=True)) for name, values in tuning.items()},
        "best": best,
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
