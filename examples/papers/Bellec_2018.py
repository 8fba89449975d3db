"""Store and recall with the neuron of Bellec et al. (2018): a slow threshold is a memory that leaky neurons lack.

Each 24 ms a random bit is shown. In one of the first two slots a STORE cue says which bit to keep; a quarter of a
second later, over ten times the membrane time constant, a RECALL cue asks for it. Two recurrent networks of the same
size are trained with the same surrogate gradient: one of LIF neurons, one of ALIF neurons. Only the second solves it.

The neuron is that of Bellec, Salaj, Subramoney, Legenstein & Maass (2018), NeurIPS. The task comes with their code; it
is no figure of that paper but Fig. 2 of Salaj et al. (2021), eLife 10:e65459, here with one bit and a shorter delay.

Run ``python examples/papers/Bellec_2018.py [PICTURE]``.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

DT = 4.0  # ms
SLOT = 6  # steps
SLOTS = 12
GROUP = 10  # input neurons per symbol: bit 0, bit 1, STORE, RECALL
NEURONS = 60


def trials(count: int) -> tuple[Tensor, Tensor]:
    """Poisson input [T, B, 40] and the bit to recall [B]."""
    bits = torch.randint(2, (SLOTS, count))
    stored = torch.randint(2, (count,))
    active = torch.zeros(SLOTS, count, 4)
    active.scatter_(2, bits.unsqueeze(2), 1.0)
    active[-1, :, :2] = 0.0
    active[stored, torch.arange(count), 2] = 1.0
    active[-1, :, 3] = 1.0
    rates = active.repeat_interleave(SLOT, 0).repeat_interleave(GROUP, 2)
    return torch.bernoulli(0.4 * rates), bits[stored, torch.arange(count)]


def network(neuron: tdn.Dynamics) -> nn.Module:
    """Input, a recurrent spiking layer, a leaky readout."""
    return nn.Sequential(
        nn.Linear(4 * GROUP, NEURONS),
        tdn.Recurrent(neuron, nn.Linear(NEURONS, NEURONS, bias=False)),
        nn.Linear(NEURONS, 2),
        tdn.LeakyIntegrator(tau_mem=20.0, dt=DT),
    )


def recalled(net: nn.Module, x: Tensor) -> Tensor:
    """The logits [B, 2] during the recall cue."""
    return net(x)[-SLOT:].mean(0)


def train(neuron: tdn.Dynamics, iterations: int = 150) -> tuple[nn.Module, list[float]]:
    """Train a network on fresh trials; returns it and its accuracy at every iteration."""
    torch.manual_seed(0)
    net = network(neuron)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    accuracy = []
    for _ in range(iterations):
        x, bit = trials(128)
        logits = recalled(net, x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, bit).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        accuracy.append((logits.argmax(1) == bit).float().mean().item())
    return net, accuracy


def test_accuracy(net: nn.Module) -> float:
    """On a thousand trials that training never saw."""
    torch.manual_seed(1)
    x, bit = trials(1000)
    with torch.no_grad():
        return (recalled(net, x).argmax(1) == bit).float().mean().item()


def draw(net: nn.Module, curves: dict[str, list[float]], picture: Path) -> None:
    """The learning curves, and spikes and thresholds of the ALIF network in one trial."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    torch.manual_seed(2)
    x, bit = trials(1)
    with torch.no_grad():
        seen = tdn.record(net, x, ["1.neuron.adaptation", "1.output"])
    time = torch.arange(len(x)) * DT
    figure, (learning, raster, threshold) = plt.subplots(3, 1, figsize=(7, 8), layout="constrained")
    for name, accuracy in curves.items():
        learning.plot(accuracy, label=name)
    learning.set(xlabel="iteration", ylabel="accuracy", title="Store and recall, 250 ms")
    learning.legend()
    step, neuron = seen["1.output"][:, 0].nonzero(as_tuple=True)
    raster.plot(time[step], neuron, "|", color="black")
    raster.set(ylabel="ALIF neuron", title=f"spikes in one trial, stored bit {bit.item()}")
    raster.sharex(threshold)
    threshold.plot(time, 1 + seen["1.neuron.adaptation"][:, 0, ::6])
    threshold.set(ylabel="threshold (at rest = 1)", xlabel="time (ms)", title="thresholds of ten of its neurons")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)


def main(picture: Path = Path("pictures/Bellec_2018.png")) -> dict[str, float]:
    lif, lif_curve = train(tdn.LIF(20.0, detach_reset=False, dt=DT))
    alif, alif_curve = train(tdn.ALIF(20.0, 400.0, beta=180.0, detach_reset=False, dt=DT))
    accuracy = {"LIF": test_accuracy(lif), "ALIF": test_accuracy(alif)}
    print(f"test accuracy after 250 ms: LIF {accuracy['LIF']:.3f}, ALIF {accuracy['ALIF']:.3f}")
    draw(alif, {"LIF": lif_curve, "ALIF": alif_curve}, picture)
    print(f"picture: {picture}")
    return accuracy


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
