"""Receptors against the textbook formula."""

import math

import pytest
import torch

import torchdyn_neuro as tdn


@pytest.mark.parametrize("magnesium", [0.0, 0.5, 2.0])
def test_magnesium_block_is_the_formula(magnesium):
    v = torch.linspace(-120, 60, 37, dtype=torch.float64)
    expected = torch.tensor([1 / (1 + magnesium / 3.57 * math.exp(-0.062 * u)) for u in v.tolist()], dtype=v.dtype)
    block = tdn.magnesium_block(v, torch.tensor(magnesium, dtype=torch.float64))
    torch.testing.assert_close(block, expected)


def test_nmda_current_has_its_minimum_between_rest_and_reversal():
    """The inward current is largest near -30 mV at 1 mM and grows monotonously without magnesium."""
    v = torch.linspace(-90, -1, 900, dtype=torch.float64)

    def current(receptor):
        receptor = receptor.double()
        return receptor.conductance(torch.ones_like(v), v) * (receptor.E_rev() - v)

    peak = v[current(tdn.NMDA()).argmax()].item()
    block = 1 / (1 + torch.exp(-0.062 * v) / 3.57)
    assert peak == v[(block * -v).argmax()].item()
    assert -45 < peak < -15
    assert (current(tdn.NMDA(magnesium=None)).diff() < 0).all()


def test_block_and_its_gradient_are_right_far_outside():
    v = torch.tensor([-1e6, 0.0, 1e6], requires_grad=True)
    block = tdn.magnesium_block(v, torch.tensor(1.0))
    block.sum().backward()
    half_open = 3.57 / 4.57
    torch.testing.assert_close(block, torch.tensor([0.0, half_open, 1.0]))
    torch.testing.assert_close(v.grad, torch.tensor([0.0, 0.062 * half_open * (1 - half_open), 0.0]))


def test_a_set_sums_conductances_and_pulls():
    receptors = tdn.ReceptorSet([tdn.AMPA(), tdn.NMDA(), tdn.GABA_A(), tdn.GABA_B()])
    v = torch.tensor([-50.0])
    g = [torch.tensor([value]) for value in (1.0, 2.0, 3.0, 4.0)]
    total, pull = receptors.total(g, v)
    open_nmda = 2 / (1 + math.exp(3.1) / 3.57)
    torch.testing.assert_close(total.item(), 1 + open_nmda + 3 + 4, rtol=1e-6, atol=0)
    torch.testing.assert_close(pull.item(), 3 * -70.0 + 4 * -95.0, rtol=1e-6, atol=0)
    assert tdn.ReceptorSet.of(receptors) is receptors


def test_bad_arguments_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"NMDA\.magnesium: expected 0 or a number above it"):
        tdn.NMDA(magnesium=-1.0)
    with pytest.raises(ValueError, match=r"Receptor\.tau_decay: expected a number above 0"):
        tdn.Receptor(0.0, tau_decay=0.0)
    with pytest.raises(TypeError, match="reversal potential"):
        tdn.ReceptorSet([0.0])


def test_a_silent_conductance_has_a_gradient_and_a_negative_one_none():
    g = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    total, pull = tdn.ReceptorSet([tdn.GABA_A(E_rev=-70.0)]).total((g,), torch.tensor(-60.0))
    torch.testing.assert_close(total, torch.tensor([0.0, 0.0, 3.0]))
    torch.testing.assert_close(torch.autograd.grad(total.sum() + pull.sum(), g)[0], torch.tensor([0.0, -69.0, -69.0]))
