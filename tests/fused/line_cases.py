"""Networks with delays inside a loop."""

import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro import Learned

from .test_products import Rate

N, M = 7, 5
GENERATOR_SEED = 5


def numbers(*shape, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(GENERATOR_SEED), dtype=torch.float64).to(dtype)


def drive(steps=23, batch=5, *frame, dtype=torch.float64):
    return 3 * numbers(steps, batch, *(frame or (N,)), dtype=dtype)


def lif(**options):
    return tdn.LIF(Learned(10.0), **options)


def assert_equal(found, expected):
    for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def learned(*shape):
    """Delays of a whole number of steps, of a fraction, and longer than a sequence of few steps."""
    return Learned(0.4 + 6 * numbers(*shape)) if shape else Learned(2.3)


class TwoLines(tdn.Dynamics):
    """One delay reads two lines to which the same frame is given."""

    pointwise = None

    def __init__(self):
        super().__init__()
        self.delay, self.map = tdn.Delay(learned(N), max_delay=7.0), nn.Linear(N, N)

    def initial_state(self, x_t):
        v = torch.zeros_like(x_t)
        return v, self.delay.initial_state(v), self.delay.initial_state(v)

    def step(self, x_t, state):
        v, first, second = state
        a, first = self.delay.step(v, first)
        b, second = self.delay.step(v, second)
        v = torch.tanh(x_t + self.map(a) - 0.5 * b)
        return v, (v, first, second)


def rate(integrator=None):
    return Rate(Learned(6.0), integrator=integrator or tdn.Euler())


def loop(connection, neuron=None):
    return tdn.Recurrent(neuron or lif(), connection)


def delay(*args, **options):
    return tdn.Delay(*args, max_delay=7.0, **options)


def delayed(*args, inputs=N, **options):
    return tdn.DelayedLinear(inputs, N, *args, max_delay=7.0, **options)


CASES = {
    "whole steps": lambda: loop(tdn.Chain(tdn.Delay(3.0), nn.Linear(N, N))),
    "no step": lambda: loop(tdn.Chain(tdn.Delay(0.0), nn.Linear(N, N))),
    "a fraction": lambda: loop(tdn.Chain(tdn.Delay(2.3), nn.Linear(N, N))),
    "learned": lambda: loop(tdn.Chain(delay(learned()), nn.Linear(N, N))),
    "learned, for each neuron": lambda: loop(tdn.Chain(delay(learned(N)), nn.Linear(N, N))),
    "gaussian": lambda: loop(tdn.Chain(delay(learned(N), kernel="gaussian"), nn.Linear(N, N))),
    "gaussian, one": lambda: loop(tdn.Chain(delay(learned(), kernel="gaussian"), nn.Linear(N, N))),
    "linear": lambda: loop(delayed(3.0, bias=True)),
    "linear, learned": lambda: loop(delayed(learned(), bias=True)),
    "linear, for each input": lambda: loop(delayed(learned(N))),
    "linear, for each synapse": lambda: loop(delayed(learned(N, N), bias=True)),
    "linear, for each synapse, fixed": lambda: loop(delayed(6 * numbers(N, N).round())),
    "linear, for each synapse, gaussian": lambda: loop(delayed(learned(N, N), kernel="gaussian")),
    "linear, gaussian": lambda: loop(delayed(learned(), kernel="gaussian")),
    "behind a synapse": lambda: loop(
        tdn.Chain(tdn.ExponentialSynapse(Learned(5.0)), delay(learned(N)), nn.Linear(N, N))
    ),
    "before a synapse": lambda: loop(tdn.Chain(delay(learned(N)), tdn.AlphaSynapse(Learned(5.0)), nn.Linear(N, N))),
    "no matrix": lambda: loop(delay(learned(N)), rate()),
    "other widths": lambda: loop(tdn.Chain(nn.Linear(N, M), delay(learned(M)), nn.Linear(M, N)), rate()),
    "other widths, for each synapse": lambda: loop(
        tdn.Chain(nn.Linear(N, M), delayed(learned(N, M), inputs=M)), rate()
    ),
    "two, one after the other": lambda: loop(tdn.Chain(delay(learned(N)), nn.Linear(N, N), delay(learned())), rate()),
    "in the neuron": lambda: loop(nn.Linear(N, N), tdn.Chain(tdn.ExponentialSynapse(3.0), delay(learned(N)), lif())),
    "feedback of three steps": lambda: tdn.Network(lif(), tdn.Chain(delay(learned(N)), nn.Linear(N, N)), delay=3.0),
    "rates": lambda: loop(delayed(learned(N, N)), rate(tdn.RK4())),
    "one delay for two lines": TwoLines,
}
