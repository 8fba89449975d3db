"""Jaeger (2001), GMD Report 152: the memory of a reservoir.

How well can a line through the units of a random network recover its input of k steps ago? The squared correlations of
all k together are at most the number of units, and a linear network reaches that. Units that squash mix their inputs
and remember less. Each part is compared with what White, Lee & Sompolinsky (2004), Phys. Rev. Lett. 92:148102, derive,
:math:`v_k^T (\\sum_j v_j v_j^T)^{-1} v_k` of :math:`v_k = W^k w`.
Run ``python examples/papers/Jaeger_2001.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis

matplotlib.use("Agg")
import matplotlib.pyplot as plt

UNITS, RADIUS, LONGEST, SETTLE = 20, 0.9, 80, 200  # the last two: steps


def reservoir(activation: nn.Module) -> tdn.EchoState:
    """A network of the paper's kind: one step is one value of the input, which the time constant does not blur."""
    return tdn.EchoState(UNITS, tau=1e-3, radius=RADIUS, orthogonal=True, activation=activation).double()


def theory(W: Tensor, w: Tensor) -> Tensor:
    """The memory of a linear network with weights W whose units hear the input with the weights w."""
    powers = [w]
    for _ in range(1000):
        powers.append(W @ powers[-1])
    V = torch.stack(powers, 1)
    return (V * torch.linalg.solve(V @ V.T, V)).sum(0)[: LONGEST + 1]


@torch.no_grad()
def main(picture: Path = Path("pictures/Jaeger_2001.png"), steps: int = 2000) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(steps, 16, generator=generator, dtype=torch.float64)
    heard = torch.randn(UNITS, generator=generator, dtype=torch.float64)
    found = {}
    for name, activation, scale in (
        ("linear", nn.Identity(), 1.0),
        ("tanh, weak input", tdn.rates.Tanh(), 0.1),
        ("tanh, strong input", tdn.rates.Tanh(), 1.0),
    ):
        states = reservoir(activation)(scale * signal[..., None] * heard)
        found[name] = analysis.memory_capacity(signal[SETTLE:], states[SETTLE:], longest=LONGEST)
    expected = theory(reservoir(nn.Identity()).connection.weight, heard)
    for name, values in found.items():
        print(f"{name:20s}remembers {values.sum().item():.2f} of {UNITS} steps")
    chance = LONGEST * UNITS / (16 * (steps - SETTLE - LONGEST))
    assert abs(found["linear"].sum() - UNITS - chance) < 0.01 * UNITS
    assert found["linear"].sum() > found["tanh, weak input"].sum() > found["tanh, strong input"].sum()

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for name, values in found.items():
        left.plot(values, label=name)
        right.plot(values.cumsum(0), label=name)
    left.plot(expected, "k:", label="theory, linear")
    left.set(xlabel="steps ago, k", ylabel="squared correlation", title="memory of each step")
    right.axhline(UNITS, color="black", linestyle=":", linewidth=0.8)
    right.set(xlabel="steps ago, k", ylabel="sum up to k", title=f"{UNITS} units hold {UNITS} steps", ylim=(0, None))
    left.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {name: values.tolist() for name, values in found.items()} | {"theory": expected.tolist()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
