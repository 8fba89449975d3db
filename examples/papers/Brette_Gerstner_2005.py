"""Brette & Gerstner (2005), J. Neurophysiol. 94:3637, Fig. 2C and Fig. 3D: one equation, two kinds of cell.

Fig. 2C: the regular-spiking cell of Table 1 under two pulses of current; 500 pA stays below threshold, 800 pA makes it
fire with growing intervals. Fig. 3D: a cell with strong sub-threshold adaptation (E_L -60 mV, a 80 nS, tau_w 720 ms)
under a hyperpolarising pulse of -800 pA; its adaptation current has gone negative when the pulse ends and makes it fire
on the rebound. The paper plots the potential; the adaptation current, which explains both, is added.

The values are those of Table 1 and, for Fig. 3D, of the script ``brette_gerstner_fig_3d.py`` of NEST.
Writes ``pictures/Brette_Gerstner_2005.png``.
"""

from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import traces

matplotlib.use("Agg")
from matplotlib import pyplot

DT, DURATION, V_PEAK = 0.05, 1000.0, 20.0
PANELS = {
    "Fig. 2C: regular spiking": (tdn.AdEx(dt=DT), [(0.0, 200.0, 500.0), (500.0, 1000.0, 800.0)]),
    "Fig. 3D: post-inhibitory rebound": (
        tdn.AdEx(E_L=-60.0, v_reset=-60.0, a=80.0, tau_w=720.0, dt=DT),
        [(0.0, 400.0, -800.0)],
    ),
}


def pulses(times: list[tuple[float, float, float]]) -> torch.Tensor:
    """Current [T, 1, 1], pA, from (start, end, amplitude) of each pulse."""
    current = torch.zeros(round(DURATION / DT), 1, 1)
    for start, end, amplitude in times:
        current[round(start / DT) : round(end / DT)] = amplitude
    return current


def run(cell: tdn.AdEx, current: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        fields = tdn.record(cell, current, ["v", "w", "output"])
    return {key: value[:, 0, 0] for key, value in fields.items()}


def spike_times(fields: dict[str, torch.Tensor]) -> torch.Tensor:
    return (fields["output"].nonzero()[:, 0] + 1) * DT


def check_regular_spiking(fields: dict[str, torch.Tensor]) -> None:
    times, first_pulse = spike_times(fields), fields["v"][: round(200 / DT)]
    assert times.min() > 500, "the first pulse is below threshold"
    assert -60 < first_pulse.max() < -50.4, "but depolarises to near V_T"
    assert len(times) >= 5, "the second pulse makes the cell fire"
    intervals = times.diff()
    assert (intervals.diff() > -2 * DT).all(), "intervals grow"
    assert intervals[-1] > 2 * intervals[0], "adaptation"
    assert intervals[-1] < 1.02 * intervals[-2], "to a steady rate"


def check_rebound(fields: dict[str, torch.Tensor]) -> None:
    times, pulse = spike_times(fields), fields["v"][: round(400 / DT)]
    assert pulse.max() <= -59.9, "the pulse only hyperpolarises"
    assert pulse[-1] - pulse.min() > 10, "the potential sags back under it"
    assert fields["w"].min() < -400, "while the adaptation current goes negative"
    assert len(times) >= 1, "the cell fires after the pulse"
    assert 400 < times[0] < 450, "soon after it"
    assert times[-1] < 600, "and falls silent again"
    assert abs(fields["v"][-1] + 60) < 1, "at rest"


def draw(columns: list, name: str, fields: dict[str, torch.Tensor], current: torch.Tensor) -> None:
    potential, adaptation, input_current = columns
    traces(fields["v"], dt=DT, spikes=fields["output"], v_peak=V_PEAK, ax=potential, color="black", linewidth=0.9)
    potential.set(title=name, ylim=(-90, 25), xlabel="", ylabel="potential (mV)")
    traces(fields["w"], dt=DT, ax=adaptation, label="adaptation w (pA)", color="tab:red")
    traces(current.flatten(), dt=DT, ax=input_current, label="input (pA)", color="tab:blue")
    adaptation.set_xlabel("")
    input_current.set_ylim(-950, 950)
    for ax in columns:
        ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    figure, axes = pyplot.subplots(
        3, 2, figsize=(11, 6.5), sharex=True, layout="constrained", gridspec_kw={"height_ratios": [3, 1.4, 1]}
    )
    for columns, check, (name, (cell, times)) in zip(
        axes.T, (check_regular_spiking, check_rebound), PANELS.items(), strict=True
    ):
        current = pulses(times)
        fields = run(cell, current)
        check(fields)
        draw(columns, name, fields, current)
        print(f"{name}: spikes at {', '.join(f'{t:.1f}' for t in spike_times(fields).tolist())} ms")
    pictures = Path("pictures")
    pictures.mkdir(exist_ok=True)
    figure.savefig(pictures / "Brette_Gerstner_2005.png", dpi=110)


if __name__ == "__main__":
    main()
