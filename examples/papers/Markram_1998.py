"""One axon, two kinds of synapses: Markram, Wang & Tsodyks (1998), PNAS 95:5323.

The same train depresses at one target and facilitates at another. A facilitating synapse is tuned: its stationary
response is highest near the rate (U tau_f tau_d)^(-1/2). One :class:`PlasticLinear` holds both synapses.
Run ``python examples/papers/Markram_1998.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Of the size reported for synapses of pyramidal cells onto pyramidal cells and onto interneurons.
U = torch.tensor([[0.5], [0.03]])
TAU_F = torch.tensor([[20.0], [530.0]])
TAU_D = torch.tensor([[800.0], [130.0]])
NAMES = ("depressing", "facilitating")


def connection(dt: float) -> tdn.PlasticLinear:
    """From one axon to two targets."""
    layer = tdn.PlasticLinear(1, 2, tdn.TsodyksMarkram(U, TAU_F, TAU_D, form="m98", dt=dt))
    torch.nn.init.ones_(layer.weight)
    return layer


@torch.no_grad()
def stationary(rate: float, dt: float = 1.0) -> torch.Tensor:
    """Release per spike after a long regular train, one per target."""
    interval = round(1000 / rate / dt)
    spikes = torch.zeros(max(6, round(1200 / interval / dt)) * interval + 1, 1, 1)
    spikes[::interval] = 1
    return connection(dt)(spikes)[-1, 0]


def main(picture: Path) -> None:
    train = torch.zeros(1000, 1, 1)
    train[50:800:50] = 1  # 20 Hz
    train[950] = 1  # and a test of recovery
    with torch.no_grad():
        released = connection(1.0)(train)[:, 0]
        potential = tdn.Chain(tdn.ExponentialSynapse(3.0), tdn.LeakyIntegrator(30.0))(released[:, None])[:, 0]
    first, last, recovered = released[50], released[750], released[950]
    assert last[0] < 0.2 * first[0], "the first target sees depression"
    assert last[1] > 3 * first[1], "the second one facilitation, from the same axon"
    assert last[0] < recovered[0] < first[0], "depression recovers in the pause"

    rates = torch.tensor([2.0, 5, 8, 12, 16, 20, 25, 32, 40, 50, 70, 100])
    response = torch.stack([stationary(rate.item()) for rate in rates])
    best = rates[response[:, 1].argmax()].item()
    predicted = 1000 * (U[1] * TAU_F[1] * TAU_D[1]).rsqrt().item()
    print(f"facilitating synapse responds best at {best:g} Hz; (U tau_f tau_d)^(-1/2) = {predicted:.1f} Hz")
    assert 0.7 < best / predicted < 1.4, "the peak lies where theory puts it"
    assert (response[1:, 0] < response[:-1, 0]).all(), "a depressing synapse has no peak"

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for target, name in enumerate(NAMES):
        axes[target].plot(potential[:, target], color=f"C{target}")
        axes[target].set(xlabel="time (ms)", ylabel="potential (weight = 1)", title=f"{name} target, 20 Hz")
        axes[2].semilogx(rates, response[:, target] / U[target], marker="o", label=name, color=f"C{target}")
    axes[2].axvline(predicted, color="black", linestyle=":", label=r"$(U \tau_f \tau_d)^{-1/2}$")
    axes[2].set(xlabel="rate (Hz)", ylabel="stationary release (first = 1)", title="frequency response")
    axes[2].legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("pictures/Markram_1998.png"))
