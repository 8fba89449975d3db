"""A step as a function for another loop: what it holds, and what has none."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.stepper import WIDEST, stepper


def test_what_depends_on_parameters_is_held():
    """One vector of what is the same for all neurons, a whole array of what each has for itself."""
    x = torch.zeros(1, 200)
    alike = tdn.LIF(20.0)
    held = stepper(alike, x, alike.initial_state(x)).held
    assert all(tensor.numel() < WIDEST and tensor.unique().numel() == 1 for tensor in held)
    each = tdn.LIF(torch.linspace(10.0, 20.0, 200))
    held = stepper(each, x, each.initial_state(x)).held
    decay = torch.exp(-1 / torch.linspace(10.0, 20.0, 200))
    assert any(tensor.numel() == 2 * WIDEST and torch.allclose(tensor[:200], decay) for tensor in held)


def test_a_parameter_that_changed_is_computed_anew():
    x, cell = torch.zeros(1, 3), tdn.LIF(tdn.Learned(20.0))
    state = cell.initial_state(x)
    before = torch.cat(stepper(cell, x, state).held)
    cell.tau_mem.raw.data.sub_(1.0)
    assert not torch.equal(torch.cat(stepper(cell, x, state).held), before)


def test_what_is_no_step_of_one_element_is_refused():
    x = torch.zeros(1, 4)
    coupled = tdn.Network(tdn.LIF(), nn.Linear(4, 4, bias=False), delay=1.0)
    with pytest.raises(tdn.NotPointwise, match="Network: expected a step without products inside"):
        stepper(coupled, x, coupled.initial_state(x))
