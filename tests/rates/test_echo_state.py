"""The echo state network against its map, and what it remembers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.analysis import memory_capacity


@pytest.mark.parametrize("loop", ["eager", "auto"])
def test_the_step_is_the_map_of_leaky_units(loop):
    """Jaeger et al. (2007), eq. 1, in NumPy."""
    reservoir = tdn.EchoState(12, tau=3.0, radius=1.1, density=0.5, seed=2).double()
    x = torch.randn(30, 2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with tdn.backend(loop):
        found = reservoir(x).numpy()
    W, a, r = reservoir.connection.weight.numpy(), 1 - math.exp(-1 / 3), np.zeros((2, 12))
    for n, frame in enumerate(x.numpy()):
        r = (1 - a) * r + a * np.tanh(r @ W.T + frame)
        assert found[n] == pytest.approx(r, abs=1e-12)


def test_states_forget_where_they_began():
    reservoir = tdn.EchoState(40, tau=1.0, radius=0.7)
    x = torch.rand(80, 1, 40)
    start = reservoir.initial_state(x[0])
    other = start._replace(neuron=start.neuron._replace(r=torch.ones(1, 40)))
    with tdn.backend("eager"):
        apart = (reservoir.scan(x, start)[0] - reservoir.scan(x, other)[0]).abs().amax((1, 2))
    assert apart[0] > 0.1
    assert apart[-1] < 1e-6


@pytest.mark.parametrize("orthogonal", [True, False])
def test_linear_memory_sums_to_the_number_of_units(orthogonal):
    """Jaeger (2001); each part by w (sum_k v_k v_k^T)^-1 w of v_k = W^k w (White, Lee & Sompolinsky 2004, eq. 5)."""
    units, steps, rows, longest = 10, 700, 16, 60
    reservoir = tdn.EchoState(units, tau=1e-3, radius=0.9, orthogonal=orthogonal, activation=nn.Identity()).double()
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(steps, rows, generator=generator, dtype=torch.float64)
    w = torch.randn(units, generator=generator, dtype=torch.float64)
    with torch.no_grad(), tdn.backend("eager"):
        found = memory_capacity(u[200:], reservoir(u[..., None] * w)[200:], longest=longest)
    powers = [w.numpy()]
    for _ in range(500):
        powers.append(reservoir.connection.weight.numpy() @ powers[-1])
    V = np.stack(powers, 1)
    theory = (V * np.linalg.solve(V @ V.T, V)).sum(0)[: longest + 1]
    assert theory.sum() == pytest.approx(units, rel=2e-3)
    chance = units / ((steps - 200 - longest) * rows)
    assert found.numpy() == pytest.approx(theory, abs=0.02)
    assert found.sum().item() == pytest.approx(theory.sum() + longest * chance, rel=0.02)
    # A squashing function trades memory for mixing (Jaeger 2001).
    squashed = tdn.EchoState(units, tau=1e-3, radius=0.9, orthogonal=orthogonal).double()
    with torch.no_grad(), tdn.backend("eager"):
        less = memory_capacity(u[200:], squashed(u[..., None] * w)[200:], longest=longest)
    assert less.sum() < 0.9 * found.sum()


def test_its_parts_have_names():
    reservoir = tdn.EchoState(5, tau=tdn.Learned(4.0), radius=0.5, noise=tdn.WhiteNoise(0.1), dt=0.5)
    assert reservoir.connection.radius == 0.5
    assert reservoir.tau().item() == pytest.approx(4.0)
    assert [name for name, _ in reservoir.named_parameters()] == ["neuron.tau.raw"]
