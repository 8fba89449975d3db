"""A cell that a user might write, and the steps of the cells of the benchmark as bare functions of tensors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

import torchdyn_neuro as tdn
from torchdyn_neuro.core import Positive, zeros_state

TAU_SYN, TAU_MEM, TAU_ADAPT, TAU_TH = 5.0, 20.0, 100.0, 50.0
A_JUMP, TH_JUMP = 0.1, 0.2
U, TAU_F, TAU_D = 0.3, 50.0, 200.0


class AdaptiveState(NamedTuple):
    """s: synapse; v: membrane; a: adaptation current; h: rise of the threshold; all [B, *]."""

    s: Tensor
    v: Tensor
    a: Tensor
    h: Tensor


class AdaptiveSynapticLIF(tdn.Dynamics):
    """LIF behind an exponential synapse, with an adaptation current and an adaptive threshold: four states."""

    def __init__(self):
        super().__init__()
        self.tau_syn, self.tau_mem = Positive(TAU_SYN), Positive(TAU_MEM)
        self.tau_adapt, self.tau_th = Positive(TAU_ADAPT), Positive(TAU_TH)
        self.surrogate = tdn.ATan()

    def initial_state(self, x_t: Tensor) -> AdaptiveState:
        return AdaptiveState(*(zeros_state(x_t) for _ in AdaptiveState._fields))

    def step(self, x_t: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        s = state.s * torch.exp(-self.dt / self.tau_syn()) + x_t
        keep = torch.exp(-self.dt / self.tau_mem())
        v = state.v * keep + (s - state.a) * (1 - keep)
        a = state.a * torch.exp(-self.dt / self.tau_adapt())
        h = state.h * torch.exp(-self.dt / self.tau_th())
        spikes = self.surrogate(v - (1 + h))
        return spikes, AdaptiveState(s, v - spikes * (1 + h), a + A_JUMP * spikes, h + TH_JUMP * spikes)


class RateState(NamedTuple):
    """v: the potential of each rate unit, [B, N]."""

    v: Tensor


class RateUnits(tdn.ODE):
    """Units that put out the hyperbolic tangent of their potential: a network of them is a CTRNN."""

    def __init__(self, integrator: tdn.Integrator):
        super().__init__(integrator=integrator)
        self.tau = Positive(TAU_MEM, unit="ms")

    def initial_state(self, x_t: Tensor) -> RateState:
        return RateState(zeros_state(x_t))

    def derivative(self, x_t: Tensor, state: RateState) -> RateState:
        return RateState((x_t - state.v) / self.tau())

    def observe(self, state: RateState) -> Tensor:
        return torch.tanh(state.v)


def adaptive_step(x, s, v, a, h, surrogate):
    """The equation of :class:`AdaptiveSynapticLIF` as a function of tensors."""
    keep = math.exp(-1 / TAU_MEM)
    s = s * math.exp(-1 / TAU_SYN) + x
    v = v * keep + (s - a) * (1 - keep)
    a, h = a * math.exp(-1 / TAU_ADAPT), h * math.exp(-1 / TAU_TH)
    spikes = surrogate(v - (1 + h))
    return spikes, s, v - spikes * (1 + h), a + A_JUMP * spikes, h + TH_JUMP * spikes


def plastic_step(x, u, d, s, v, surrogate):
    """Short-term plasticity, exponential synapse and LIF as one function of tensors."""
    keep = math.exp(-1 / TAU_MEM)
    u, d = u * math.exp(-1 / TAU_F), d * math.exp(-1 / TAU_D)
    u = u + U * (1 - U - u) * x
    release = (U + u) * (1 - d) * x
    s = s * math.exp(-1 / TAU_SYN) + release
    v = v * keep + s * (1 - keep)
    spikes = surrogate(v - 1)
    return spikes, u, d + release, s, v - spikes
