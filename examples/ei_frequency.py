"""The rhythm of an excitatory and an inhibitory population: predicted by an eigenvalue, and as it is.

Run ``python examples/ei_frequency.py [PICTURE]``. The eigenvalues of the fixed point say at which input the pair begins
to oscillate, and how fast the small oscillations are. Far from that point they do not: the cycle is large, feels the
saturation of both populations, and slows down without end where it meets a fold.
"""

import sys
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

import torchdyn_neuro as tdn
from torchdyn_neuro import plotting

matplotlib.use("Agg")
from matplotlib import pyplot

W_EE, W_EI, W_IE, W_II, I_I, TAU = 16.0, 12.0, 15.0, 3.0, -4.0, 10.0
RANGE = (-4.0, 2.5)


def pair(rates: Tensor, current: Tensor) -> Tensor:
    """Rates of change per ms (Wilson & Cowan 1972, without their refractory factor)."""
    e, i = rates.unbind(-1)
    return torch.stack(
        [
            (-e + torch.sigmoid(W_EE * e - W_EI * i + current)) / TAU,
            (-i + torch.sigmoid(W_IE * e - W_II * i + I_I)) / TAU,
        ],
        -1,
    )


def frequencies(current: float, start: Tensor) -> tuple[float, float]:
    """That of the eigenvalue and that of the cycle, Hz."""
    at = {"parameters": (current,)}
    rest = tdn.analysis.fixed_point(pair, start, **at)
    predicted = tdn.analysis.oscillation_frequency(tdn.analysis.eigenvalues(pair, rest, **at))
    measured = tdn.analysis.limit_cycle(pair, rest + 0.02, settle=400.0, **at).frequency
    return predicted.item(), measured.item()


def main(picture: Path = Path("pictures/ei_frequency.png")) -> dict[str, float]:
    start = torch.zeros(2)
    diagram = tdn.analysis.bifurcation_diagram(pair, "current", RANGE, start, parameters=(0.0,))
    hopf = diagram.hopf_points[0]
    onset = hopf.parameter.item()
    name = tdn.analysis.band(hopf.frequency)
    print(f"oscillates from an input of {onset:.4f} on, at {hopf.frequency:.2f} Hz ({name})")

    near, far = onset + 0.01, -0.45
    figures = {"onset": onset}
    for place, current in (("near", near), ("far", far)):
        predicted, measured = frequencies(current, hopf.state)
        figures[place] = predicted / measured
        off = 100 * (predicted / measured - 1)
        print(f"input {current:.3f}: eigenvalue {predicted:.2f} Hz, cycle {measured:.2f} Hz, {off:.1f} % apart")
    print("the eigenvalue gives the frequency near the Hopf point only")
    draw(picture, diagram, far)
    print(f"picture: {picture}")
    return figures


def draw(picture: Path, diagram: tdn.analysis.BifurcationDiagram, current: float) -> None:
    """The bifurcation diagram, both frequencies along the input, and the phase plane far from the Hopf point."""
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    labels = ("input to E", "rate of E")
    plotting.bifurcation_diagram(diagram, labels=labels, ax=left)
    (cycles,), (branch,) = diagram.cycles, diagram.branches
    middle.plot(cycles.parameter, 1000 / cycles.period, color="tab:blue", label="limit cycle")
    lower = branch.states[:, 0] < 0.4  # before it turns back
    where = lower & (branch.parameter > cycles.parameter.min()) & (branch.parameter < cycles.parameter.max())
    predicted = tdn.analysis.oscillation_frequency(branch.eigenvalues[where])
    hopf = diagram.hopf_points[0]
    across, up = (
        torch.cat([hopf.parameter[None], branch.parameter[where]]),
        torch.cat([hopf.frequency[None], predicted]),
    )
    middle.plot(across, up, "--", color="black", label="eigenvalue")
    middle.set(xlabel=labels[0], ylabel="frequency (Hz)", ylim=(0, None))
    middle.legend(frameon=False)
    plane = tdn.analysis.phase_plane(
        pair,
        x=(0, -0.02, 1.0),
        y=(1, -0.02, 1.0),
        starts=torch.tensor([[0.05, 0.6]]),
        times=torch.arange(0.0, 400.0, 0.5),
        parameters=(current,),
    )
    plotting.phase_plane(plane, labels=("rate of E", "rate of I"), ax=right)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
