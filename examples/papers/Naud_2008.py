"""Naud, Marcille, Clopath & Gerstner (2008), Biol. Cybern. 99:335, Fig. 4: eight firing patterns of one equation.

Six sets of parameters are those of Table 1; those of f and g are adapted, see :data:`NAUD_2008`.
The picture shows the response of each cell to a step of current, and its phase plane.
Run ``python examples/papers/Naud_2008.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import phase_plane, traces

matplotlib.use("Agg")
from matplotlib import pyplot

DT, ONSET, DURATION = 0.1, 20.0, 400.0


def run_all() -> dict[str, dict[str, torch.Tensor]]:
    """The eight cells side by side, as one layer whose neurons differ in their parameters."""
    table = {key: torch.tensor([p[key] for p in tdn.NAUD_2008.values()]) for key in tdn.NAUD_2008["adaptation"]}
    current = torch.zeros(round((ONSET + DURATION) / DT), 1, 8)
    current[round(ONSET / DT) :] = table.pop("current")
    with torch.no_grad():
        fields = tdn.record(tdn.AdEx(dt=DT, **table), current, ["v", "w", "output"])
    return {
        name: {key: value[:, 0, index] for key, value in fields.items()} for index, name in enumerate(tdn.NAUD_2008)
    }


def main(picture: Path = Path("pictures/Naud_2008.png")) -> dict[str, list[float]]:
    responses = run_all()
    figure, rows = pyplot.subplots(
        4, 4, figsize=(13, 10), layout="constrained", gridspec_kw={"width_ratios": [2, 1, 2, 1]}
    )
    for index, (name, fields) in enumerate(responses.items()):
        left, right = rows[index // 2, 2 * (index % 2) : 2 * (index % 2) + 2]
        traces(fields["v"], dt=DT, spikes=fields["output"], v_peak=0.0, ax=left, color="black", linewidth=0.8)
        left.set_title(f"{'abcdefgh'[index]}  {name.replace('_', ' ')}", loc="left")
        left.set_ylim(-75, 5)
        v, w = fields["v"], fields["w"]
        low, high = min(w.min().item(), -60.0), max(w.max().item(), 120.0)
        plane = tdn.analysis.phase_plane(
            tdn.AdEx.preset(name),
            input=torch.full((1, 1), tdn.NAUD_2008[name]["current"]),
            between_spikes=True,
            x=("v", -80.0, -35.0),
            y=("w", low - 40, high + 0.15 * (high - low)),
        )
        phase_plane(
            plane,
            trajectory=(torch.where(fields["output"] > 0, torch.nan, v), w),
            labels=("v (mV)", "w (pA)"),
            ax=right,
        )
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    times = {name: ((fields["output"].nonzero()[:, 0] + 1) * DT).tolist() for name, fields in responses.items()}
    for name, spikes in times.items():
        print(f"{name:26s}{len(spikes):4d} spikes")
    print(f"picture: {picture}")
    return times


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
