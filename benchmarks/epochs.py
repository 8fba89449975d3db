"""Whole training epochs of the same networks here, in SpikingJelly and in snnTorch, on Fashion-MNIST and spoken digits.

    python benchmarks/epochs.py ../shared/data
    python benchmarks/epochs.py ../shared/data --cases mlp --epochs 3 --seeds 0 1 2

Every library takes each step on the same batch, in turn, so that a slow moment of the machine meets them all:
encoding, forward, loss, backward, and a fused Adam. All start from the same weights, with the same surrogate
(arctangent, slope 2), decay, threshold and reset by subtraction, each as its documentation says: SpikingJelly in
multi-step mode with a repeated frame, snnTorch with its cells in a loop over time, layer by layer. Rows with ``frame
once`` hand the first layers of the peer one frame in place of T equal ones, which its user would have to write. The
table gives medians of whole steps, whole epochs, and the accuracy on the test set after the last one.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py

import torch
from measure import machine
from spoken_digits import load as load_digits
from time_loop_peers import FoldTime, Loop
from torch import Tensor, nn
from torch.nn import functional

import torchdyn_neuro as tdn

DECAY, READOUT_DECAY = 0.5, 0.8
CASES = ["mlp", "conv", "recurrent"]
STEPS = 4  # of an image
HIDDEN, CHANNELS = (512, 256), (16, 32)
UNITS = 128  # of the recurrent layer


@dataclass
class Case:
    """A task: data, batch, and how outputs over time are read.

    Args:
        train, test: samples and labels; sequences come as [N, T, \\*].
        batch: size of a batch.
        read: from outputs [T, B, classes] to logits.
        lr: rate of Adam.
        stem, body: names of the layers in front of the first neurons, and of all others.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    batch: int
    read: Callable[[Tensor], Tensor]
    lr: float
    stem: list[str]
    body: list[str]


@dataclass
class Contestant:
    """One library: its model, what its user does before each sequence, and the seconds of its steps."""

    name: str
    forward: Callable[[Tensor], Tensor]
    module: nn.Module
    reset: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer: torch.optim.Optimizer | None = None

    def step(self, x: Tensor, labels: Tensor, case: Case) -> None:
        """One whole step of training; its time is noted."""
        start = time.perf_counter()
        self.reset()
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(case.read(self.forward(x)), labels)
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)

    @torch.no_grad()
    def accuracy(self, case: Case) -> float:
        """Share of the test samples that are classified rightly."""
        self.module.eval()
        right = 0
        for x, labels in zip(*(part.split(case.batch) for part in case.test), strict=True):
            self.reset()
            right += (case.read(self.forward(x)).argmax(1) == labels).sum().item()
        self.module.train()
        return right / len(case.test[1])


def fashion(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Images within 0 and 1, and labels."""
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(str(root), train=train, download=False)
    return data.data.unsqueeze(1).float() / 255, data.targets


def cases(root: Path, names: list[str]) -> dict[str, Case]:
    """The tasks; a recurrent one reads the largest potential, for its last steps are silence."""
    found = {}
    if {"mlp", "conv"} & set(names):
        images = fashion(root, True), fashion(root, False)
    mlp = ["flatten", f"784>{HIDDEN[0]}"], ["lif", f"{HIDDEN[0]}>{HIDDEN[1]}", "lif", f"{HIDDEN[1]}>10", "readout"]
    conv = (
        [f"conv1>{CHANNELS[0]}", "pool", f"norm{CHANNELS[0]}"],
        [
            *("lif", f"conv{CHANNELS[0]}>{CHANNELS[1]}", "pool", f"norm{CHANNELS[1]}", "lif", "flatten"),
            *(f"{CHANNELS[1] * 49}>128", "lif", "128>10", "readout"),
        ],
    )
    for name, (stem, body) in {"mlp": mlp, "conv": conv}.items():
        if name in names:
            found[name] = Case(*images, 256, lambda y: y.mean(0), 1e-3, stem, body)
    if "recurrent" in names:
        digits = [load_digits(root / f"spoken_digits/spoken_digits_{part}.h5") for part in ("train", "test")]
        layers = [f"64>{UNITS}"], ["recurrent", f"{UNITS}>10", "readout"]
        found["recurrent"] = Case(*digits, 64, lambda y: y.amax(0), 2e-3, *layers)
    return found


def plain_layer(name: str, fold: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A layer of torch; ``fold`` lets one that knows images only run over time."""
    if name == "flatten":
        return nn.Flatten(2)
    if name == "pool":
        return fold(nn.MaxPool2d(2))
    if name.startswith("norm"):
        return fold(nn.BatchNorm2d(int(name[4:])))
    given, made = (int(number) for number in name.removeprefix("conv").split(">"))
    return fold(nn.Conv2d(given, made, 3, padding=1, bias=False)) if "conv" in name else nn.Linear(given, made)


def ours(case: Case) -> Contestant:
    """A Chain; the input is a view of one frame."""

    def lif() -> nn.Module:
        return tdn.LIF(-1 / math.log(DECAY), R=1 / (1 - DECAY))

    special = {
        "flatten": nn.Flatten,
        "lif": lif,
        "recurrent": lambda: tdn.Recurrent(lif(), nn.Linear(UNITS, UNITS)),
        "readout": lambda: tdn.LeakyIntegrator(-1 / math.log(READOUT_DECAY), R=1 / (1 - READOUT_DECAY)),
    }
    names = [*case.stem, *case.body]
    model = tdn.Chain(*(special[n]() if n in special else plain_layer(n, tdn.Stepwise) for n in names))
    return Contestant("torchdyn_neuro", lambda x: model(as_sequence(x)), model)


def spikingjelly(case: Case, once: bool) -> Contestant:
    """Multi-step mode throughout."""
    from spikingjelly.activation_based import functional as sj
    from spikingjelly.activation_based import layer, neuron, surrogate

    def lif(mode: str = "m") -> nn.Module:
        options = {"decay_input": False, "v_reset": None, "surrogate_function": surrogate.ATan(), "step_mode": mode}
        return neuron.LIFNode(tau=1 / (1 - DECAY), **options)

    special = {
        "lif": lif,
        # Its LinearRecurrentContainer has weights for the input too, which would be another network.
        "recurrent": lambda: Feedback(lif("s"), nn.Linear(UNITS, UNITS)),
        "readout": lambda: layer.SynapseFilter(tau=1 / (1 - READOUT_DECAY), learnable=False, step_mode="m"),
    }
    stem, body = (
        nn.Sequential(*(special[n]() if n in special else plain_layer(n, FoldTime) for n in part))
        for part in (case.stem, case.body)
    )
    model = nn.Sequential(stem, body)
    name = "spikingjelly, frame once" if once else "spikingjelly"
    return Contestant(name, lambda x: peer_forward(stem, body, x, once), model, lambda: sj.reset_net(model))


class Feedback(nn.Module):
    """A cell that runs step by step, with what it put out fed back through a layer."""

    def __init__(self, cell: nn.Module, connection: nn.Module):
        super().__init__()
        self.cell, self.connection = cell, connection

    def forward(self, x: Tensor) -> Tensor:
        y, outputs = torch.zeros_like(x[0]), []
        for x_t in x.unbind(0):
            y = self.cell(x_t + self.connection(y))
            outputs.append(y)
        return torch.stack(outputs)


def snntorch(case: Case, once: bool) -> Contestant:
    """Cells in loops."""
    import snntorch as snn

    class Spikes(nn.Module):
        """RLeaky takes its last spikes as well as its potential: hand them back as state."""

        def __init__(self):
            super().__init__()
            self.cell = snn.RLeaky(beta=DECAY, linear_features=UNITS)

        def forward(self, x_t: Tensor, *state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            spikes, potential = self.cell(x_t, *state)
            return spikes, spikes, potential

    class Potential(nn.Module):
        """The potential of a cell without a reset."""

        def __init__(self):
            super().__init__()
            self.cell = snn.Leaky(beta=READOUT_DECAY, reset_mechanism="none")

        def forward(self, x_t: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
            _, potential = self.cell(x_t, *state)
            return potential, potential

    special = {
        "lif": lambda: Loop(snn.Leaky(beta=DECAY, reset_delay=False)),
        "recurrent": lambda: Loop(Spikes()),
        "readout": lambda: Loop(Potential()),
    }
    stem, body = (
        nn.Sequential(*(special[n]() if n in special else plain_layer(n, FoldTime) for n in part))
        for part in (case.stem, case.body)
    )
    model = nn.Sequential(stem, body)
    cells = [module for module in model.modules() if isinstance(module, snn.RLeaky | snn.Leaky)]

    def reset() -> None:
        for cell in cells:
            cell.reset_mem()

    name = "snntorch, frame once" if once else "snntorch"
    return Contestant(name, lambda x: peer_forward(stem, body, x, once), model, reset)


def as_sequence(x: Tensor) -> Tensor:
    """[T, B, \\*]: images over T steps, without a copy; sequences with time first."""
    return x.expand(STEPS, *x.shape) if x.ndim == 4 else x.transpose(0, 1)


def peer_forward(stem: nn.Module, body: nn.Module, x: Tensor, once: bool) -> Tensor:
    """A sequence; an image repeated, or one that passes the stem before it is repeated."""
    if x.ndim != 4:
        return body(stem(x.transpose(0, 1)))
    if once:
        frame = stem(x.unsqueeze(0))
        return body(frame.repeat(STEPS, *[1] * (frame.ndim - 1)))
    return body(stem(x.unsqueeze(0).repeat(STEPS, 1, 1, 1, 1)))


def contestants(case: Case, libraries: list[str], seed: int) -> list[Contestant]:
    """All of them with the same weights."""
    torch.manual_seed(seed)
    images = case.train[0].ndim == 4
    found = [ours(case)]
    for library, make in (("spikingjelly", spikingjelly), ("snntorch", snntorch)):
        if library in libraries:
            found += [make(case, once) for once in ([False, True] if images else [False])]
    first = found[0]
    for part in first.module.modules():
        if isinstance(part, tdn.Recurrent):
            nn.init.orthogonal_(part.connection.weight, gain=0.2)
    for contestant in found:
        own = [each for each in contestant.module.parameters() if each.ndim]
        given = [each for each in first.module.parameters() if each.ndim]
        # The recurrent layer alone stands in another order: by shape.
        assert sorted(map(_shape, own)) == sorted(map(_shape, given)), contestant.name
        with torch.no_grad():
            for shape in set(map(_shape, given)):
                pairs = [[each for each in side if _shape(each) == shape] for side in (own, given)]
                for target, source in zip(*pairs, strict=True):
                    target.copy_(source)
        contestant.optimizer = torch.optim.Adam(own, lr=case.lr, fused=True)
    return found


def _shape(parameter: nn.Parameter) -> tuple[int, ...]:
    return tuple(parameter.shape)


def compete(name: str, case: Case, options: argparse.Namespace) -> None:
    """Train all contestants in turns and print their rows."""
    rows: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    for seed in options.seeds:
        found = contestants(case, options.libraries, seed)
        batches = len(case.train[1]) // case.batch
        for _ in range(options.epochs):
            order = torch.randperm(len(case.train[1]))[: batches * case.batch]
            for rows_of_batch in order.split(case.batch)[: options.batches]:
                x, labels = (part[rows_of_batch] for part in case.train)
                for contestant in found:
                    contestant.step(x, labels, case)
        for contestant in found:
            rows.setdefault(contestant.name, []).append(contestant.accuracy(case))
            # The first steps compile and fill caches.
            steps.setdefault(contestant.name, []).extend(contestant.seconds[3:])
    own = statistics.median(steps["torchdyn_neuro"])
    print(f"\n{name}: {batches} steps of {case.batch} an epoch, {options.epochs} epochs, seeds {options.seeds}\n")
    print("| library | step, median (ms) | least (ms) | epoch (s) | times ours | test accuracy |")
    print("|---|---|---|---|---|---|")
    for library, seconds in steps.items():
        middle, accuracies = statistics.median(seconds), rows[library]
        spread = f" ± {statistics.stdev(accuracies):.3f}" if len(accuracies) > 1 else ""
        print(
            f"| {library} | {middle * 1e3:.1f} | {min(seconds) * 1e3:.1f} | {middle * batches:.2f} | "
            f"{middle / own:.2f} | {statistics.mean(accuracies):.3f}{spread} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds FashionMNIST and spoken_digits")
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--libraries", nargs="*", default=["spikingjelly", "snntorch"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batches", type=int, help="of an epoch; all if omitted")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for key, value in machine(torch.device("cpu"), ("torchdyn_neuro", *options.libraries)).items():
        print(f"{key}: {value}")
    for name, case in cases(options.folder, options.cases).items():
        compete(name, case, options)


if __name__ == "__main__":
    main()
