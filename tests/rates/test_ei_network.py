"""Excitatory and inhibitory rate units: Dale's law survives every optimiser, checkpoint and copy."""

import copy
import pickle

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn

N_E, N_I = 8, 2
OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=1e3, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=10.0, weight_decay=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=10.0),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=10.0, max_iter=3),
}


def assert_dale(W):
    assert (W[:, :N_E] >= 0).all()
    assert (W[:, N_E:] <= 0).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_signs_survive_any_optimiser(name):
    net = tdn.EINetwork(N_E, N_I, activation=tdn.rates.Sigmoid())
    optimizer, x = OPTIMIZERS[name](net.parameters()), torch.rand(5, 4, N_E + N_I)
    before = net.connection.weight.detach().clone()

    def loss():
        optimizer.zero_grad()
        value = (net(x)[-1] * torch.linspace(-1, 1, N_E + N_I)).sum()
        value.backward()
        return value

    for _ in range(5):
        optimizer.step(loss)
        assert_dale(net.connection.weight)
    assert (net.connection.weight - before).abs().max() > 0.1
    with torch.no_grad():
        net.connection.raw.normal_(std=100.0)  # nor can anything else break them
    assert_dale(net.connection.weight)


def test_signs_survive_copies_checkpoints_and_types():
    net = tdn.EINetwork(N_E, N_I)
    entries = {key: value.clone() for key, value in net.state_dict().items()}
    entries["connection.raw"] = -entries["connection.raw"]
    other = tdn.EINetwork(N_E, N_I)
    other.load_state_dict(entries)
    x = torch.rand(6, 3, N_E + N_I)
    for copied in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_close(copied(x), net(x))
    y = net.bfloat16()(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert_dale(net.connection.weight)


def test_built_without_memory_it_is_filled_later():
    with torch.device("meta"):
        net = tdn.EINetwork(N_E, N_I)
    net.to_empty(device="cpu")
    net.connection.reset_parameters()
    assert_dale(net.connection.weight)
    assert net.connection.weight.abs().sum() > 0


def test_excitation_and_inhibition_balance_at_the_start():
    """The mean of a row is zero but for chance; the mean square is that of a plain layer, 1 / (3 N)."""
    W = tdn.DaleLinear(400, 100).weight
    assert W[:, 400:].mean().item() == pytest.approx(-4 * W[:, :400].mean().item(), rel=0.02)
    assert W.square().mean().item() == pytest.approx(1 / (3 * 500), rel=0.05)


def test_steady_state_of_the_linear_network():
    """r = (1 - W)^-1 I, with W of both signs and a time constant per unit."""
    net = tdn.EINetwork(N_E, N_I, torch.tensor([10.0] * N_E + [5.0] * N_I), activation=torch.nn.Identity()).double()
    drive = torch.rand(N_E + N_I, dtype=torch.float64)
    with torch.no_grad():
        r = net(drive.expand(400, 1, -1))[-1, 0]
        expected = torch.linalg.solve(torch.eye(N_E + N_I, dtype=torch.float64) - net.connection.weight, drive)
    assert_close(r, expected, rtol=1e-8, atol=1e-10)


def test_the_layer_by_itself():
    layer = tdn.DaleLinear(3, 2, 4)
    x = torch.rand(7, 5)
    assert_close(layer(x), x @ layer.weight.T)
    with pytest.raises(ValueError, match=r"DaleLinear: expected an input \[..., 5\], got shape \(7, 4\); build it"):
        layer(x[:, :4])
    with pytest.raises(ValueError, match="EINetwork: expected inhibitory to be at least 1, got 0"):
        tdn.EINetwork(4, 0)
    with pytest.raises(ValueError, match=r"DaleLinear: expected excitatory \+ inhibitory to be at least 1"):
        tdn.DaleLinear(0, 0)
