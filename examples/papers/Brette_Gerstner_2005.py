"""Brette & Gerstner (2005), J. Neurophysiol. 94:3637: one equation, the cell classes that its parameters give.

The regular-spiking values are those the paper fits to a detailed model; the bursting cell has a reset above the
threshold of a slow ramp, the fast-spiking one adapts below threshold only. Each gets a current of 1 nA for 100 ms.
Writes ``pictures/Brette_Gerstner_2005.png``: responses, phase planes and f-I curves.
"""

from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import fi_curve, phase_plane, traces

matplotlib.use("Agg")
from matplotlib import pyplot

DT, ONSET, DURATION, TAIL, CURRENT = 0.1, 20.0, 100.0, 20.0, 1000.0
CELLS = {
    "regular spiking": tdn.AdEx(dt=DT),
    "bursting": tdn.AdEx(dt=DT, tau_w=20.0, a=4.0, b=500.0, v_reset=-50.4 + 5.0),
    "fast spiking": tdn.AdEx(dt=DT, a=2 * 281.0 / 144.0, b=0.0),
}


def run(cell: tdn.AdEx) -> dict[str, torch.Tensor]:
    current = torch.zeros(round((ONSET + DURATION + TAIL) / DT), 1, 1)
    current[round(ONSET / DT) : round((ONSET + DURATION) / DT)] = CURRENT
    with torch.no_grad():
        fields = tdn.record(cell, current, ["v", "w", "output"])
    return {key: value[:, 0, 0] for key, value in fields.items()}


def check(intervals: dict[str, torch.Tensor]) -> None:
    """What gives each class its name."""
    regular, bursting, fast = (intervals[name] for name in CELLS)
    assert regular[-1] > 1.5 * regular[0], "regular spiking: intervals grow"
    assert bursting.max() > 3 * bursting.min(), "bursting: short intervals within, long ones between"
    assert fast[1:].max() < 1.15 * fast[1:].min(), "fast spiking: no adaptation"
    assert fast.mean() < regular.mean(), "fast spiking: the higher rate"


def main() -> None:
    figure, rows = pyplot.subplots(
        3, 3, figsize=(13, 8.5), layout="constrained", gridspec_kw={"width_ratios": [2, 1.2, 1]}
    )
    intervals = {}
    for row, (name, cell) in zip(rows, CELLS.items(), strict=True):
        fields = run(cell)
        intervals[name] = fields["output"].nonzero()[:, 0].diff() * DT
        traces(fields["v"], dt=DT, spikes=fields["output"], v_peak=20.0, ax=row[0], color="black", linewidth=0.8)
        row[0].set_title(f"{name}, I = {CURRENT / 1000:g} nA for {DURATION:g} ms", loc="left")
        high = fields["w"].max().item()
        phase_plane(
            cell,
            CURRENT,
            x=("v", -80.0, -35.0),
            y=("w", -0.1 * high - 50, 1.15 * high + 50),
            trajectory=(torch.where(fields["output"] > 0, torch.nan, fields["v"]), fields["w"]),
            labels=("v (mV)", "w (pA)"),
            ax=row[1],
        )
        fi_curve(
            cell,
            torch.linspace(0, 1500, 31),
            duration=150.0,
            settle=50.0,
            label="input current (pA)",
            ax=row[2],
            color="black",
            marker=".",
        )
    check(intervals)
    pictures = Path("pictures")
    pictures.mkdir(exist_ok=True)
    figure.savefig(pictures / "Brette_Gerstner_2005.png", dpi=110)
    print("\n".join(f"{name:16s}{len(values) + 1:4d} spikes" for name, values in intervals.items()))


if __name__ == "__main__":
    main()
