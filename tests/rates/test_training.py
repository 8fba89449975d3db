"""Every rate model trains as a layer: it follows a wanted trajectory better and better."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn

STEPS, INPUTS, UNITS = 30, 3, 6


class BothPopulations(nn.Module):
    """The input of an excitatory and an inhibitory population, from two linear maps."""

    def __init__(self):
        super().__init__()
        self.to_E, self.to_I = nn.Linear(INPUTS, UNITS), nn.Linear(INPUTS, UNITS)

    def forward(self, x):
        return self.to_E(x), self.to_I(x)


def learned(*values):
    return tdn.Learned(torch.linspace(*values, UNITS))


LAYERS = {
    "RateUnit": lambda: tdn.RateUnit(learned(2.0, 10.0)),
    "RateNetwork": lambda: tdn.RateNetwork(UNITS, learned(2.0, 10.0), activation=tdn.rates.Tanh(tdn.Learned(1.0))),
    "CTRNN": lambda: tdn.CTRNN(UNITS, learned(2.0, 8.0), learned(-1.0, 1.0), activation=tdn.rates.Tanh()),
    "EINetwork": lambda: tdn.EINetwork(4, 2, learned(2.0, 10.0), activation=tdn.rates.Softplus()),
    "WinnerTakeAll": lambda: tdn.WinnerTakeAll(UNITS, tdn.Learned(0.5), activation=tdn.rates.Softplus()),
    "KWinnersTakeAll": lambda: tdn.KWinnersTakeAll(UNITS, 3, activation=tdn.rates.Sigmoid(tdn.Learned(4.0))),
    "DivisiveNormalization": lambda: tdn.DivisiveNormalization(
        UNITS, gamma=tdn.Learned(2.0), n=tdn.Learned(2.0), tau=learned(2.0, 10.0)
    ),
    "WongWang": lambda: tdn.WongWang(UNITS, J_self=tdn.Learned(0.3), tau_S=learned(5.0, 50.0)),
    "WilsonCowan": lambda: tdn.WilsonCowan(w_EE=learned(1.0, 3.0), w_EI=tdn.Learned(2.0), w_IE=tdn.Learned(2.0)),
    "Microcircuit": lambda: tdn.Microcircuit(U=tdn.Learned(0.3), J=learned(1.0, 3.0), tau_f=50.0, tau_d=20.0),
}
PAIRS = {"WilsonCowan", "Microcircuit"}
SCALE = {"WongWang": 0.1}
"""Of what drives a layer in its own unit; 1 if not listed."""


def test_every_rate_model_is_here():
    networks = {name for name in vars(tdn.rates) if isinstance(getattr(tdn.rates, name), type)}
    models = {name for name in networks if issubclass(getattr(tdn.rates, name), tdn.Dynamics)}
    # Units are trained inside of their network; an EchoState never is.
    assert models - {"CTRNNUnit", "GatingUnit", "EchoState"} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_every_rate_model_trains(name):
    """To a fifth of the variance of two waves of another phase, from three pulses; all its own parameters move."""
    torch.manual_seed(0)
    t = torch.arange(STEPS) / STEPS
    x = torch.stack([(t < 0.2).float(), ((t > 0.4) & (t < 0.5)).float(), torch.ones(STEPS)], -1).unsqueeze(1)
    target = torch.stack([torch.sin(6.28 * t), torch.cos(6.28 * t)], -1).unsqueeze(1)
    layer = LAYERS[name]()
    feed = BothPopulations() if name in PAIRS else nn.Linear(INPUTS, UNITS)
    scale = SCALE.get(name, 1.0)
    with torch.no_grad():
        for parameter in feed.parameters():
            parameter *= 3 * scale
    readout = nn.Sequential(nn.LayerNorm(UNITS), nn.Linear(UNITS, 2)) if name in SCALE else nn.Linear(UNITS, 2)
    model = nn.Sequential(feed, layer, readout)
    before = {key: value.detach().clone() for key, value in layer.named_parameters()}
    optimizer = torch.optim.Adam(
        [
            {"params": feed.parameters(), "lr": 0.05 * scale},
            {"params": [*layer.parameters(), *readout.parameters()], "lr": 0.05},
        ]
    )
    losses = []
    with tdn.backend("auto"):
        for _ in range(400):
            losses.append(nn.functional.mse_loss(model(x), target) / target.var())
            if losses[-1] < 0.2:
                break
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
    assert losses[0] > 0.5
    assert losses[-1] < 0.2
    for key, value in layer.named_parameters():
        assert value.isfinite().all()
        assert not torch.equal(value, before[key]), f"{key} has not moved"
