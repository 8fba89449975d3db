"""Masquelier, Guyonneau & Thorpe (2008), PLoS ONE 3:e1377: one neuron finds a pattern that repeats in noise.

2,000 afferents fire at random, at 64 Hz each. Now and then, for 50 ms, half of them repeat one and the same spikes,
with a jitter of 1 ms and 10 Hz of others between them; neither rates nor labels tell when. A neuron that learns by
spike-timing-dependent plasticity becomes silent but for the pattern. From then on its spikes come earlier and earlier
within it.

As in the paper but for: constant rates; an integrate-and-fire neuron that is set back far below rest by a spike; all
pairs of spikes, with depression outweighing potentiation by little. Each row is a neuron with a pattern of its own.
Some find it within 18 s; the others have become nearly silent without (the paper waits for 450 s, and nearly all do).
Run ``python examples/papers/Masquelier_2008.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

AFFERENTS, LENGTH, SEGMENTS = 2000, 50, 20  # the pattern's length in ms, and how many of it make a second
RATE, NOISE, JITTER = 0.064, 0.01, 1.0  # spikes in a ms, of them besides the pattern; ms
TAU_MEM, TAU_SYN = 10.0, 2.5  # ms
PEAK = 0.1575  # of the response to a spike of weight 1
THRESHOLD = 500 * PEAK


def neuron() -> tdn.Chain:
    """Afferents, plastic weights, and one cell."""
    afferents = nn.Linear(AFFERENTS, 1, bias=False)
    nn.init.constant_(afferents.weight, 0.475)
    rule = tdn.PairSTDP(0.02, 0.517 * 0.02, 16.8, 33.7, w_min=0.0, w_max=1.0)  # the area of depression is 4 % larger
    cell = tdn.SynapticLIF(TAU_MEM, TAU_SYN, v_th=THRESHOLD, reset="value", v_reset=-THRESHOLD)
    return tdn.Chain(tdn.Plastic(afferents, rule), cell)


def second(patterns: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A second of spikes [1000, rows, afferents], and in which of its segments the pattern is, [segments, rows]."""
    rows, _, taking_part = patterns.shape
    spikes = torch.rand(SEGMENTS, LENGTH, rows, AFFERENTS, generator=generator) < RATE
    shown = torch.zeros(SEGMENTS, rows, dtype=torch.bool)
    for segment in range(SEGMENTS):  # a quarter of the time, never twice in a row
        free = ~shown[segment - 1] if segment else torch.ones(rows, dtype=torch.bool)
        shown[segment] = free & (torch.rand(rows, generator=generator) < 1 / 3)
    for segment, row in shown.nonzero().tolist():
        time, afferent = patterns[row].nonzero(as_tuple=True)
        time = (time + JITTER * torch.randn(len(time), generator=generator)).round().long().clamp(0, LENGTH - 1)
        inside = torch.rand(LENGTH, taking_part, generator=generator) < NOISE
        inside[time, afferent] = True
        spikes[segment, :, row, :taking_part] = inside
    return spikes.flatten(0, 1).float(), shown


def judged(spikes: Tensor, shown: Tensor) -> tuple[float, int, list[int]]:
    """Of a second of one neuron: the share of patterns that it answered, its other spikes, and its latencies, ms."""
    segments = spikes.reshape(SEGMENTS, LENGTH)
    inside = segments[shown]
    latencies = [int(answer.argmax()) for answer in inside if answer.any()]
    others = int(segments[~shown].sum())
    return len(latencies) / max(1, len(inside)), others, latencies


def main(
    picture: Path = Path("pictures/Masquelier_2008.png"), seconds: int = 18, rows: int = 16, least: int = 2
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(rows, LENGTH, AFFERENTS // 2, generator=generator) < RATE - NOISE
    model = neuron()
    live = tdn.Streaming(model)
    hits, others, latencies, marks = [], [], [[] for _ in range(rows)], []
    for n in range(seconds):
        x, shown = second(patterns, generator)
        spikes = live(x)[..., 0]
        found = [judged(spikes[:, row], shown[:, row]) for row in range(rows)]
        hits.append([hit for hit, _, _ in found])
        others.append([other for _, other, _ in found])
        for row, (_, _, own) in enumerate(found):
            latencies[row] += [(n, latency) for latency in own]
        if n in (0, seconds - 1):
            marks.append((spikes, shown))
    hit, wrong = torch.tensor(hits), torch.tensor(others)
    # From when on a neuron answers nearly every pattern, and nothing else.
    selective = (hit >= 0.9) & (wrong <= 1)
    knows = selective[-3:].float().mean(0) == 1
    print(f"{int(knows.sum())} of {rows} neurons answer their pattern and nothing else in the last 3 s")
    assert knows.sum() >= least
    early, late = [], []
    for row in knows.nonzero().flatten().tolist():
        first = int(selective[:, row].nonzero()[0])
        own = latencies[row]
        early += [latency for n, latency in own if n == first]
        late += [latency for n, latency in own if n == seconds - 1]
    early, late = (sum(values) / len(values) for values in (early, late))
    print(f"latency: {early:.0f} ms when they find it, {late:.0f} ms at the end")
    assert late < 0.7 * early

    figure, axes = plt.subplots(1, 3, figsize=(14, 3.9), layout="constrained")
    for row in knows.nonzero().flatten().tolist():
        times, values = zip(*latencies[row], strict=True)
        axes[0].plot(times, values, ".", alpha=0.6, color=f"C{row}")
    axes[0].set(xlabel="time (s)", ylabel="latency within the pattern (ms)", title="neurons that find their pattern")
    axes[1].plot(hit[:, knows].mean(1), label="they answer (share of patterns)")
    axes[1].plot(hit[:, ~knows].mean(1), color="C0", linestyle=":", label="the others answer")
    axes[1].plot(wrong.float().mean(1) / (0.75 * 50), color="C1", label="all: other spikes (per 50 Hz)")
    axes[1].set(xlabel="time (s)", ylim=(-0.03, None), title="means")
    axes[1].legend(frameon=False)
    for level, (spikes, shown) in enumerate(marks):
        for row in range(rows):
            place = level * (rows + 1) + row
            for segment in shown[:, row].nonzero().flatten().tolist():
                axes[2].barh(place, LENGTH, left=segment * LENGTH, height=0.9, color="0.85")
            fired = spikes[:, row].nonzero().flatten()
            axes[2].plot(fired, torch.full_like(fired, place), "|", color=f"C{row}", markersize=9)
    axes[2].set(xlabel="time (ms)", yticks=[], title="the first second (below), the last; grey: patterns")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"knows": int(knows.sum()), "latency": (early, late), "hit": hit, "others": wrong, "latencies": latencies}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
