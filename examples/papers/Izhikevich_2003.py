"""Izhikevich (2003), IEEE Trans. Neural Netw. 14:1569, Fig. 2: five cortical cell types under a step of current.

Writes ``pictures/Izhikevich_2003.png``, with the ODE and the scheme printed in the paper side by side.
"""

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


def run(name: str, scheme: str) -> tuple[tdn.Izhikevich, dict[str, torch.Tensor]]:
    cell = tdn.Izhikevich.preset(name, scheme=scheme)
    current = torch.zeros(round((ONSET + DURATION) / cell.dt), 1, 1)
    current[round(ONSET / cell.dt) :] = CURRENT
    with torch.no_grad():
        fields = tdn.record(cell, current, ["v", "u", "output"])
    return cell, {key: value[:, 0, 0] for key, value in fields.items()}


def check(intervals: dict[str, torch.Tensor]) -> None:
    """What gives each type its name."""
    regular, fast = intervals["RS"], intervals["FS"]
    assert regular[-1] > 1.3 * regular[0], "RS: intervals grow"
    assert intervals["IB"][0] < 0.5 * intervals["IB"][-1], "IB: a burst at the onset, then single spikes"
    chattering = intervals["CH"]
    assert (chattering < 6).sum() >= 4 <= (chattering > 10).sum() + 1, "CH: bursts again and again"
    assert fast[2:].max() < 1.1 * fast[2:].min(), "FS: no adaptation"
    assert fast[-1] < 0.5 * regular[-1], "FS: a high rate"
    assert intervals["LTS"][-1] > 1.2 * intervals["LTS"][0], "LTS: high rate with adaptation"


def main() -> None:
    intervals = {}
    figure, rows = pyplot.subplots(
        5, 3, figsize=(13, 11), layout="constrained", gridspec_kw={"width_ratios": [2, 2, 1.1]}
    )
    for row, (name, title) in zip(rows, NAMES.items(), strict=True):
        for ax, scheme in zip(row, ("ode", "izhikevich2003"), strict=False):
            cell, fields = run(name, scheme)
            traces(
                fields["v"].clamp(max=30),
                dt=cell.dt,
                spikes=fields["output"],
                v_peak=30.0,
                ax=ax,
                color="black",
                linewidth=0.8,
            )
            ax.set_ylim(-95, 40)
            ax.set_title(f"{name}, {title}" if scheme == "ode" else f"{name}, published 1 ms scheme", loc="left")
            if scheme == "ode":
                intervals[name] = fields["output"].nonzero()[:, 0].diff() * cell.dt
                phase_plane(
                    cell,
                    CURRENT,
                    x=("v", -90.0, 30.0),
                    y=("u", -20.0, 20.0),
                    trajectory=(torch.where(fields["output"] > 0, torch.nan, fields["v"]), fields["u"]),
                    labels=("v (mV)", "u (mV/ms)"),
                    ax=row[2],
                )
        row[1].set_ylabel("")
    check(intervals)
    pictures = Path("pictures")
    pictures.mkdir(exist_ok=True)
    figure.savefig(pictures / "Izhikevich_2003.png", dpi=110)
    print("\n".join(f"{name:4s}{len(values) + 1:4d} spikes" for name, values in intervals.items()))


if __name__ == "__main__":
    main()
