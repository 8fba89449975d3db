"""A module seen by some of its neurons."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.events.restrict import evaluated, restricted


def test_quantities_of_some_neurons():
    module = tdn.LIF(tdn.Learned(torch.tensor([5.0, 6.0, 7.0, 8.0])), v_th=2.0)
    some = restricted(module, torch.tensor([3, 1, 1]))
    assert some.tau_mem().tolist() == [8.0, 6.0, 6.0]
    assert some.v_th().item() == 2.0
    restricted(some, slice(2)).tau_mem().sum().backward()
    assert some.tau_mem().shape == (3,)
    assert module.tau_mem().shape == (4,)
    assert module.tau_mem.raw.grad.tolist() == [0.0, 6.0, 0.0, 8.0]  # d(tau)/d(raw) is tau


def test_a_module_whose_neurons_share_everything_is_its_own_part():
    module = tdn.LIF(5.0)
    assert restricted(module, torch.tensor([0, 2])) is module


def test_quantities_are_computed_once():
    module = tdn.LIF(tdn.Learned(5.0))
    calls = []
    module.tau_mem.register_forward_hook(lambda *_: calls.append(1))
    still = evaluated(module)
    with torch.no_grad():
        module.tau_mem.raw += 1.0
    assert still.tau_mem().item() == 5.0
    assert calls == [1]
