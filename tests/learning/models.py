"""Small networks that fire, and the gradients that methods find for them."""

import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro import decoding, losses

LABELS = torch.tensor([0, 1, 0])


def lively(model: nn.Module, scale: float = 6.0) -> nn.Module:
    """In float64, with weights large enough that neurons fire."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)
    return model


def one_layer(cell: tdn.Dynamics, readout: tdn.Dynamics | None = None) -> nn.Module:
    """Five inputs, six neurons, two outputs."""
    torch.manual_seed(0)
    readout = tdn.LeakyIntegrator(tdn.Learned(3.0), dt=cell.dt) if readout is None else readout
    return lively(nn.Sequential(nn.Linear(5, 6), cell, nn.Linear(6, 2), readout))


def recurrent(cell: tdn.Dynamics, connection: nn.Module | None = None, readout: tdn.Dynamics | None = None):
    torch.manual_seed(0)
    connection = nn.Linear(6, 6, bias=False) if connection is None else connection
    readout = tdn.LeakyIntegrator(3.0) if readout is None else readout
    return lively(nn.Sequential(nn.Linear(5, 6), tdn.Recurrent(cell, connection), nn.Linear(6, 2), readout))


def sequence(steps: int = 25, features: int = 5, rows: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(steps, rows, features, generator=generator, dtype=torch.float64)


def found(method, model, x, target=LABELS, loss=None):
    """The outcome, and the gradient of each parameter that has one; random numbers are the same in every call."""
    model.zero_grad()
    torch.manual_seed(2)
    outcome = method(model, x, target, losses.MembraneCrossEntropy() if loss is None else loss)
    outcome.loss.backward()
    return outcome, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def furthest(got, expected) -> float:
    """The largest difference of two sets of gradients, relative to the largest entry of each."""
    assert got.keys() == expected.keys()
    assert all(gradient.abs().max() > 1e-9 for gradient in expected.values()), "no gradient shows nothing"
    return max(((got[name] - g).abs().max() / g.abs().max()).item() for name, g in expected.items())


def cosine(got, expected) -> float:
    a, b = (torch.cat([gradients[name].flatten() for name in expected]) for gradients in (got, expected))
    return torch.nn.functional.cosine_similarity(a, b, 0).item()


class Cut(nn.Module):
    """What comes in counts as a constant."""

    def forward(self, x):
        return x.detach()


LOSSES = {
    "mean": losses.MembraneCrossEntropy(),
    "last": losses.MembraneCrossEntropy(decoding.LastMembrane()),
    "count": losses.RateCrossEntropy(gain=0.3),
    "every step": losses.EveryStep(),
}
