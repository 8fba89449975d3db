"""Every spiking neuron learns spike times by back-propagation through time."""

import inspect

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn

STEPS, OUTPUTS = 30, 3

SETTINGS: dict[str, dict] = {
    "ResonateAndFire": {"tau": 8.0},
    "BalancedResonateAndFire": {"b": 0.1},
}
"""Arguments that bring a neuron into the regime of the task, where its defaults are for slower ones."""

# The weights of the scale at which the input drives each neuron to its threshold within the task.
DRIVE: dict[str, float] = {"IF": 0.3, "ResonateAndFire": 0.5, "BalancedResonateAndFire": 0.5}


def spiking_neurons():
    """Every public dynamics with a surrogate that takes a plain current and runs by its defaults."""
    classes = {value for value in vars(tdn).values() if inspect.isclass(value) and issubclass(value, tdn.Dynamics)}
    return sorted(
        (cls for cls in classes if "surrogate" in _arguments(cls) and cls is not tdn.SpikingODE),
        key=lambda cls: cls.__name__,
    )


def _arguments(cls):
    return {name for base in cls.__mro__ for name in inspect.signature(base.__init__).parameters}


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


def train(neuron, drive, iterations=250):
    """The least loss over training as a fraction of that of silence, and the neuron."""
    task = Task()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(STEPS, OUTPUTS, bias=False), neuron)
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
    assert train(cls(**SETTINGS.get(cls.__name__, {})), DRIVE.get(cls.__name__, 1.0)) < 0.1
