"""Teach an excitatory-inhibitory pair to oscillate at 40 Hz through its eigenvalue, without simulating anything.

The loss asks for a frequency and for a growth rate just above zero; its gradient passes through the eigenvalue and, by
the implicit function theorem, through the fixed point. Only then the pair is run, and its rhythm measured.
Run ``python examples/train_rhythm.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import eigenvalue_plane, traces

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WANTED, GROWTH = 40.0, 0.003  # Hz, per ms
NOTHING = torch.zeros(1, 1), torch.zeros(1, 1)


def untrained() -> tdn.WilsonCowan:
    """A pair that rings down at 34 Hz; four couplings and the time constant of inhibition can be learned."""
    return tdn.WilsonCowan(
        w_EE=tdn.Learned(8.0), w_EI=tdn.Learned(12.0), w_IE=tdn.Learned(10.0), w_II=tdn.Learned(1.0),
        tau_I=tdn.Learned(10.0), I_E=3.0, E_init=0.2, I_init=0.2,
        F_E=tdn.rates.Sigmoid(1.0, theta=2.0), F_I=tdn.rates.Sigmoid(1.0, theta=3.0), integrator=tdn.RK4(), dt=0.5,
    )  # fmt: skip


@torch.no_grad()
def run(pair: tdn.WilsonCowan, steps: int) -> torch.Tensor:
    """The excitation [T] from the initial state."""
    still = torch.zeros(steps, 1, 1)
    return pair((still, still))[:, 0, 0]


def main(picture: Path = Path("pictures/train_rhythm.png"), updates: int = 120) -> dict[str, Any]:
    pair = untrained()
    before = run(pair, 800)
    optimizer = torch.optim.Adam(pair.parameters(), lr=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    rest, path = torch.tensor([0.2, 0.2]), []
    for _ in range(updates):
        rest = analysis.fixed_point(pair, rest.detach(), input=NOTHING)
        values = analysis.eigenvalues(pair, rest, input=NOTHING)
        miss = (analysis.oscillation_frequency(values) / WANTED - 1, (values[0].real - GROWTH) / 0.05)
        optimizer.zero_grad()
        (miss[0] ** 2 + miss[1] ** 2).backward()
        optimizer.step()
        schedule.step()
        path.append(values.detach())

    first, last = (analysis.oscillation_frequency(values).item() for values in (path[0], path[-1]))
    after = run(pair, 6000)
    measured = analysis.power_spectrum(after[2000:], dt=pair.dt).peak.item()
    print(f"eigenvalue: {first:.1f} Hz before, {last:.2f} Hz after; measured when run: {measured:.2f} Hz")
    assert abs(measured / WANTED - 1) < 0.03

    figure, (plane, course) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(2, 3), layout="constrained")
    eigenvalue_plane(torch.stack(path)[::4], ax=plane, color="0.7", s=10)
    eigenvalue_plane(path[0], ax=plane, color="tab:orange", s=50, label="before")
    eigenvalue_plane(path[-1], ax=plane, color="tab:blue", s=50, label="after")
    plane.axhline(WANTED, color="black", linestyle=":", linewidth=0.8)
    plane.set(title="eigenvalues on their way")
    plane.legend(frameon=False, loc="center left")
    for values, name, color in ((before, "before", "tab:orange"), (after[:800], "after", "tab:blue")):
        traces(values, dt=pair.dt, ax=course, label="excitation", color=color)
        course.lines[-1].set_label(name)
    course.set(title=f"run afterwards: {measured:.1f} Hz", xlabel="time (ms)")
    course.legend(frameon=False, loc="upper right", ncols=2)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    weights = {name: getattr(pair, name)().item() for name in ("w_EE", "w_EI", "w_IE", "w_II", "tau_I")}
    return {"before": first, "after": last, "measured": measured, **weights}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
