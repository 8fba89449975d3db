"""A neuron of one's own: write the equation once; scan, integrators, gradients and containers come with it.

Run ``python examples/custom_neuron.py``: it finds the current at which the cell starts to oscillate, and then
learns, by the gradient through the trajectory, the recovery time constant behind a given oscillation.
"""

from typing import NamedTuple

import torch
from torch import Tensor

import torchdyn_neuro as tdn


class FitzHughNagumoState(NamedTuple):
    """v: potential; w: recovery; both [B, *]."""

    v: Tensor
    w: Tensor


class FitzHughNagumo(tdn.ODE):
    r"""FitzHugh-Nagumo neuron.

    .. math:: \dot v = v - v^3 / 3 - w + I, \qquad \tau \dot w = v + a - b w

    Args:
        tau: time constant of the recovery, ms.
        a, b: offset and gain of the recovery.
        integrator: how a step is taken.
        dt: time step, ms.

    Source: FitzHugh (1961), Biophysical Journal 1:445.
    """

    def __init__(
        self,
        tau: tdn.Quantity = 12.5,
        a: tdn.Quantity = 0.7,
        b: tdn.Quantity = 0.8,
        *,
        integrator: tdn.Integrator = tdn.RK4(),
        dt: float = 0.5,
    ):
        super().__init__(integrator=integrator, dt=dt)
        self.tau = tdn.Positive(tau, unit="ms")
        self.a, self.b = tdn.Real(a), tdn.Real(b)

    def initial_state(self, x_t: Tensor) -> FitzHughNagumoState:
        return FitzHughNagumoState(v=tdn.full_state(x_t, -1.2), w=tdn.full_state(x_t, -0.6))

    def derivative(self, x_t: Tensor, state: FitzHughNagumoState) -> FitzHughNagumoState:
        v, w = state
        return FitzHughNagumoState(v=v - v * v * v / 3 - w + x_t, w=(v + self.a() - self.b() * w) / self.tau())


def main() -> dict[str, float]:
    currents = torch.linspace(0, 0.6, 13)
    v = FitzHughNagumo()(currents.expand(1000, 1, -1))
    swing = v[500:].amax(0) - v[500:].amin(0)
    onset = currents[(swing[0] > 1).nonzero()[0, 0]].item()
    print(f"oscillates from a current of {onset:.2f} on")

    drive = torch.full((160, 1, 1), 0.5)
    target = FitzHughNagumo(tau=12.5)(drive).detach()
    neuron = FitzHughNagumo(tau=tdn.Learned(10.0))
    optimizer = torch.optim.Adam(neuron.parameters(), lr=0.02)
    for _ in range(100):
        loss = (neuron(drive) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = neuron.tau().item()
    print(f"learned tau: {learned:.2f} ms (true: 12.50 ms)")
    return {"onset": onset, "tau": learned}


if __name__ == "__main__":
    main()
