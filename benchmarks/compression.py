"""A spiking ResNet-18 of torchvision made smaller: accuracy on Fashion-MNIST against bits and share of zeros.

    python benchmarks/compression.py ../shared/data
    python benchmarks/compression.py ../shared/data --epochs 3 --steps 4

Its rectifiers become LIF neurons (``tdn.replace``); it is trained for an epoch, then quantized (whole numbers of so
many bits, one scale for each output) or pruned, without any training after that. Nothing is chosen on the test images.
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch
from conversion import accuracy
from torch import Tensor, nn
from torchvision.models import resnet18

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import prune, quantize
from torchdyn_neuro.data import FashionMNIST
from torchdyn_neuro.data.image_data import Split


def network() -> nn.Module:
    """ResNet-18 with neurons instead of rectifiers; frames [T, B, 3, H, W]."""
    model = resnet18(num_classes=10)
    tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0)
    return tdn.Stepwise(model)


def frames(images: Tensor, steps: int) -> Tensor:
    """Grey images as so many equal frames of three colours."""
    return images.expand(steps, -1, 3, -1, -1)


def train(model: nn.Module, data: Split, epochs: int, steps: int) -> None:
    """By AdamW with a one-cycle schedule, in batches of 128."""
    tdn.calibrate(model, frames(data.images[:128], steps), rate=200.0)
    batches = len(data.labels) // 128
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        start = time.perf_counter()
        for number, batch in enumerate(torch.randperm(len(data.labels))[: batches * 128].split(128)):
            optimizer.zero_grad()
            logits = model(frames(data.images[batch], steps)).mean(0)
            loss = nn.functional.cross_entropy(logits, data.labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            if number % 50 == 0:
                print(f"epoch {epoch}, batch {number}: loss {loss.item():.3f}", flush=True)
        print(f"epoch {epoch}: {time.perf_counter() - start:.0f} s", flush=True)
    model.eval()


def megabytes(model: nn.Module) -> float:
    """Of all that is saved of a model."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    data = FashionMNIST(root=options.root, download=False)
    data.setup()
    model, test = network(), data.splits["test"]
    train(model, data.splits["train"], options.epochs, options.steps)

    def shown(model: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda images: model(frames(images, options.steps)).mean(0)

    exact = accuracy(shown(model), test)
    print(f"float32: {exact:.4f}, {megabytes(model):.1f} MB", flush=True)
    for bits in (8, 6, 4):
        small = quantize(copy.deepcopy(model), bits)
        found = accuracy(shown(small), test)
        print(
            f"{bits} bits: {found:.4f}, {100 * (exact - found):+.2f} points lost, {megabytes(small):.1f} MB", flush=True
        )
    for share in (0.3, 0.5, 0.7):
        pruned = copy.deepcopy(model)
        prune(pruned, share)
        found = accuracy(shown(pruned), test)
        print(f"{share:.0%} pruned: {found:.4f}, {100 * (exact - found):+.2f} points lost", flush=True)


if __name__ == "__main__":
    main()
