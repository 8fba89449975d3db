"""Spike trains, and what a rule makes of them at a connection that is taught by hand."""

from typing import NamedTuple

import torch
from torch import nn

import torchdyn_neuro as tdn


class Potential(NamedTuple):
    """The state of neurons as far as a rule reads it."""

    v: torch.Tensor


def random_spikes(*shape, p=0.2, seed=0):
    """Independent spikes, 0 or 1, in float64."""
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < p).double()


def train(times, steps, dt=1.0):
    """One train [T, 1, 1] with spikes at these times, ms."""
    spikes = torch.zeros(steps, 1, 1, dtype=torch.float64)
    spikes[[round(time / dt) for time in times]] = 1
    return spikes


def times_of(spikes, dt=1.0):
    """The times of a train [T], ms."""
    return [dt * n for n in spikes.nonzero().flatten().tolist()]


def teach(layer, pre, post, *, start=0.5, modulator=None, v=None):
    """The weights after every step [T, ...] of a connection that sees these spikes [T, B, *]."""
    layer = layer.double()
    with torch.no_grad():
        layer.connection.weight.copy_(torch.as_tensor(start).expand_as(layer.connection.weight))
        state, seen = layer.initial_state(pre[0]), []
        for t in range(len(pre)):
            reward = None if modulator is None else modulator[t]
            neurons = () if v is None else Potential(v[t])
            state = layer.learn(pre[t], post[t], state, neurons=neurons, modulator=reward)
            seen.append(state.weight)
    return torch.stack(seen)


def learned(rule, pre, post, *, weights="rows", dt=1.0, **given):
    """The weights after every step [T, ...] of a dense connection."""
    connection = nn.Linear(pre.shape[2], post.shape[2], bias=False)
    return teach(tdn.Plastic(connection, rule, weights=weights, dt=dt), pre, post, **given)
