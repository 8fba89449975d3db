"""Learning rules on a connection that holds the synapses there are, against the dense one thinned out by a mask."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.wiring import FixedOutDegree, Given, Normal

NEURONS = 12
BOUNDS = {"w_min": -0.5, "w_max": 1.5}
RULES = {
    "additive": lambda: tdn.PairSTDP(0.3, 0.2, 20.0, 15.0),
    "multiplicative": lambda: tdn.PairSTDP(0.3, 0.2, 20.0, 15.0, mu_plus=1.0, mu_minus=1.0, **BOUNDS),
    "power": lambda: tdn.PairSTDP(0.3, 0.2, mu_plus=0.4, mu_minus=0.7, pairing="nearest", **BOUNDS),
    "inhibitory": lambda: tdn.InhibitorySTDP(0.2, 20.0, 15.0, w_min=0.0),
    "triplet": lambda: tdn.TripletSTDP(eta=20.0),
    "delays": lambda: tdn.PairSTDP(0.3, 0.2, axonal_delay=1.0, dendritic_delay=2.0),
    "oja": lambda: tdn.Oja(0.1),
    "bcm": lambda: tdn.BCM(0.2, tau=3.0, rate=0.5, decay=torch.linspace(0.0, 0.1, NEURONS)),
    "hebbian": lambda: tdn.Hebbian(0.1, alpha=torch.linspace(0.5, 1.0, NEURONS)),
    "scaling": lambda: tdn.SynapticScaling(0.2, target=0.5, tau=4.0),
    "normalization": lambda: tdn.WeightNormalization(torch.linspace(1.0, 2.0, NEURONS), every=2.0),
    "rules": lambda: tdn.Rules(tdn.PairSTDP(0.3, 0.2, **BOUNDS), tdn.WeightNormalization(1.5)),
}


def both(name: str, weights: str) -> tuple[tdn.Network, tdn.Network, tdn.SparseLinear]:
    """A recurrent network with single synapses, and the same with a masked matrix."""
    wiring = FixedOutDegree(4, multapses=False)
    layer = tdn.SparseLinear(NEURONS, NEURONS, wiring, Normal(0.6, 0.3), seed=2, dtype=torch.float64)
    matrix = layer.to_dense().detach()
    dense = tdn.sparse(nn.Linear(NEURONS, NEURONS, bias=False, dtype=torch.float64), matrix != 0)
    with torch.no_grad():
        dense.parametrizations.weight.original.copy_(matrix)
    cell = tdn.LIF(10.0, v_th=0.6, v_init=torch.linspace(0, 0.5, NEURONS, dtype=torch.float64)).double()
    nets = [
        tdn.Network(cell, tdn.Plastic(connection, RULES[name]().double(), weights=weights), delay=2.0)
        for connection in (layer, dense)
    ]
    return *nets, layer


@pytest.mark.parametrize(
    ("name", "weights"), [*((name, "rows") for name in RULES), ("bcm", "mean"), ("power", "mean"), ("rules", "sum")]
)
def test_weights_and_spikes_are_those_of_the_masked_matrix(name, weights):
    sparse, dense, layer = both(name, weights)
    x = torch.rand(40, 3, NEURONS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 1.6
    with tdn.backend("eager"):
        found, state = sparse.scan(x)
        wanted, full = dense.scan(x)
    assert 20 < wanted.sum() < 0.8 * wanted.numel()
    assert torch.equal(found, wanted)
    moved = full.connection.weight[..., layer.place.to(torch.int64), layer.sources()]
    assert (moved - layer.weight.detach()).abs().max() > 0.05
    assert_close(state.connection.weight, moved, rtol=1e-12, atol=1e-12)
    if name in ("additive", "normalization"):
        probe = torch.randn(moved.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        (g,) = torch.autograd.grad((state.connection.weight * probe).sum(), layer.weight)
        original = dense.connection.connection.parametrizations.weight.original
        (wanted,) = torch.autograd.grad((moved * probe).sum(), original)
        assert_close(g, wanted[layer.place.to(torch.int64), layer.sources()], rtol=1e-10, atol=1e-10)
    sparse.connection.commit(state.connection)
    assert_close(layer.weight.detach(), (moved.mean(0) if weights == "rows" else moved).detach())


def test_a_pair_of_neurons_may_have_several_synapses():
    wiring = Given(torch.tensor([0, 0]), torch.tensor([1, 1]), weight=torch.tensor([0.2, 0.7]))
    plastic = tdn.Plastic(tdn.SparseLinear(2, 2, wiring), tdn.Hebbian(0.1, alpha=0.5))
    ones = torch.ones(1, 2)
    y, state = plastic.step(ones, plastic.initial_state(ones))
    assert y.tolist() == [[0.0, pytest.approx(0.9)]]
    after = plastic.learn(ones, ones, state).weight
    assert after.shape == (1, 2)
    assert (after > state.weight).all()


def test_what_does_not_fit_single_synapses_is_refused():
    layer = tdn.SparseLinear(3, 2, FixedOutDegree(1), 0.1)
    with pytest.raises(TypeError, match="Sanger: expected neurons that share their inputs, got a connection of single"):
        tdn.Plastic(layer, tdn.Sanger()).initial_state(torch.zeros(1, 3))
    plastic = tdn.Plastic(layer, tdn.Hebbian())
    with pytest.raises(ValueError, match=r"expected frames \[B, 3\], got shape \(1, 4\)"):
        plastic.initial_state(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="expected the activity of 2 neurons behind the connection, got 3"):
        plastic.learn(torch.zeros(1, 3), torch.zeros(1, 3), plastic.initial_state(torch.zeros(1, 3)))
