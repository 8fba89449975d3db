"""Shapes of synaptic currents and of the potentials they cause.

Run ``python examples/papers/psp_shapes.py [PICTURE]``.
"""

import math
import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DT, TAU, TAU_MEM = 0.1, 5.0, 20.0


def time_to_peak(rise: float, decay: float) -> float:
    """Of a difference of two exponentials, in ms."""
    return rise * decay / (decay - rise) * math.log(decay / rise)


def main(picture: Path) -> None:
    synapses = {
        "exponential": tdn.ExponentialSynapse(TAU, dt=DT),
        "alpha": tdn.AlphaSynapse(TAU, dt=DT),
        "double exponential": tdn.DoubleExponentialSynapse(1.0, TAU, dt=DT),
    }
    spike = torch.zeros(1000, 1, 1)
    spike[0] = 1
    time = torch.arange(1000) * DT
    figure, (currents, potentials) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    peaks = {}
    for name, synapse in synapses.items():
        current = synapse(spike)
        potential = tdn.LeakyIntegrator(TAU_MEM, dt=DT)(current)
        peaks[name] = time[current.argmax()].item()
        print(f"{name}: current peaks at {peaks[name]:.1f} ms, potential at {time[potential.argmax()].item():.1f} ms")
        assert abs(current.max() - 1) < 1e-3, "every shape is normalised to a peak of 1"
        assert potential.argmax() > current.argmax(), "the membrane lags behind the current"
        currents.plot(time, current.flatten(), label=name)
        potentials.plot(time, potential.flatten(), label=name)
    assert peaks["exponential"] == 0
    assert abs(peaks["alpha"] - TAU) < DT
    assert abs(peaks["double exponential"] - time_to_peak(1.0, TAU)) < DT
    psp = tdn.record(tdn.SynapticLIF(TAU_MEM, TAU, dt=DT), spike, ["v"])["v"]
    assert abs(time[psp.argmax()].item() - time_to_peak(TAU, TAU_MEM)) < DT
    potentials.plot(time, psp.flatten(), "k:", label="exponential, exact joint solution")
    currents.set(xlabel="time (ms)", ylabel="current (peak = 1)", title="after one spike", xlim=(-1, 60))
    potentials.set(xlabel="time (ms)", ylabel="potential", title=f"in a membrane of {TAU_MEM:g} ms")
    for axis in (currents, potentials):
        axis.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("pictures/psp_shapes.png"))
