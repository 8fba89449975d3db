"""Models that between them hold every container and kind of state, each with an input that makes it spike."""

import functools

import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state
from torchdyn_neuro.export import export_scan, export_step


def spiking(layer, gain):
    """A layer whose weights are large enough for spikes."""
    with torch.no_grad():
        layer.weight.mul_(gain)
    return layer


def block(channels):
    """A residual block whose activations were replaced."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels)
            self.relu, self.last = nn.ReLU(), nn.ReLU()
            self.head = nn.Linear(16 * channels, 3)

        def forward(self, x):
            y = self.relu(self.norm(4 * self.first(x)))
            return self.head(self.last(2 * y + x).flatten(1))

    model = Block()
    tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=tdn.Learned(2.0))
    return tdn.Stepwise(model)


def uniform(*shape):
    return lambda steps, rows, generator: torch.rand(steps, rows, *shape, generator=generator)


def events(*shape):
    return lambda steps, rows, generator: (torch.rand(steps, rows, *shape, generator=generator) < 0.3).float()


def conductances(steps, rows, generator):
    return 20 * uniform(4)(steps, rows, generator), 5 * uniform(4)(steps, rows, generator)


MODELS = {
    "chain": (
        lambda: tdn.Chain(
            spiking(nn.Linear(3, 4), 8),
            tdn.ExponentialSynapse(3.0),
            tdn.LIF(tau_mem=tdn.Learned(5.0), t_ref=2.0),
            nn.Linear(4, 2),
            readout=tdn.LeakyIntegrator(),
        ),
        uniform(3),
        ["1.s", "2.v", "2.refractory", "readout.v"],
    ),
    "sequential with a convolution": (
        lambda: nn.Sequential(
            tdn.Stepwise(spiking(nn.Conv2d(1, 2, 3), 4)),
            tdn.ALIF(),
            tdn.Stepwise(nn.Flatten()),
            spiking(nn.Linear(8, 3), 6),
            tdn.Chain(tdn.LIF(2.0), nn.Linear(3, 2)),
        ),
        uniform(1, 4, 4),
        ["1.v", "1.adaptation", "4.0.v"],
    ),
    "replaced activations": (lambda: block(2), uniform(1, 4, 4), ["module.relu.dynamics.v", "module.last.dynamics.v"]),
    "network": (
        lambda: tdn.Network(tdn.LIF(5.0, integrator=tdn.RK4()), tdn.GapJunction(4), source="v"),
        lambda *args: 3 * uniform(4)(*args),
        ["neuron.v"],
    ),
    "recurrent with a delay": (
        lambda: tdn.Network(tdn.LIF(3.0), spiking(nn.Linear(4, 4), 2), delay=2.0),
        lambda *args: 2 * uniform(4)(*args),
        ["neuron.v", "output.0", "output.1"],
    ),
    "delays": (
        lambda: tdn.Chain(
            tdn.Delay(torch.tensor([0.0, 1.5, 3.0])), spiking(tdn.DelayedLinear(3, 4, 2.0), 6), tdn.LIF(2.0)
        ),
        events(3),
        ["0.history", "1.history", "2.v"],
    ),
    "short-term plasticity": (
        lambda: tdn.Chain(tdn.TsodyksMarkram(), spiking(nn.Linear(3, 4), 20), tdn.LIF(2.0)),
        events(3),
        ["0.u", "0.R", "2.v"],
    ),
    "rates, several inputs": (
        lambda: tdn.Microcircuit(),
        lambda *args: (20 * uniform(4)(*args), 5 * uniform(4)(*args)),
        ["E", "I", "s", "u", "R"],
    ),
    "conductances": (lambda: tdn.ConductanceLIF(), conductances, ["v"]),
    "noise": (
        lambda: tdn.LIF(5.0, noise=tdn.WhiteNoise(0.5)),
        lambda *args: 1.2 * uniform(4)(*args),
        ["v", "noise.key"],
    ),
    "plastic": (
        lambda: tdn.Chain(
            tdn.Plastic(spiking(nn.Linear(3, 4, bias=False), 6), tdn.PairSTDP(0.01, 0.012), weights="mean"),
            tdn.LIF(2.0),
        ),
        events(3),
        ["0.weight", "0.traces.traces.pre", "0.traces.traces.post", "1.v"],
    ),
    "sparse weights": (
        lambda: tdn.Recurrent(tdn.LIF(3.0), tdn.SparseLinear(4, 4, tdn.wiring.FixedProbability(0.5), 1.0)),
        lambda *args: 2 * uniform(4)(*args),
        ["neuron.v", "output"],
    ),
}
"""For each: what builds the model, what draws its input for (steps, rows, generator), the names of its state."""


@functools.cache
def step_of(name):
    """A model's step, exported once for all tests."""
    model, x = example(name, 1, 1)
    return export_step(model, map_state(lambda leaf: leaf[0], x))


@functools.cache
def scan_of(name):
    """A model's sequence, exported once for all tests."""
    return export_scan(*example(name, 1, 1))


def example(name, steps, rows):
    """A model in evaluation mode and an input."""
    torch.manual_seed(0)
    build, draw, _ = MODELS[name]
    return build().eval(), draw(steps, rows, torch.Generator().manual_seed(1))
