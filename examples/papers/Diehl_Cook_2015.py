"""Diehl & Cook (2015), Front. Comput. Neurosci. 9:99: handwritten digits, learned without a teacher.

Poisson spikes of the pixels drive integrate-and-fire neurons through plastic weights: spike-timing-dependent learning,
then a fixed sum for each neuron. A neuron that fires inhibits all others, and every spike raises its threshold, so that
all take part. Each becomes the template of one kind of digit. Labels are used once, at the end: a neuron is named
after the digit that drives it most, and a new digit is what the neurons of one name answer to best on average.

As in the paper but for: 8 x 8 pixels; whole batches at once, which share weights and thresholds and teach them the mean
of their changes; inhibition without interneurons; thresholds that also fall, towards a common rate; plasticity that
slows down. Run ``python examples/papers/Diehl_Cook_2015.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.data import Digits

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIDE, BATCH, STEPS = 8, 40, 150  # the last: ms for which a digit is shown
DRIVE = 16.0  # spikes of all pixels in a ms
TOTAL = 6.4  # sum of the weights of a neuron
LEARNING, THRESHOLD, SLOWING = 2e-3, 1e-2, 0.8  # change of a weight, of a threshold; the factor from epoch to epoch


def network(cells: int, generator: torch.Generator) -> tdn.Chain:
    """Pixels, plastic weights, and neurons that inhibit each other."""
    pixels = nn.Linear(SIDE**2, cells, bias=False)
    start = torch.rand(cells, SIDE**2, generator=generator) + 0.03
    pixels.weight.data = TOTAL * start / start.sum(1, keepdim=True)
    rule = tdn.Rules(tdn.PairSTDP(w_min=0.0, w_max=1.0), tdn.WeightNormalization(TOTAL))
    balance = tdn.ThresholdHomeostasis(rate=0.3, tau=None, rows="mean")
    cell = tdn.LIF(50.0, v_th=0.6, reset="value", t_ref=5.0, adaptation=balance)
    return tdn.Chain(
        tdn.Plastic(pixels, rule, weights="mean"), tdn.Network(cell, tdn.LateralInhibition(cells, 100.0), delay=1.0)
    )


def slow_down(model: tdn.Chain, epoch: int) -> None:
    """Set the changes by a spike: those of one row, for the batch takes the mean of them all."""
    factor = BATCH * SLOWING**epoch
    pairs = model[0].rule.rules[0]
    pairs.A_plus, pairs.A_minus = (tdn.NonNegative(share * LEARNING * factor) for share in (1.0, 0.1))
    model[1].neuron.adaptation.step = tdn.NonNegative(THRESHOLD * factor)


def show(live: tdn.Streaming, images: Tensor, generator: torch.Generator) -> Tensor:
    """How often each neuron spikes for each image, [images, cells]; images that fill no batch are left out."""
    counts = []
    for batch in images[: len(images) // BATCH * BATCH].split(BATCH):
        spikes = torch.rand(STEPS, *batch.shape, generator=generator) < batch
        counts.append(live(spikes.float()).sum(0))
        live.reset([True] * BATCH)  # membranes and traces; weights and thresholds, which rows share, stay
    return torch.cat(counts)


def named(counts: Tensor, labels: Tensor) -> Tensor:
    """Which neurons stand for which digit, [cells, 10], as a mean over them."""
    by_digit = torch.stack([counts[labels == digit].mean(0) for digit in range(10)])
    mine = nn.functional.one_hot(by_digit.argmax(0), 10).float() * (by_digit.sum(0) > 0)[:, None]
    return mine / mine.sum(0).clamp(min=1)


def prepared(images: Tensor) -> Tensor:
    """The probability of a spike of each pixel in a ms: all images are equally strong."""
    images = images.flatten(1)
    return DRIVE * images / images.sum(1, keepdim=True)


def main(
    picture: Path = Path("pictures/Diehl_Cook_2015.png"), cells: int = 200, epochs: int = 5, least: float = 0.88
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    data = Digits().load()
    train, test = data["train"], data["test"]
    seen, new = prepared(train.images), prepared(test.images)
    model = network(cells, generator)
    live = tdn.Streaming(model)
    found = []
    for epoch in range(epochs):
        slow_down(model, epoch)
        show(live, seen[torch.randperm(len(seen), generator=generator)], generator)
        with tdn.frozen(model):
            counts, answers = show(live, seen, generator), show(live, new, generator)
        names = named(counts, train.labels[: len(counts)])
        guessed = (answers @ names).argmax(1)
        found.append((guessed == test.labels[: len(answers)]).float().mean().item())
        print(f"epoch {epoch + 1}: {100 * found[-1]:.1f} % of new digits, {answers.sum(1).mean():.0f} spikes for each")
    tdn.commit(live)
    assert found[-1] >= least
    taking_part = (counts.sum(0) > 0).float().mean().item()
    assert taking_part > 0.9

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained", width_ratios=[2, 1, 1])
    weight = model[0].connection.weight.detach()
    order = names.argmax(1).argsort(stable=True)
    columns = 20
    rows = -(-cells // columns)
    mosaic = torch.full((rows * columns, SIDE + 1, SIDE + 1), torch.nan)
    mosaic[:cells, :SIDE, :SIDE] = weight[order].unflatten(1, (SIDE, SIDE))
    mosaic = mosaic.unflatten(0, (rows, columns)).permute(0, 2, 1, 3).flatten(0, 1).flatten(1)
    axes[0].imshow(mosaic.numpy(), cmap="magma")
    axes[0].set(xticks=[], yticks=[], title="weights of all neurons, by the digit they stand for")
    axes[1].plot(range(1, epochs + 1), [100 * share for share in found], "o-")
    axes[1].axhline(100 * least, color="black", linestyle=":", linewidth=0.8)
    axes[1].set(xlabel="epoch", ylabel="correct (%)", title="new digits", xticks=range(1, epochs + 1))
    confusion = torch.zeros(10, 10).index_put_((test.labels[: len(guessed)], guessed), torch.ones(()), accumulate=True)
    axes[2].imshow(confusion.numpy(), cmap="Blues")
    for digit, other in confusion.nonzero().tolist():
        dark = confusion[digit, other] > 0.6 * confusion.max()
        text = f"{confusion[digit, other]:.0f}"
        axes[2].text(other, digit, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes[2].set(xlabel="guess", ylabel="digit", xticks=range(10), yticks=range(10), title="after the last epoch")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"accuracy": found, "taking_part": taking_part, "names": names, "weight": weight}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
