"""The random connection of a reservoir."""

import copy

import pytest
import torch

import torchdyn_neuro as tdn


@pytest.mark.parametrize("given", [{}, {"density": 0.1}, {"orthogonal": True}, {"seed": 3, "density": 0.5}])
def test_the_spectral_radius_is_as_asked_for(given):
    layer = tdn.FixedRandom(60, radius=0.8, **given)
    sizes = torch.linalg.eigvals(layer.weight.double()).abs()
    assert sizes.max().item() == pytest.approx(0.8, rel=1e-5)
    share = (layer.weight != 0).float().mean().item()
    assert share == pytest.approx(given.get("density", 1.0), abs=0.03)
    if given.get("orthogonal"):
        assert sizes.min().item() == pytest.approx(0.8, rel=1e-5)
    x = torch.rand(5, 60)
    torch.testing.assert_close(layer(x), x @ layer.weight.T)


def test_weights_follow_from_the_seed_alone_and_are_not_learned():
    torch.manual_seed(1)
    first = tdn.FixedRandom(10).weight
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, tdn.FixedRandom(10).weight)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, tdn.FixedRandom(10, seed=1).weight)
    layer = tdn.FixedRandom(10, seed=1)
    assert not list(layer.parameters())
    layer.load_state_dict(tdn.FixedRandom(10).state_dict())
    assert torch.equal(copy.deepcopy(layer).weight, first)


def test_wrong_use():
    with pytest.raises(ValueError, match="FixedRandom: expected a density above 0 and at most 1, got 2"):
        tdn.FixedRandom(4, density=2)
    with pytest.raises(ValueError, match=r"FixedRandom: expected a density of 1 for an orthogonal matrix, got 0\.5"):
        tdn.FixedRandom(4, density=0.5, orthogonal=True)
    with pytest.raises(ValueError, match="FixedRandom: expected weights that form a loop, got none"):
        tdn.FixedRandom(10, density=1e-6)
    with pytest.raises(ValueError, match="radius"):
        tdn.FixedRandom(4, radius=0.0)
    with pytest.raises(ValueError, match=r"FixedRandom: expected an input \[..., 4\], got shape \(2, 5\)"):
        tdn.FixedRandom(4)(torch.zeros(2, 5))
    with pytest.raises(TypeError, match="FixedRandom: expected a tensor"):
        tdn.FixedRandom(4)([1.0])


def test_what_was_drawn_cannot_be_asked_for_anew():
    reservoir = tdn.EchoState(5, radius=0.5)
    assert (reservoir.radius, reservoir.density, reservoir.seed) == (0.5, 1.0, 0)
    with pytest.raises(AttributeError, match=r"FixedRandom.radius: expected weights that stay .*; build another one"):
        reservoir.radius = 0.9
