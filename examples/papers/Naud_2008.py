"""Naud, Marcille, Clopath & Gerstner (2008), Biol. Cybern. 99:335, Fig. 4: eight firing patterns of one equation.

Six sets of parameters are those of Table 1; those of f and g are adapted, see :data:`NAUD_2008`.
Writes ``pictures/Naud_2008.png``: the response of each cell to a step of current, and its phase plane.
"""

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


def intervals(spikes: torch.Tensor) -> torch.Tensor:
    return spikes.nonzero()[:, 0].diff() * DT


def check(responses: dict[str, dict[str, torch.Tensor]]) -> None:
    """What gives each pattern its name."""
    isi = {name: intervals(response["output"]) for name, response in responses.items()}
    tonic = isi["tonic_spiking"]
    assert tonic.max() < 1.1 * tonic.min(), "tonic: intervals are all alike"
    assert (isi["adaptation"].diff() > -0.2).all(), "adaptation: intervals grow"
    assert isi["adaptation"][-1] > 3 * isi["adaptation"][0]
    burst = isi["initial_burst"]
    assert burst[:2].max() < 10 < 50 < burst[2:].min(), "initial burst: a few short intervals, then long ones"
    for name in ("regular_bursting", "delayed_regular_bursting"):
        assert (isi[name] < 10).sum() >= 2 <= (isi[name] > 40).sum(), f"{name}: short and long intervals alternate"
    accelerating = isi["delayed_accelerating"]
    assert accelerating[-1] < 0.7 * accelerating[0], "delayed accelerating: intervals shrink"
    assert responses["transient_spiking"]["output"].sum() == 1, "transient: one spike"
    irregular = isi["irregular_spiking"][2:]
    assert irregular.std() > 0.2 * irregular.mean(), "irregular: intervals vary without noise"


def main() -> None:
    responses = run_all()
    check(responses)
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
        phase_plane(
            tdn.AdEx.preset(name),
            tdn.NAUD_2008[name]["current"],
            x=("v", -80.0, -35.0),
            y=("w", low - 40, high + 0.15 * (high - low)),
            trajectory=(torch.where(fields["output"] > 0, torch.nan, v), w),
            labels=("v (mV)", "w (pA)"),
            ax=right,
        )
    pictures = Path("pictures")
    pictures.mkdir(exist_ok=True)
    figure.savefig(pictures / "Naud_2008.png", dpi=110)
    print("\n".join(f"{name:26s}{int(fields['output'].sum()):4d} spikes" for name, fields in responses.items()))


if __name__ == "__main__":
    main()
