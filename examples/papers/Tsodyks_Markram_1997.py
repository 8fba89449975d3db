"""What a depressing synapse passes on: the limiting frequency of Tsodyks & Markram (1997), PNAS 94:719.

Above it the stationary response of a depressing synapse falls as 1 / frequency, so that the current no longer depends
on the presynaptic rate. This is the paper's central result, drawn from its equations; no single figure of it is copied.
A facilitating synapse, which is of later papers, is beside it for contrast, with round values.
Run ``python examples/papers/Tsodyks_Markram_1997.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DEPRESSING = {"U": 0.55, "tau_f": None, "tau_d": 800.0, "form": "m98"}
FACILITATING = {"U": 0.05, "tau_f": 1000.0, "tau_d": 50.0, "form": "m98"}


def regular_train(rates: list[float], steps: int) -> torch.Tensor:
    """One regular train per rate in Hz, [steps, 1, rates]."""
    spikes = torch.zeros(steps, 1, len(rates))
    for index, rate in enumerate(rates):
        spikes[:: round(1000 / rate), 0, index] = 1
    return spikes


def main(picture: Path = Path("pictures/Tsodyks_Markram_1997.png")) -> dict[str, dict[float, float]]:
    rates = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    spikes = regular_train(rates, 4001)
    stationary = {}
    for name, parameters in (("depressing", DEPRESSING), ("facilitating", FACILITATING)):
        released = tdn.TsodyksMarkram(**parameters)(spikes)
        stationary[name] = torch.stack([released[spikes[:, 0, k] > 0, 0, k][-1] for k in range(len(rates))])
    rate = torch.tensor(rates)

    limiting = 1000 / (DEPRESSING["U"] * DEPRESSING["tau_d"])
    current = stationary["depressing"] * rate
    print(f"limiting frequency 1 / (U tau_d): {limiting:.1f} Hz")
    for hz, value in zip(rates, current, strict=True):
        print(f"depressing synapse at {hz:g} Hz: {value:.2f} released per second")

    train = regular_train([20.0], 500)
    figure, (course, response) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name, parameters in (("depressing", DEPRESSING), ("facilitating", FACILITATING)):
        released = tdn.TsodyksMarkram(**parameters)(train) / parameters["U"]
        current = tdn.DoubleExponentialSynapse(tau_rise=3.0, tau_decay=30.0)(released)
        course.plot(current.flatten(), label=name)
        response.loglog(rate, stationary[name], marker="o", label=name)
    response.loglog(rate, 1000 / DEPRESSING["tau_d"] / rate, "k:", label=r"$1 / (\mathrm{rate}\ \tau_d)$")
    course.set(xlabel="time (ms)", ylabel="current (first release = 1)", title="regular train of 20 Hz")
    response.set(xlabel="rate (Hz)", ylabel="stationary release per spike", title="frequency response", ylim=(5e-3, 1))
    course.legend(frameon=False)
    response.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {name: dict(zip(rates, values.tolist(), strict=True)) for name, values in stationary.items()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
