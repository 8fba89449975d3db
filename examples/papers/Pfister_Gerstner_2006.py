"""Pfister & Gerstner (2006), J. Neurosci. 26:9673: triplets of spikes explain what pairs cannot.

Left: in visual cortex the change by 60 pairs of spikes depends on how often they come (Sjöström, Turrigiano & Nelson
2001): post before pre weakens at 10 Hz and strengthens at 40 Hz. Right: in cultures of hippocampus 60 triplets post,
pre, post, one per second, strengthen far more than triplets pre, post, pre (Wang, Gerkin, Nauen & Bi 2005). The
published fits of the triplet rule follow both; the pair rule does not, even with the amplitudes that fit best.
Run ``python examples/papers/Pfister_Gerstner_2006.py [PICTURE]``.
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

DT = 5.0  # ms: all spikes lie on multiples of it
TAU = {"tau_plus": 16.8, "tau_minus": 33.7}  # ms, of all fits
FREQUENCIES = (0.1, 10, 20, 40, 50)  # Hz
SLICES = {  # change and its standard error by post 10 ms after pre, and before it
    10: ((-0.04, 0.14, 0.29, 0.53, 0.56), (0.05, 0.1, 0.14, 0.11, 0.26)),
    -10: ((-0.29, -0.41, -0.34, 0.56, 0.75), (0.08, 0.11, 0.1, 0.32, 0.19)),
}
CULTURES = {  # times of pre and post, ms; change and standard error
    "pre post pre": {((0, 10), (5,)): (-0.01, 0.04), ((0, 20), (10,)): (0.03, 0.04), ((0, 20), (15,)): (0.01, 0.03),
                     ((0, 20), (5,)): (0.24, 0.06)},
    "post pre post": {((5,), (0, 10)): (0.33, 0.04), ((10,), (0, 20)): (0.34, 0.04), ((5,), (0, 20)): (0.22, 0.08),
                      ((15,), (0, 20)): (0.29, 0.05)},
}  # fmt: skip


def trains(times: list[list[float]], steps: int) -> Tensor:
    """Spikes [T, B, 1], each row with its own times in ms."""
    spikes = torch.zeros(steps, len(times), 1, dtype=torch.float64)
    for row, given in enumerate(times):
        spikes[[round(time / DT) for time in given], row] = 1
    return spikes


def change(rule: tdn.LearningRule, pre: list[list[float]], post: list[list[float]]) -> Tensor:
    """What these trains do to the weight, [B]."""
    synapse = tdn.Plastic(nn.Linear(1, 1, bias=False), rule, dt=DT).double()
    nn.init.zeros_(synapse.connection.weight)
    steps = round(max(map(max, pre + post)) / DT) + 1
    before, after = trains(pre, steps), trains(post, steps)
    state = synapse.initial_state(before[0])
    for x_t, y_t in zip(before, after, strict=True):
        state = synapse.learn(x_t, y_t, state)
    return state.weight[:, 0, 0]


def by_frequency(rule: tdn.LearningRule) -> Tensor:
    """Change by 60 pairs at each frequency, [10]: post 10 ms after pre, then before it."""
    pre, post, counts = [], [], []
    for lag in SLICES:
        for rate in FREQUENCIES:
            # After ten seconds nothing is left of a pair: one stands for all.
            starts = [1000 / rate * n for n in range(1 if rate < 1 else 60)]
            pre.append([start + max(0, -lag) for start in starts])
            post.append([start + max(0, lag) for start in starts])
            counts.append(60 / len(starts))
    return change(rule, pre, post) * torch.tensor(counts, dtype=torch.float64)


def by_triplets(rule: tdn.LearningRule) -> Tensor:
    """Change by 60 triplets of each kind, one per second, [8]."""
    protocols = [times for kind in CULTURES.values() for times in kind]
    pre, post = ([[1000 * n + time for n in range(60) for time in given[k]] for given in protocols] for k in (0, 1))
    return change(rule, pre, post)


def misfit(found: Tensor, data: Tensor) -> float:
    """Mean square of the distance to the data [2, N], in units of the standard errors."""
    return ((found - data[0]) / data[1]).square().mean().item()


def best_pairs(protocol: Any, data: Tensor) -> Tensor:
    """The pair rule with the two amplitudes that fit best: the change is linear in them."""
    alone = [protocol(tdn.PairSTDP(*A, **TAU)) for A in ((1.0, 0.0), (0.0, 1.0))]
    basis = torch.stack(alone, 1)
    amplitudes = torch.linalg.lstsq(basis / data[1][:, None], data[0] / data[1]).solution
    return basis @ amplitudes


@torch.no_grad()
def main(picture: Path = Path("pictures/Pfister_Gerstner_2006.png")) -> dict[str, Any]:
    slices = torch.cat([torch.tensor(values, dtype=torch.float64) for values in SLICES.values()], 1)
    cultures = torch.tensor([d for kind in CULTURES.values() for d in kind.values()], dtype=torch.float64).T
    found: dict[str, dict[str, Tensor]] = {"visual cortex": {}, "hippocampus": {}}
    for name in ("all/full", "all/minimal", "nearest/full", "nearest/minimal"):
        found["visual cortex"][name] = by_frequency(tdn.TripletSTDP.preset(f"visual_cortex/{name}"))
    for name in ("all/full", "nearest/minimal"):
        found["hippocampus"][name] = by_triplets(tdn.TripletSTDP.preset(f"hippocampus/{name}"))
    found["visual cortex"]["pairs"] = best_pairs(by_frequency, slices)
    found["hippocampus"]["pairs"] = best_pairs(by_triplets, cultures)
    data = {"visual cortex": slices, "hippocampus": cultures}
    errors = {tissue: {name: misfit(w, data[tissue]) for name, w in fits.items()} for tissue, fits in found.items()}
    for tissue, fits in errors.items():
        print(f"{tissue:14s}" + ", ".join(f"{name}: {error:.2f}" for name, error in fits.items()))
        assert all(fits["pairs"] > 2 * error for name, error in fits.items() if name != "pairs")
    for name, w in found["visual cortex"].items():
        if name != "pairs":
            assert w[5:8].max() < 0 < w[8:].min()  # post before pre: depression up to 20 Hz, potentiation from 40 Hz
    for name, w in found["hippocampus"].items():
        if name != "pairs":
            assert w[4:].mean() > w[:4].mean() + 0.15

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for k, (lag, color) in enumerate(((10, "tab:red"), (-10, "tab:blue"))):
        rows = slice(5 * k, 5 * k + 5)
        left.errorbar(FREQUENCIES, *slices[:, rows], fmt="o", color=color, label=f"data, post {lag:+d} ms")
        for name, style in (("all/full", "-"), ("nearest/full", "--"), ("pairs", ":")):
            label = f"{name}" if k == 0 else None
            left.plot(FREQUENCIES, found["visual cortex"][name][rows], style, color=color, label=label)
    left.axhline(0, color="0.8", zorder=-1)
    left.set(xlabel="frequency of pairs (Hz)", ylabel="change of the weight", title="visual cortex")
    left.legend(fontsize="small")
    place = torch.arange(8.0).numpy()
    right.bar(place - 0.3, cultures[0].numpy(), 0.2, yerr=cultures[1].numpy(), color="0.6", label="data")
    for k, (name, color) in enumerate((("all/full", "tab:red"), ("nearest/minimal", "tab:blue"), ("pairs", "0.85"))):
        right.bar(
            place - 0.1 + 0.2 * k, found["hippocampus"][name].numpy(), 0.2, color=color, edgecolor="0.3", label=name
        )
    labels = [
        f"{pre}\n{post}".replace("(", "").replace(",)", "").replace(")", "")
        for kind in CULTURES.values()
        for pre, post in kind
    ]
    right.set_xticks(place.tolist(), labels, fontsize="small")
    right.set(xlabel="times of pre (above) and post (ms): pre post pre | post pre post", title="hippocampus")
    right.axhline(0, color="0.8", zorder=-1)
    right.legend(fontsize="small")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "errors": errors,
        "changes": {tissue: {n: w.tolist() for n, w in fits.items()} for tissue, fits in found.items()},
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
