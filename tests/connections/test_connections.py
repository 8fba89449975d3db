import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_one_to_one():
    layer = tdn.OneToOne((3, 1, 1))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2, 3]).reshape(3, 1, 1))
    x = torch.rand(4, 2, 3, 5, 5)
    assert_close(layer(x), torch.stack([x[:, :, c] * (c + 1) for c in range(3)], 2))
    with pytest.raises(ValueError, match="OneToOne: expected sizes of at least 1, got 0"):
        tdn.OneToOne(0)


@pytest.mark.parametrize(
    "build", [lambda: nn.Linear(10, 6), lambda: nn.Conv2d(10, 6, 3)], ids=["linear", "convolution"]
)
def test_dale_keeps_signs_through_training(build):
    torch.manual_seed(0)
    layer = build()
    mean_square = layer.weight.detach().square().mean()
    layer = tdn.dale(layer, excitatory=0.8)
    signs = torch.tensor([1.0] * 8 + [-1.0] * 2)
    columns = layer.weight.detach().transpose(0, 1).flatten(1)
    assert (columns.sign() == signs[:, None]).all()
    assert abs(columns.sum() / columns.abs().sum()) < 0.3  # balanced on average
    assert_close(columns.square().mean(), mean_square, rtol=0.5, atol=0)  # on average over the draw
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    x = torch.randn(5, 10, *[4] * (layer.weight.ndim - 2))
    for _ in range(10):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
    after = layer.weight.detach().transpose(0, 1).flatten(1)
    assert not torch.equal(after, columns)
    assert (after * signs[:, None] >= 0).all()
    assert set(layer.state_dict()) >= {"parametrizations.weight.original", "parametrizations.weight.0.signs"}


def test_dale_takes_signs_and_refuses_wrong_ones():
    layer = tdn.dale(nn.Linear(3, 2), torch.tensor([-1, 1, 1]))
    assert (layer.weight.sign() == torch.tensor([-1.0, 1, 1])).all()
    with pytest.raises(ValueError, match="dale: expected 3 signs"):
        tdn.dale(nn.Linear(3, 2), torch.tensor([-1, 0, 1]))
    with pytest.raises(ValueError, match="dale: expected a share of excitatory inputs from 0 to 1, got 2"):
        tdn.dale(nn.Linear(3, 2), 2.0)


def test_sparse_keeps_the_number_of_inputs_and_the_variance():
    torch.manual_seed(0)
    dense = nn.Linear(400, 300, bias=False)
    x = torch.randn(50, 400)
    before = dense(x).var()
    layer = tdn.sparse(dense, 0.1, generator=torch.Generator().manual_seed(1))
    assert ((layer.weight != 0).sum(1) == 40).all()
    assert_close(layer(x).var(), before, rtol=0.1, atol=0)  # a sample of 15000 sums that share inputs
    layer(x).square().sum().backward()
    absent = layer.weight == 0
    assert (layer.parametrizations.weight.original.grad[absent] == 0).all()
    with pytest.raises(ValueError, match="sparse: expected a density above 0"):
        tdn.sparse(nn.Linear(3, 2), 0.0)
    with pytest.raises(ValueError, match=r"sparse: expected a mask of the weight's shape \(2, 3\)"):
        tdn.sparse(nn.Linear(3, 2), torch.ones(3, 2))


@pytest.mark.parametrize("name", ["lif", "synapse and lif"])
@pytest.mark.parametrize("mean", [0.0, 0.4])
def test_fluctuation_driven_weights_give_the_wanted_mean_and_deviation(name, mean):
    generator = torch.Generator().manual_seed(0)
    rate, inputs, distance = 20.0, 200, 2.0
    if name == "lif":
        target, field = tdn.LIF(tau_mem=10.0), "v"
    else:
        target, field = tdn.Chain(tdn.ExponentialSynapse(5.0), tdn.LIF(tau_mem=10.0)), "1.v"
    layer = nn.Linear(inputs, 300, bias=False)
    tdn.fluctuation_driven_(layer, target, rate=rate, distance=distance, mean=mean, field=field, generator=generator)
    spikes = (torch.rand(800, 8, inputs, generator=generator) < rate / 1000).float()
    with torch.no_grad():
        current = layer(spikes)
        if name != "lif":
            current = tdn.ExponentialSynapse(5.0)(current)
        v = tdn.LeakyIntegrator(tau_mem=10.0)(current)[100:]
        fired = target(layer(spikes)).mean()
    # The variance over time, averaged over neurons; their means differ with the weights each of them drew.
    assert abs(v.mean().item() - mean) < 0.06
    assert_close(v.var((0, 1)).mean().sqrt().item(), (1 - mean) / distance, rtol=0.05, atol=0)  # of 300 neurons
    assert 0.001 < fired < 0.2


def test_fluctuation_driven_weights_respect_a_mask_and_can_be_made_to_obey_dale():
    torch.manual_seed(0)
    layer = tdn.sparse(nn.Linear(100, 50, bias=False), 0.2)
    connected = layer.weight != 0
    tdn.fluctuation_driven_(layer, tdn.LIF(), rate=10.0)
    assert ((layer.weight != 0) == connected).all()
    dense = tdn.fluctuation_driven_(nn.Linear(100, 50, bias=False), tdn.LIF(), rate=10.0)
    # A fifth of the inputs, so weights are larger by the root of five.
    kept = layer.weight.detach()[connected]
    assert_close(kept.std() / dense.weight.detach().std(), torch.tensor(5.0).sqrt(), rtol=0.1, atol=0)
    std = dense.weight.detach().std()
    assert_close(tdn.dale(dense).weight.detach().square().mean().sqrt(), std, rtol=0.1, atol=0)


def test_fluctuation_driven_refuses_what_cannot_be():
    layer = nn.Linear(10, 10)
    with pytest.raises(ValueError, match="expected a rate and a distance above 0 and a mean below"):
        tdn.fluctuation_driven_(layer, tdn.LIF(), rate=0.0)
    with pytest.raises(ValueError, match="lower the mean or the distance"):
        tdn.fluctuation_driven_(layer, tdn.LIF(), rate=1.0, mean=0.9, distance=3.0)


def test_gap_junctions_pull_potentials_together_and_conserve_charge():
    torch.manual_seed(0)
    v = torch.randn(2, 4, dtype=torch.float64)
    g = torch.rand(4, 4, dtype=torch.float64)
    current = tdn.GapJunction(4, g)(v)
    symmetric = (g + g.T) / 2
    expected = torch.stack([(symmetric[i] * (v - v[:, i : i + 1])).sum(-1) for i in range(4)], -1)
    assert_close(current, expected)
    assert_close(current.sum(-1), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)
    assert_close(tdn.GapJunction(4, 0.3).double()(v), tdn.GapJunction(4, torch.full((4, 4), 0.3)).double()(v))
    with pytest.raises(ValueError, match=r"GapJunction: expected .* or a matrix \(4, 4\), got shape \(3,\)"):
        tdn.GapJunction(4, torch.ones(3))
    with pytest.raises(ValueError, match=r"GapJunction.g: expected 0 or a number above it"):
        tdn.GapJunction(4, -0.1)


def test_coupled_neurons_share_a_current_by_the_formula():
    """A steady current into one of two cells: v2 / v1 = g / (1 + g) for a leak of 1."""
    g = 0.5
    x = torch.zeros(3000, 1, 2, dtype=torch.float64)
    x[..., 0] = 0.6
    pair = tdn.Network(tdn.LeakyIntegrator(tau_mem=20.0), tdn.GapJunction(2, g), source="v").double()
    v, _ = pair.scan(x)
    first, second = v[-1, 0].tolist()
    assert abs(second / first - g / (1 + g)) < 1e-9
    assert abs(first * (1 + g) - g * second - 0.6) < 1e-9
    excitable = tdn.LIF(v_th=torch.tensor([1.0, 0.3]))
    assert excitable(x.float() * 4)[..., 1].sum() == 0
    assert tdn.Network(excitable, tdn.GapJunction(2, 1.0), source="v")(x.float() * 4)[..., 1].sum() > 0
    with pytest.raises(ValueError, match="Network: expected a field 'w' in the state of LIF, got v, refractory"):
        tdn.Network(tdn.LIF(), tdn.GapJunction(2), source="w")(x.float())


def test_plastic_linear_refuses_wrong_arguments():
    with pytest.raises(TypeError, match="PlasticLinear: expected dynamics, got Linear"):
        tdn.PlasticLinear(2, 2, nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"PlasticLinear: expected an input \[T, B, \*, 2\]"):
        tdn.PlasticLinear(2, 2, tdn.TsodyksMarkram())(torch.zeros(3, 1, 4))
