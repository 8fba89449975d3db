"""Spoken digits learned by back-propagation through time and forward in time: the same network, data and schedule.

    python benchmarks/spoken_digits.py ../shared/data/spoken_digits
    python benchmarks/spoken_digits.py ../shared/data/spoken_digits --methods eprop --epochs 12 --lr 2e-3 5e-3 1e-2

The data are HDF5 files in the layout of SHD (``spikes/times``, ``spikes/units``, ``labels``), read with h5py:
``spoken_digits_train.h5`` and ``spoken_digits_test.h5``. Of several learning rates the one is taken that is best on a
tenth of the training set, kept for validation, with the first seed; then the network is trained anew on all of it. The
accuracy is that on the test set after the last epoch.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.data import SpokenDigits
from torchdyn_neuro.learning import BPTT, TBPTT, EProp, LearningMethod, LocalLosses, ThreeFactor
from torchdyn_neuro.losses import EveryStep

DT = 10.0  # ms
STEPS = 72
CHANNELS, CLASSES = 64, 10

METHODS = {
    "bptt": BPTT,
    "tbptt": lambda: TBPTT(steps=12),
    "eprop": EProp,
    "eprop_random": lambda: EProp("random"),
    "eprop_adaptive": lambda: EProp("adaptive"),
    "local_losses": LocalLosses,
    "three_factor": lambda: ThreeFactor(tau_pre=40.0, tau_e=40.0),
}


def load(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Spike counts [samples, T, channels] and labels, for training, validation and the test."""
    data = SpokenDigits(root=str(folder), dt=DT, duration=STEPS * DT, length="duration", validation=0.1)
    data.setup()
    return {name: split.batch(torch.arange(len(split.labels)), None)[:2] for name, split in data.splits.items()}


def network(neurons: int, sample: Tensor) -> nn.Module:
    """A recurrent layer of leaky neurons with learned time constants, and a leaky readout."""
    neuron = tdn.LIF(tdn.Learned(torch.linspace(20.0, 80.0, neurons)), surrogate=tdn.Damped(), dt=DT)
    connection = nn.Linear(neurons, neurons, bias=False)
    nn.init.orthogonal_(connection.weight, gain=0.2)
    net = nn.Sequential(
        nn.Linear(CHANNELS, neurons),
        tdn.Recurrent(neuron, connection),
        nn.Linear(neurons, CLASSES),
        tdn.LeakyIntegrator(tau_mem=50.0, dt=DT),
    )
    tdn.calibrate(net, sample, rate=12.0)
    return net


def train(
    method: LearningMethod, train_set: tuple[Tensor, Tensor], *, neurons: int, epochs: int, lr: float, seed: int
) -> nn.Module:
    """A network after training."""
    torch.manual_seed(seed)
    x, labels = train_set
    net = network(neurons, x[:128].transpose(0, 1))
    method.prepare(net)
    parameters = [*net.parameters(), *(weight for weight in method.parameters() if weight.requires_grad)]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    batches = len(x) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * batches)
    loss = EveryStep()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for batch in order[: batches * 64].split(64):
            optimizer.zero_grad()
            method(net, x[batch].transpose(0, 1), labels[batch], loss).loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
    return net


@torch.no_grad()
def accuracy(net: nn.Module, held_out: tuple[Tensor, Tensor]) -> float:
    """Share of the samples whose class has the highest mean potential."""
    x, labels = held_out
    return (net(x.transpose(0, 1)).mean(0).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", default=["bptt", "eprop"], choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--neurons", type=int, default=128)
    parser.add_argument("--lr", nargs="+", type=float, default=[2e-3, 5e-3, 1e-2])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sets = load(options.folder)
    everything = tuple(torch.cat(each) for each in zip(sets["train"], sets["val"], strict=True))
    settings = {"neurons": options.neurons, "epochs": options.epochs}
    for name in options.methods:
        lr, best = options.lr[0], -1.0
        for tried in options.lr if len(options.lr) > 1 else ():
            net = train(METHODS[name](), sets["train"], **settings, lr=tried, seed=options.seeds[0])
            reached = accuracy(net, sets["val"])
            print(f"{name}, lr {tried:g}: validation accuracy {reached:.3f}", flush=True)
            lr, best = (tried, reached) if reached > best else (lr, best)
        for seed in options.seeds:
            start, busy = time.perf_counter(), time.process_time()
            net = train(METHODS[name](), everything, **settings, lr=lr, seed=seed)
            spent = f"{time.perf_counter() - start:.0f} s, {time.process_time() - busy:.0f} s of the processor"
            reached = accuracy(net, sets["test"])
            print(f"{name}, seed {seed}, lr {lr:g}: test accuracy {reached:.3f} ({spent})", flush=True)


if __name__ == "__main__":
    main()
