"""Brette & Gerstner (2005), J. Neurophysiol. 94:3637, Fig. 2C and Fig. 3D: one equation, two kinds of cell.

Fig. 2C: the regular-spiking cell of Table 1 under two pulses of current; 500 pA stays below threshold, 800 pA makes it
fire with growing intervals. Fig. 3D: a cell with strong sub-threshold adaptation (E_L -60 mV, a 80 nS, tau_w 720 ms)
under a hyperpolarising pulse of -800 pA; its adaptation current has gone negative when the pulse ends and makes it fire
on the rebound. The paper plots the potential; the adaptation current, which explains both, is added.

The values are those of Table 1 and, for Fig. 3D, of the script ``brette_gerstner_fig_3d.py`` of NEST.
Run ``python examples/papers/Brette_Gerstner_2005.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import traces

matplotlib.use("Agg")
from matplotlib import pyplot

DURATION, V_PEAK = 1000.0, 20.0
PANELS = ("Fig. 2C: regular spiking", "Fig. 3D: post-inhibitory rebound")
PULSES = ([(0.0, 200.0, 500.0), (500.0, 1000.0, 800.0)], [(0.0, 400.0, -800.0)])  # start, end (ms), amplitude (pA)
PARAMETERS = {"E_L": (-70.6, -60.0), "v_reset": (-70.6, -60.0), "a": (4.0, 80.0), "tau_w": (144.0, 720.0)}


def pulses(dt: float) -> torch.Tensor:
    """Current [T, 1, 2], pA, one column per panel."""
    current = torch.zeros(round(DURATION / dt), 1, 2)
    for panel, times in enumerate(PULSES):
        for start, end, amplitude in times:
            current[round(start / dt) : round(end / dt), 0, panel] = amplitude
    return current


@torch.no_grad()
def run(current: torch.Tensor, dt: float) -> dict[str, dict[str, torch.Tensor]]:
    """Both cells side by side, as one layer whose neurons differ in their parameters: what each does, by panel."""
    cells = tdn.AdEx(**{name: torch.tensor(values) for name, values in PARAMETERS.items()}, dt=dt)
    fields = tdn.record(cells, current, ["v", "w", "output"])
    return {name: {key: value[:, 0, k] for key, value in fields.items()} for k, name in enumerate(PANELS)}


def summary(fields: dict[str, torch.Tensor], current: torch.Tensor, dt: float) -> dict[str, Any]:
    """When the cell fires (ms), its potential in the first pulse and at the end (mV), its lowest adaptation (pA)."""
    pulse = fields["v"][: int((current == current[0]).logical_not().nonzero()[0])]
    return {
        "times": ((fields["output"].nonzero()[:, 0] + 1) * dt).tolist(),
        "highest": pulse.max().item(),
        "sag": (pulse[-1] - pulse.min()).item(),
        "lowest_w": fields["w"].min().item(),
        "end": fields["v"][-1].item(),
    }


def draw(columns: list, name: str, fields: dict[str, torch.Tensor], current: torch.Tensor, dt: float) -> None:
    potential, adaptation, input_current = columns
    traces(fields["v"], dt=dt, spikes=fields["output"], v_peak=V_PEAK, ax=potential, color="black", linewidth=0.9)
    potential.set(title=name, ylim=(-90, 25), xlabel="", ylabel="potential (mV)")
    traces(fields["w"], dt=dt, ax=adaptation, label="adaptation w (pA)", color="tab:red")
    traces(current, dt=dt, ax=input_current, label="input (pA)", color="tab:blue")
    adaptation.set_xlabel("")
    input_current.set_ylim(-950, 950)
    for ax in columns:
        ax.spines[["top", "right"]].set_visible(False)


def main(picture: Path = Path("pictures/Brette_Gerstner_2005.png"), dt: float = 0.05) -> dict[str, Any]:
    current = pulses(dt)
    panels = run(current, dt)
    figure, axes = pyplot.subplots(
        3, 2, figsize=(11, 6.5), sharex=True, layout="constrained", gridspec_kw={"height_ratios": [3, 1.4, 1]}
    )
    figures = {}
    for k, (name, fields) in enumerate(panels.items()):
        figures[name] = summary(fields, current[:, 0, k], dt)
        draw(axes[:, k], name, fields, current[:, 0, k], dt)
        print(f"{name}: spikes at {', '.join(f'{t:.1f}' for t in figures[name]['times'])} ms")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
