"""The same networks here, in SpikingJelly and in snnTorch, for the benchmark of whole epochs."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from time_loop_peers import FoldTime, Loop
from torch import Tensor, nn
from torch.nn import functional

import torchdyn_neuro as tdn

DECAY, READOUT_DECAY = 0.5, 0.8
STEPS = 4  # of an image
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
    """One library: its model, what its user does before each sequence, and how long its steps take.

    Args:
        seconds, busy: of each step, by the clock and by the processor.
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    module: nn.Module
    reset: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer: torch.optim.Optimizer | None = None

    def step(self, x: Tensor, labels: Tensor, case: Case) -> None:
        """One whole step of training; its time is noted."""
        start, start_busy = time.perf_counter(), time.process_time()
        self.reset()
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(case.read(self.forward(x)), labels)
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        self.busy.append(time.process_time() - start_busy)

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
