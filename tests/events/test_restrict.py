"""A module seen by some of its neurons."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.events.restrict import restricted


def test_quantities_of_some_neurons():
    module = tdn.LIF(tdn.Learned(torch.tensor([5.0, 6.0, 7.0, 8.0])), v_th=2.0)
    with restricted(module, torch.tensor([3, 1, 1])):
        assert module.tau_mem().tolist() == [8.0, 6.0, 6.0]
        assert module.v_th().item() == 2.0
        with restricted(module, slice(2)):
            module.tau_mem().sum().backward()
        assert module.tau_mem().shape == (3,)
    assert module.tau_mem().shape == (4,)
    assert module.tau_mem.raw.grad.tolist() == [0.0, 6.0, 0.0, 8.0]  # d(tau)/d(raw) is tau


def test_an_error_inside_leaves_no_trace():
    module = tdn.LIF(torch.tensor([5.0, 6.0]))
    with pytest.raises(RuntimeError, match="inside"), restricted(module, torch.tensor([0])):
        raise RuntimeError("inside")
    assert module.tau_mem().tolist() == [5.0, 6.0]
