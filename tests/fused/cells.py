"""Every module of the library that fuses, and what is built from them, with inputs that make them spike."""

import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from tests.contract_cases import NEURONS, build, concrete_dynamics, sequence
from torchdyn_neuro.core import State, random
from torchdyn_neuro.core.state import register_state, state_dtype, zeros_state

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from time_loop_cells import AdaptiveSynapticLIF

STEPS = 11
"""Two segments of the backward pass, the second of them short."""


class Example(NamedTuple):
    """A module and a sequence [T, B, \\*] for it."""

    module: nn.Module
    x: State


@register_state
class JitteredState(NamedTuple):
    """v: potential; key: of the random numbers of the next step."""

    v: Tensor
    key: Tensor


class Jittered(tdn.Dynamics):
    """A leaky potential with noise that a user wrote; two streams, both of one key."""

    def __init__(self, tau: float = 5.0, *, sigma: float = 0.5):
        super().__init__()
        self.tau = tdn.Positive(tdn.Learned(tau))
        self.sigma = tdn.NonNegative(tdn.Learned(sigma))

    def initial_state(self, x_t: Tensor) -> JitteredState:
        return JitteredState(zeros_state(x_t), random.start_key(x_t))

    def step(self, x_t: Tensor, state: JitteredState) -> tuple[Tensor, JitteredState]:
        dtype = state_dtype(x_t)
        z, _ = random.normals(state.key, 0, dtype)
        u = random.uniform(state.key, 1, dtype)
        v = torch.exp(-1 / self.tau()) * state.v + x_t.to(dtype) + self.sigma() * z * (1 + 0.1 * torch.tanh(state.v))
        return torch.tanh(v - u).to(x_t.dtype), JitteredState(v, state.key + 1)


class Words(tdn.Dynamics):
    """Puts out the four words of each key, which float64 holds exactly."""

    def initial_state(self, x_t: Tensor) -> JitteredState:
        return JitteredState(torch.zeros_like(x_t), random.start_key(x_t))

    def step(self, x_t: Tensor, state: JitteredState) -> tuple[tuple[Tensor, ...], JitteredState]:
        words = random.random_bits(state.key, 5)
        key = torch.where(x_t > 0, state.key + 1, state.key + (1 << 40))
        return tuple(word.to(torch.float64) for word in words), JitteredState(state.v, key)


def shipped(dtype: torch.dtype) -> dict[str, Example]:
    """An example of each class of the library that fuses into one kernel, as the contract tests build and drive it.

    Not those with products inside, such as ``PlasticLinear`` and ``Plastic``, which sum over synapses.
    """
    synaptic = tdn.PlasticLinear, tdn.Plastic
    return {
        cls.__name__: Example(build(cls).to(dtype), sequence(cls, STEPS, 2, NEURONS, dtype=dtype))
        for cls in concrete_dynamics()
        if cls.pointwise is not False and cls not in synaptic and not _has_product(build(cls))
    }


def _has_product(module: tdn.Dynamics) -> bool:
    """Whether there is a product inside its step, or between its steps but for ``Recurrent`` itself."""
    inside = any(getattr(part, "plain_linear", False) for part in module.modules())
    return inside or (isinstance(module, tdn.Network) and type(module) is not tdn.Recurrent)


def composed(dtype: torch.dtype) -> dict[str, Example]:
    """Chains, parts attached to a cell, and the cells of the benchmark."""
    torch.manual_seed(0)
    tau = tdn.Learned(torch.linspace(3.0, 8.0, NEURONS))
    lif = tdn.LIF(tdn.Learned(20.0), R=20.0)
    noisy = {"adaptation": tdn.SpikeFrequencyAdaptation(), "noise": tdn.OrnsteinUhlenbeckNoise()}
    modules = {
        "STP, synapse, LIF": (tdn.Chain(tdn.TsodyksMarkram(), tdn.ExponentialSynapse(tau), lif), _spikes(dtype)),
        "synapse, ALIF": (tdn.Chain(tdn.DoubleExponentialSynapse(), tdn.ALIF()), _spikes(dtype)),
        "synapse with a second of four states": (AdaptiveSynapticLIF(), _currents(dtype)),
        "LIF with a constant for each neuron": (tdn.LIF(tau, v_th=tdn.Learned(1.0), t_ref=2.0), _currents(dtype)),
        "LIF with adaptation and noise": (tdn.LIF(**noisy), _currents(dtype)),
        "noise that a user wrote": (Jittered(), _currents(dtype) / 20),
        "LIF by Runge-Kutta": (tdn.LIF(integrator=tdn.RK4()), _currents(dtype)),
    }
    return {name: Example(module.to(dtype), x) for name, (module, x) in modules.items()}


def _currents(dtype: torch.dtype) -> Tensor:
    return 20 * torch.rand(STEPS, 2, NEURONS, generator=torch.Generator().manual_seed(0)).to(dtype)


def _spikes(dtype: torch.dtype) -> Tensor:
    return (_currents(dtype) < 8).to(dtype)
