"""Shapes of synaptic currents and of the potentials they cause.

Run ``python examples/papers/psp_shapes.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DT, TAU, TAU_MEM = 0.1, 5.0, 20.0


def main(picture: Path = Path("pictures/psp_shapes.png")) -> dict[str, dict[str, float]]:
    synapses = {
        "exponential": tdn.ExponentialSynapse(TAU, dt=DT),
        "alpha": tdn.AlphaSynapse(TAU, dt=DT),
        "double exponential": tdn.DoubleExponentialSynapse(1.0, TAU, dt=DT),
    }
    spike = torch.zeros(1000, 1, 1)
    spike[0] = 1
    time = torch.arange(1000) * DT
    figure, (currents, potentials) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    figures = {}
    for name, synapse in synapses.items():
        current = synapse(spike)
        potential = tdn.LeakyIntegrator(TAU_MEM, dt=DT)(current)
        figures[name] = {
            "height": current.max().item(),
            "current": time[current.argmax()].item(),
            "potential": time[potential.argmax()].item(),
        }
        at = figures[name]
        print(f"{name}: current peaks at {at['current']:.1f} ms, potential at {at['potential']:.1f} ms")
        currents.plot(time, current.flatten(), label=name)
        potentials.plot(time, potential.flatten(), label=name)
    psp = tdn.record(tdn.SynapticLIF(TAU_MEM, TAU, dt=DT), spike, ["v"])["v"]
    figures["joint"] = {"potential": time[psp.argmax()].item()}
    potentials.plot(time, psp.flatten(), "k:", label="exponential, exact joint solution")
    currents.set(xlabel="time (ms)", ylabel="current (peak = 1)", title="after one spike", xlim=(-1, 60))
    potentials.set(xlabel="time (ms)", ylabel="potential", title=f"in a membrane of {TAU_MEM:g} ms")
    for axis in (currents, potentials):
        axis.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
