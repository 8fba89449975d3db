"""Every spiking neuron learns spike times by back-propagation through time."""

import inspect

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.quantities import Positive

STEPS, OUTPUTS = 30, 3

SETTINGS: dict[str, dict] = {
    "AlphaLIF": {"tau_syn": 2.0},
    "BalancedResonateAndFire": {"b": 0.1},
    "ParallelLIF": {"tau_mem": 2.0},
    "ResonateAndFire": {"tau": 8.0},
    "TwoSynapseLIF": {"tau_exc": 2.0, "tau_inh": 2.0},
}
"""Arguments that bring a neuron into the regime of the task, where its defaults are for slower ones."""

DRIVE: dict[str, float] = {
    "AlphaLIF": 1.0,
    "BalancedResonateAndFire": 0.3,
    "IF": 0.1,
    "ParallelLIF": 1.0,
    "ResonateAndFire": 0.5,
    "SynapticLIF": 0.6,
    "TwoSynapseLIF": 1.0,
}
"""The scale of the weights at which a few input spikes take a neuron to its threshold; 3 if not listed."""


PHYSICAL = {
    "AdEx": (lambda: tdn.AdEx(b=0.0, **_stiff(0.03)), 2000.0),
    "ConductanceLIF": (lambda: tdn.ConductanceLIF([tdn.AMPA()], surrogate=tdn.ATan(slope=0.05)), 5.0),
    "EIF": (lambda: tdn.EIF(t_ref=1.0, **_stiff(0.01)), 60.0),
    "GLIF": (lambda: tdn.GLIF(level=1, t_ref=4.0, dt=0.5), 1200.0),
    "HodgkinHuxley": (lambda: tdn.HodgkinHuxley(dt=0.05, surrogate=tdn.ATan(slope=0.02)), 60.0),
    "Izhikevich": (lambda: tdn.Izhikevich(**_stiff(0.01)), 30.0),
    "QIF": (lambda: tdn.QIF(**_stiff(0.01)), 100.0),
    "TwoCompartment": (lambda: tdn.TwoCompartment(surrogate=tdn.ATan(slope=0.05)), 4000.0),
}
"""Cells in millivolts, and the scale of the currents at which they spike far too often at first."""


def _stiff(slope):
    """Steps that resolve an upstroke, and a slope that reaches from its foot to its peak."""
    return {"dt": 0.5, "integrator": tdn.RK4(substeps=5), "surrogate": tdn.ATan(slope=slope)}


def spiking_neurons():
    """Every public dynamics with a surrogate; those in ``PHYSICAL`` have a test of their own."""
    classes = {value for value in vars(tdn).values() if inspect.isclass(value) and issubclass(value, tdn.Dynamics)}
    return sorted(
        (
            cls
            for cls in classes
            if "surrogate" in _arguments(cls) and cls is not tdn.Spiking and cls.__name__ not in PHYSICAL
        ),
        key=lambda cls: cls.__name__,
    )


def _arguments(cls):
    return {name for base in cls.__mro__ for name in inspect.signature(base).parameters}


def surrogates():
    classes = {value for value in vars(tdn).values() if inspect.isclass(value) and issubclass(value, tdn.Surrogate)}
    return sorted((cls for cls in classes if not inspect.isabstract(cls)), key=lambda cls: cls.__name__)


class Task:
    """A volley of input spikes that sweeps over time; each output is to spike at given times, low-pass filtered."""

    def __init__(self):
        self.x = torch.eye(STEPS).unsqueeze(1)
        target = torch.zeros(STEPS, 1, OUTPUTS)
        for neuron, times in enumerate(([8, 22], [15], [6, 14, 25])):
            target[times, 0, neuron] = 1.0
        self.filter = tdn.ExponentialSynapse(tau=8.0)
        self.target = self.filter(target)

    def loss(self, y):
        return (self.filter(y) - self.target).square().mean()


class BySign(nn.Module):
    """What drives a neuron with an excitatory and an inhibitory input."""

    def forward(self, x):
        return x.clamp(min=0), x.clamp(max=0)


def train(neuron, drive, iterations=120):
    """The least loss over training as a fraction of that of silence."""
    task = Task()
    torch.manual_seed(0)
    between = [BySign()] if isinstance(neuron, tdn.TwoSynapseLIF) else []
    model = nn.Sequential(nn.Linear(STEPS, OUTPUTS, bias=False), *between, neuron)
    nn.init.normal_(model[0].weight, mean=drive, std=0.5 * drive)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1 * drive)
    silence = task.loss(torch.zeros_like(task.target))
    least = 1.0
    for _ in range(iterations):
        torch.manual_seed(1)  # a noisy neuron has to learn against one path of its noise
        loss = task.loss(model(task.x))
        least = min(least, (loss / silence).item())
        if least < 0.1:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return least


@pytest.mark.parametrize("cls", spiking_neurons(), ids=lambda cls: cls.__name__)
def test_every_neuron_trains(cls):
    assert train(cls(**SETTINGS.get(cls.__name__, {})), DRIVE.get(cls.__name__, 3.0)) < 0.1


@pytest.mark.parametrize("name", PHYSICAL)
def test_every_cell_in_millivolts_trains(name):
    """From far too many spikes to a tenth of the loss, and to a tenth of that of no spike at all.

    A spike time is compared through an alpha function, in which it counts by its square: one that is 1.5 ms off costs
    as much as a tenth of silence. A tail without input leaves late spikes no place to hide.
    """
    build, drive = PHYSICAL[name]
    cell = build()
    held, tail = round(1.0 / cell.dt), 10
    x = torch.cat([torch.eye(STEPS), torch.zeros(tail, STEPS)]).repeat_interleave(held, 0).unsqueeze(1)
    target = torch.zeros(len(x), 1, OUTPUTS)
    for neuron, time in enumerate((18, 12, 25)):
        target[time * held, 0, neuron] = 1.0
    low_pass = tdn.AlphaSynapse(tau=5.0, dt=cell.dt)
    target = low_pass(target)
    silence = target.square().mean()
    torch.manual_seed(0)
    weights = nn.Linear(STEPS, OUTPUTS)
    nn.init.normal_(weights.weight, mean=drive, std=0.5 * drive)
    nn.init.zeros_(weights.bias)
    # Upstrokes make gradients of any size: they are clipped, and forgotten within ten steps.
    optimizer = torch.optim.Adam(weights.parameters(), lr=0.05 * drive, betas=(0.9, 0.9))
    losses = []
    for _ in range(600):
        losses.append((low_pass(cell(weights(x))) - target).square().mean())
        if losses[-1] < 0.1 * min(losses[0], silence):
            break
        optimizer.zero_grad()
        losses[-1].backward()
        nn.utils.clip_grad_norm_(weights.parameters(), 0.03)
        optimizer.step()
    assert losses[0] > silence
    assert losses[-1] < 0.1 * losses[0]
    assert losses[-1] < 0.1 * silence


@pytest.mark.parametrize("cls", surrogates(), ids=lambda cls: cls.__name__)
def test_leaky_neuron_trains_with_every_surrogate(cls):
    surrogate = cls(lambda x: 1 / (1 + x.abs()) ** 3) if cls is tdn.CustomSurrogate else cls()
    assert train(tdn.LIF(surrogate=surrogate), 3.0) < 0.1


@pytest.mark.parametrize(
    "neuron",
    [
        lambda tau: tdn.LIF(tau),
        lambda tau: tdn.AdaptiveLIF(tau, tdn.Learned(50.0)),
        lambda tau: tdn.ALIF(tau, tdn.Learned(50.0)),
        lambda tau: tdn.LIF(tau, noise=tdn.OrnsteinUhlenbeckNoise(tdn.Learned(3.0))),
    ],
    ids=["LIF", "AdaptiveLIF", "ALIF", "coloured noise"],
)
def test_learned_time_constants_move_and_stay_positive(neuron):
    task, cell = Task(), neuron(tdn.Learned(20.0))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(STEPS, OUTPUTS, bias=False), cell)
    nn.init.normal_(model[0].weight, mean=3.0, std=1.5)
    taus = [q for q in cell.modules() if isinstance(q, Positive) and q.learned]
    start = [quantity().item() for quantity in taus]
    # Steps of the optimiser that would take an unbounded parameter far below zero, down and up again.
    optimizer = torch.optim.SGD([quantity.raw for quantity in taus], lr=1.0)
    task.loss(model(task.x)).backward()
    for quantity in taus:
        assert quantity.raw.grad.isfinite()
        assert quantity.raw.grad != 0
        quantity.raw.grad.copy_(quantity.raw.grad.sign())
    for _ in range(4):
        optimizer.step()
        assert all(quantity().item() > 0 for quantity in taus)
    for quantity, before in zip(taus, start, strict=True):
        assert abs(quantity().item() / before - 1) > 0.5
    optimizer.zero_grad()
    task.loss(model(task.x)).backward()
    assert all(quantity.raw.grad.isfinite() for quantity in taus)
