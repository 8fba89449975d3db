"""Izhikevich (2003), IEEE Trans. Neural Netw. 14:1569, Fig. 2: five cortical cell types under a step of current.

The picture shows the ODE and the scheme printed in the paper side by side.
Run ``python examples/papers/Izhikevich_2003.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import phase_plane, traces

matplotlib.use("Agg")
from matplotlib import pyplot

ONSET, DURATION, CURRENT = 30.0, 320.0, 10.0
NAMES = {
    "RS": "regular spiking",
    "IB": "intrinsically bursting",
    "CH": "chattering",
    "FS": "fast spiking",
    "LTS": "low-threshold spiking",
}


@torch.no_grad()
def run(scheme: str) -> tuple[float, dict[str, dict[str, torch.Tensor]]]:
    """The five cells side by side, as one layer: its time step, and what each cell does."""
    table = torch.tensor([[tdn.IZHIKEVICH_2003[name][key] for name in NAMES] for key in "abcd"], dtype=torch.float64)
    # In double precision: the published scheme steps so far beyond the peak that rounding grows from spike to spike.
    cells = tdn.Izhikevich(**dict(zip("abcd", table, strict=True)), scheme=scheme).double()
    current = torch.zeros(round((ONSET + DURATION) / cells.dt), 1, len(NAMES), dtype=torch.float64)
    current[round(ONSET / cells.dt) :] = CURRENT
    fields = tdn.record(cells, current, ["v", "u", "output"])
    return cells.dt, {name: {key: value[:, 0, k] for key, value in fields.items()} for k, name in enumerate(NAMES)}


def main(picture: Path = Path("pictures/Izhikevich_2003.png")) -> dict[str, dict[str, list[float]]]:
    figure, rows = pyplot.subplots(
        5, 3, figsize=(13, 11), layout="constrained", gridspec_kw={"width_ratios": [2, 2, 1.1]}
    )
    times = {}
    for column, scheme in enumerate(("ode", "izhikevich2003")):
        dt, cells = run(scheme)
        times[scheme] = {name: ((fields["output"].nonzero()[:, 0] + 1) * dt).tolist() for name, fields in cells.items()}
        for row, (name, fields) in zip(rows, cells.items(), strict=True):
            ax, v = row[column], fields["v"].clamp(max=30)
            traces(v, dt=dt, spikes=fields["output"], v_peak=30.0, ax=ax, color="black", linewidth=0.8)
            ax.set_ylim(-95, 40)
            ax.set_title(f"{name}, {NAMES[name] if scheme == 'ode' else 'published 1 ms scheme'}", loc="left")
            if scheme == "ode":
                plane = tdn.analysis.phase_plane(
                    tdn.Izhikevich.preset(name),
                    input=torch.full((1, 1), CURRENT),
                    between_spikes=True,
                    x=("v", -90.0, 30.0),
                    y=("u", -20.0, 20.0),
                )
                phase_plane(
                    plane,
                    trajectory=(torch.where(fields["output"] > 0, torch.nan, fields["v"]), fields["u"]),
                    labels=("v (mV)", "u (mV/ms)"),
                    ax=row[2],
                )
    for row in rows:
        row[1].set_ylabel("")
    for name, title in NAMES.items():
        print(f"{name:4s}{len(times['ode'][name]):3d} spikes ({title})")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return times


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
