"""Whole training epochs of the same networks here, in SpikingJelly and in snnTorch, on Fashion-MNIST and spoken digits.

    python benchmarks/epochs.py ../shared/data
    python benchmarks/epochs.py ../shared/data --cases mlp --epochs 3 --seeds 0 1 2

Every library takes each step on the same batch, in turn, so that a slow moment of the machine meets them all:
encoding, forward, loss, backward, and a fused Adam. All start from the same weights, with the same surrogate
(arctangent, slope 2), decay, threshold and reset by subtraction, each as its documentation says: SpikingJelly in
multi-step mode with a repeated frame, snnTorch with its cells in a loop over time, layer by layer. Rows with ``frame
once`` hand the first layers of the peer one frame in place of T equal ones, which its user would have to write. The
table gives medians of whole steps, by the clock and by the processor (all threads together, which other programs on the
machine change less), and the accuracy on the test set after the last epoch.
"""

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py

import torch
from epoch_models import UNITS, Case, Contestant, ours, snntorch, spikingjelly
from measure import machine
from spoken_digits import load as load_digits
from torch import Tensor, nn

import torchdyn_neuro as tdn

CASES = ["mlp", "conv", "recurrent"]
HIDDEN, CHANNELS = (512, 256), (16, 32)


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
        digits = load_digits(root)
        sets = digits["train"], digits["test"]
        layers = [f"64>{UNITS}"], ["recurrent", f"{UNITS}>10", "readout"]
        found["recurrent"] = Case(*sets, 64, lambda y: y.amax(0), 2e-3, *layers)
    return found


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
    busy: dict[str, list[float]] = {}
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
            busy.setdefault(contestant.name, []).extend(contestant.busy[3:])
    own, own_busy = (statistics.median(each["torchdyn_neuro"]) for each in (steps, busy))
    print(f"\n{name}: {batches} steps of {case.batch} an epoch, {options.epochs} epochs, seeds {options.seeds}\n")
    print("| library | step (ms) | times ours | processor (ms) | times ours | epoch (s) | test accuracy |")
    print("|---|---|---|---|---|---|---|")
    for library, seconds in steps.items():
        middle, middle_busy, accuracies = statistics.median(seconds), statistics.median(busy[library]), rows[library]
        spread = f" ± {statistics.stdev(accuracies):.3f}" if len(accuracies) > 1 else ""
        print(
            f"| {library} | {middle * 1e3:.1f} | {middle / own:.2f} | {middle_busy * 1e3:.1f} | "
            f"{middle_busy / own_busy:.2f} | {middle * batches:.2f} | {statistics.mean(accuracies):.3f}{spread} |",
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
