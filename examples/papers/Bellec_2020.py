"""Evidence accumulated by a recurrent spiking network that learns forward in time, as Bellec et al. (2020) train it.

Five cues come in a row, each on the left or on the right; a quarter of a second later the network is asked on which
side there were more. The error is known at the very end only. The same network of neurons with adaptive thresholds is
trained by back-propagation through time, which keeps the whole trial, and by e-prop, which carries a trace for each
synapse and keeps nothing: with the feedback of the readout, and with random feedback. All of them learn the task; the
memory that e-prop needs is the same for 100 steps and for 2,000, that of back-propagation grows.

The task is that of their Fig. 3, shortened (there: seven cues in 1.05 s, a delay of 0.5 to 1.5 s, steps of 1 ms).

Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11:3625.

Run ``python examples/papers/Bellec_2020.py [PICTURE]``.
"""

import resource
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.decoding import LastMembrane
from torchdyn_neuro.learning import BPTT, EProp, LearningMethod
from torchdyn_neuro.losses import MembraneCrossEntropy

DT = 5.0  # ms
CUES = 5
CUE, GAP, DELAY, RECALL = 10, 5, 50, 10  # steps
STEPS = CUES * (CUE + GAP) + DELAY + RECALL
GROUP = 10  # input neurons for each of left, right, recall, and noise
NEURONS = 50
LENGTHS = (100, 500, 1000, 2000)
LOSS = MembraneCrossEntropy(LastMembrane())
METHODS = {
    "BPTT": BPTT,
    "e-prop": lambda: EProp(error="end", block=48),
    "e-prop, random feedback": lambda: EProp("random", error="end", block=48),
}


class DampedTriangle(tdn.Surrogate):
    """0.3 max(0, 1 - |x|), the slope of the paper."""

    def derivative(self, x: Tensor) -> Tensor:
        return 0.3 * torch.clamp(1 - x.abs(), min=0)


def trials(count: int) -> tuple[Tensor, Tensor]:
    """Poisson input [T, B, 40] and the side with more cues [B]."""
    sides = torch.randint(2, (CUES, count))
    rates = torch.zeros(STEPS, count, 4)
    for cue, side in enumerate(sides):
        start = cue * (CUE + GAP)
        rates[start : start + CUE, torch.arange(count), side] = 0.3
    rates[-RECALL:, :, 2] = 0.3
    rates[:, :, 3] = 0.05
    return torch.bernoulli(rates.repeat_interleave(GROUP, 2)), (sides.sum(0) > CUES // 2).long()


def network() -> nn.Module:
    """Input, a recurrent layer of neurons with adaptive thresholds, a leaky readout."""
    neuron = tdn.ALIF(20.0, 500.0, beta=90.0, surrogate=DampedTriangle(), dt=DT)
    connection = nn.Linear(NEURONS, NEURONS, bias=False)
    net = nn.Sequential(
        nn.Linear(4 * GROUP, NEURONS, bias=False),
        tdn.Recurrent(neuron, connection),
        nn.Linear(NEURONS, 2),
        tdn.LeakyIntegrator(tau_mem=20.0, dt=DT),
    )
    with torch.no_grad():
        net[0].weight.normal_(std=2.5 / (4 * GROUP) ** 0.5)
        connection.weight.normal_(std=1.0 / NEURONS**0.5)
    return net


def train(method: LearningMethod, iterations: int) -> tuple[nn.Module, list[float]]:
    """A network trained on fresh trials, and its accuracy at every iteration."""
    torch.manual_seed(0)
    net = network()
    method.prepare(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    accuracy = []
    for _ in range(iterations):
        x, side = trials(64)
        optimizer.zero_grad()
        outcome = method(net, x, side, LOSS)
        outcome.loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        accuracy.append((outcome.decoded.argmax(1) == side).float().mean().item())
    return net, accuracy


def test_accuracy(net: nn.Module) -> float:
    """On a thousand trials that training never saw."""
    torch.manual_seed(1)
    x, side = trials(1000)
    with torch.no_grad():
        return (LOSS.decoder(net(x)).argmax(1) == side).float().mean().item()


def cosine(net: nn.Module) -> float:
    """How alike the changes of the recurrent weights by e-prop and by BPTT are, in a network."""
    torch.manual_seed(2)
    x, side = trials(256)
    found = []
    for name in ("BPTT", "e-prop"):
        net.zero_grad()
        METHODS[name]()(net, x, side, LOSS).loss.backward()
        found.append(net[1].connection.weight.grad.flatten())
    return nn.functional.cosine_similarity(*found, 0).item()


def peak_megabytes(name: str, lengths: tuple[int, ...]) -> dict[int, float]:
    """What one sequence adds to the memory of a process of its own, by its length."""
    command = [sys.executable, "-c", PROBE, str(Path(__file__).parent), name, *map(str, lengths)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(lengths, map(float, run.stdout.split()), strict=True))


PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import Bellec_2020
Bellec_2020.print_peaks(sys.argv[2], *map(int, sys.argv[3:]))
"""


def peak_so_far() -> float:
    """The most memory that this process has had, MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says begins, on Linux, with the peak of the process that has started this one.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # bytes on macOS


def print_peaks(name: str, *lengths: int) -> None:
    """Print the memory that sequences of growing length add to that of this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net, method = network(), METHODS[name]()
    x, side = (torch.rand(max(lengths), 64, 4 * GROUP) < 0.05).float(), torch.arange(64) % 2
    # What is loaded and compiled once does not count.
    method(net, x[:2], side, LOSS).loss.backward()
    before = peak_so_far()
    for steps in lengths:
        method(net, x[:steps], side, LOSS).loss.backward()
        print(peak_so_far() - before)


def draw(net: nn.Module, curves: dict[str, list[float]], peaks: dict[str, dict[int, float]], picture: Path) -> None:
    """Learning curves, memory over the length of the sequence, and a trial of a network that e-prop has trained."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    torch.manual_seed(3)
    x, side = trials(1)
    with torch.no_grad():
        seen = tdn.record(net, x, ["1.neuron.adaptation", "1.output", "3.v"])
    time = torch.arange(len(x)) * DT
    figure, axes = plt.subplot_mosaic(
        [["learning", "memory"], ["input", "input"], ["raster", "raster"], ["readout", "readout"]],
        figsize=(8, 9), height_ratios=[2, 1, 1, 1], layout="constrained",
    )  # fmt: skip
    for name, accuracy in curves.items():
        smooth = torch.tensor(accuracy).unfold(0, 5, 1).mean(1)
        axes["learning"].plot(range(2, len(smooth) + 2), smooth, label=name)
    axes["learning"].set(xlabel="iteration", ylabel="accuracy", title="evidence accumulation")
    axes["learning"].legend()
    for name, by_steps in peaks.items():
        axes["memory"].plot(list(by_steps), list(by_steps.values()), "o-", label=name)
    axes["memory"].set(xlabel="steps T", ylabel="MB", title="memory that a sequence adds")
    if peaks:
        axes["memory"].legend()
    step, neuron = x[:, 0].nonzero(as_tuple=True)
    axes["input"].plot(time[step], neuron, ".", color="black", markersize=2)
    axes["input"].set(ylabel="input", title="a trial: left (below), right, recall, noise (above)")
    step, neuron = seen["1.output"][:, 0].nonzero(as_tuple=True)
    axes["raster"].plot(time[step], neuron, "|", color="black", markersize=3)
    axes["raster"].set(ylabel="ALIF neuron")
    for k, label in enumerate(("left", "right")):
        axes["readout"].plot(time, seen["3.v"][:, 0, k], label=label)
    axes["readout"].set(xlabel="time (ms)", ylabel="readout", title=f"there were more on the {('left', 'right')[side]}")
    axes["readout"].legend()
    for name in ("input", "raster"):
        axes[name].sharex(axes["readout"])
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)


def check(figures: dict[str, dict]) -> None:
    """What the docstring promises of a whole run."""
    accuracy, megabytes = figures["accuracy"], figures["megabytes"]
    assert accuracy["BPTT"] > 0.85
    assert min(accuracy.values()) > accuracy["BPTT"] - 0.08
    assert figures["cosine"]["recurrent weights"] > 0.4
    assert megabytes["e-prop"][2000] < 1.5 * megabytes["e-prop"][100] + 5
    assert megabytes["BPTT"][2000] > 2 * megabytes["e-prop"][2000]


def main(
    picture: Path = Path("pictures/Bellec_2020.png"), *, iterations: int = 120, lengths: tuple[int, ...] = LENGTHS
) -> dict[str, dict]:
    nets, curves = {}, {}
    for name, method in METHODS.items():
        nets[name], curves[name] = train(method(), iterations)
    accuracy = {name: test_accuracy(net) for name, net in nets.items()}
    alike = cosine(nets["e-prop"])
    peaks = {name: peak_megabytes(name, lengths) for name in ("BPTT", "e-prop") if lengths}
    for name, value in accuracy.items():
        print(f"{name}: test accuracy {value:.3f}")
    print(f"cosine of the changes of the recurrent weights, e-prop and BPTT: {alike:.2f}")
    for name, by_steps in peaks.items():
        print(f"{name}: " + ", ".join(f"{value:.0f} MB at T = {steps}" for steps, value in by_steps.items()))
    draw(nets["e-prop"], curves, peaks, picture)
    print(f"picture: {picture}")
    figures = {"accuracy": accuracy, "cosine": {"recurrent weights": alike}, "megabytes": peaks}
    if iterations >= 100 and lengths == LENGTHS:
        check(figures)
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
