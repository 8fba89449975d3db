"""The systems that the tests of the analysis look at."""

import math

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

EI = (16.0, 12.0, 15.0, 3.0, -1.0, -4.0, 10.0, 10.0)
"""w_EE, w_EI, w_IE, w_II, I_E, I_I, tau_E, tau_I."""


def ei_pair(x: Tensor, w_ee, w_ei, w_ie, w_ii, i_e, i_i, tau_e, tau_i) -> Tensor:
    """An excitatory and an inhibitory rate unit."""
    e, i = x.unbind(-1)
    return torch.stack(
        [
            (-e + torch.sigmoid(w_ee * e - w_ei * i + i_e)) / tau_e,
            (-i + torch.sigmoid(w_ie * e - w_ii * i + i_i)) / tau_i,
        ],
        -1,
    )


def logistic_unit(r: Tensor, w, current) -> Tensor:
    return -r + torch.sigmoid(w * r + current)


def folds_of_logistic_unit(w: float) -> tuple[float, float]:
    """F'(u) w = 1 with F' = r (1 - r), and u = ln(r / (1 - r)) = w r + I: from the lower state, from the upper one."""
    rates = [(1 - side * math.sqrt(1 - 4 / w)) / 2 for side in (1, -1)]
    return tuple(math.log(r / (1 - r)) - w * r for r in rates)


def hopf_form(x: Tensor, mu, omega, cubic=-1.0) -> Tensor:
    """The normal form: radius' = mu radius + cubic radius^3, angle' = omega."""
    u, v = x.unbind(-1)
    growth = mu + cubic * (u * u + v * v)
    return torch.stack([growth * u - omega * v, omega * u + growth * v], -1)


def van_der_pol(x: Tensor, mu) -> Tensor:
    u, v = x.unbind(-1)
    return torch.stack([v, mu * (1 - u * u) * v - u], -1)


def lorenz(x: Tensor) -> Tensor:
    a, b, c = x.unbind(-1)
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)


class Rate(tdn.ODE):
    r"""A rate unit, tau dr/dt = -r + F(x)."""

    def __init__(self, tau=10.0, activation=torch.sigmoid, integrator=tdn.RK4(), dt=0.5):
        super().__init__(integrator=integrator, dt=dt)
        self.tau = tdn.Positive(tau, unit="ms")
        self.activation = activation

    def initial_state(self, x_t):
        return (tdn.full_state(x_t, 0.1),)

    def relaxation(self, x_t, state):
        return (self.activation(x_t),), (self.tau(),)


def ei_network(tau=10.0, w_ee=16.0) -> tuple[tdn.Network, Tensor]:
    """The pair above as a network, and its input."""
    connection = nn.Linear(2, 2, bias=False)
    connection.weight.data = torch.tensor([[w_ee, -12.0], [15.0, -3.0]])
    return tdn.Network(Rate(tau), connection), torch.tensor([[-1.0, -4.0]])


def differences(function, at: float, step: float = 1e-4) -> float:
    """The derivative by central differences of fourth order."""
    values = [float(function(torch.tensor(at + k * step, dtype=torch.float64))) for k in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def gradient(function, at: float) -> float:
    value = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(value), value)[0].item()
