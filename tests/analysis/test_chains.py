"""Chains of equations and layers without time as one field."""

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.analysis import as_field, eigenvalues, fixed_point, jacobian, trajectory


def two_layers() -> tuple[tdn.Chain, Tensor]:
    """A chain of two coupled layers, the second driven by the first through weights, and its input."""
    torch.manual_seed(0)
    first, second = tdn.CTRNN(3, 8.0, theta=0.2), tdn.RateNetwork(2, 5.0, activation=tdn.rates.Tanh())
    chain = tdn.Chain(nn.Linear(4, 3), first, nn.Linear(3, 2), out=second, readout=nn.Linear(2, 5))
    return chain, torch.randn(1, 4)


def test_a_chain_is_one_field_whose_layers_drive_each_other():
    """Block triangular: the second layer sees the first at that moment, the first does not see the second."""
    chain, current = two_layers()
    entry, first, between, second, _ = (layer.double() for layer in chain)

    def by_hand(s):
        x, r = s[..., :3], s[..., 3:]
        y = torch.sigmoid(x + 0.2)
        given = entry(current.double()) + first.connection(y)
        return torch.cat([(given - x) / 8, (torch.tanh(between(y) + second.connection(r)) - r) / 5], -1)

    field = as_field(chain, input=current)
    states = torch.randn(6, 5, dtype=torch.float64)
    torch.testing.assert_close(field(states), by_hand(states), rtol=1e-6, atol=1e-9)  # theta is kept in float32
    assert field.names(5) == ("1.x[0]", "1.x[1]", "1.x[2]", "out.r[0]", "out.r[1]")
    slope = jacobian(chain, states[0], input=current)
    assert slope[..., :3, 3:].abs().max() == 0
    assert slope[..., 3:, :3].abs().min() > 0
    rest = fixed_point(chain, torch.zeros(5), input=current)
    eigenvalues(chain, rest, input=current).real.sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in (entry, between))
    assert chain.readout.weight.grad is None


def test_a_chain_goes_where_its_field_does():
    """What it does step by step, and each of its steps to first order."""
    chain, current = two_layers()
    chain = chain.double()
    state = chain.initial_state(current.double())
    tdn.set_dt(chain, 0.01)
    with tdn.backend("eager"):
        _, end = chain.scan(current.double().expand(1000, 1, 4), state)
    path = trajectory(chain, state, [10.0], input=current)
    field = as_field(chain, input=current)
    torch.testing.assert_close(path[-1], field.flat(end), rtol=2e-3, atol=1e-4)
    torch.testing.assert_close(
        field.stepped(field.flat(state), None, None), field.flat(chain.step(current.double(), state)[1])
    )


REFUSED_CHAINS = {
    "nothing moves": (tdn.Chain(nn.Linear(2, 2)), TypeError, "among the layers, got none"),
    "a step of delay": (
        tdn.Chain(tdn.Recurrent(tdn.RateUnit(), nn.Linear(2, 2))),
        ValueError,
        "without a delay",
    ),
    "a synapse": (
        tdn.Chain(tdn.DoubleExponentialSynapse(), tdn.CTRNN(2)),
        TypeError,
        "Synapse, which is known",
    ),
    "spikes drive": (tdn.Chain(tdn.LIF(), tdn.LeakyIntegrator()), ValueError, "got LIF, whose spikes jump in the inp"),
    "dropout": (tdn.Chain(nn.Dropout(0.5), tdn.LeakyIntegrator()), ValueError, "without chance"),
    "widths": (
        tdn.Chain(tdn.CTRNN(2), nn.Linear(2, 3), tdn.CTRNN(4)),
        ValueError,
        "input of width 4 for Linear, got 3",
    ),
    "width of a layer": (tdn.Chain(nn.Linear(3, 3), tdn.CTRNN(3)), ValueError, "width 3 for Linear, got 2"),
}


@pytest.mark.parametrize("name", REFUSED_CHAINS)
def test_what_is_no_field_in_a_chain(name):
    chain, kind, message = REFUSED_CHAINS[name]
    with pytest.raises(kind, match=rf"^.+: expected .*{message}"):
        as_field(chain, torch.full((2,), 0.1), input=torch.ones(1, 2), between_spikes=True)


def test_a_cell_behind_a_layer_is_analysed_below_its_threshold():
    chain = tdn.Chain(nn.Linear(1, 1, bias=False), tdn.LIF(5.0))
    chain[0].weight.data.fill_(0.5)
    at = {"input": torch.ones(1, 1), "between_spikes": True}
    assert fixed_point(chain, torch.zeros(1), **at).item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="beyond it"):
        fixed_point(chain, torch.zeros(1), **{**at, "input": torch.full((1, 1), 3.0)})
    with pytest.raises(ValueError, match="threshold of LIF"):
        fixed_point(chain, torch.zeros(1), input=torch.ones(1, 1))


def test_a_pair_takes_both_inputs_in_one_tensor_as_it_does_when_it_runs():
    pair, current = tdn.WilsonCowan(), torch.tensor([[1.5, 0.5]])
    apart = fixed_point(pair, torch.zeros(2), input=(current[:, :1], current[:, 1:]))
    torch.testing.assert_close(fixed_point(pair, torch.zeros(2), input=current), apart)
    state = pair.scan(current.expand(400, 1, 2))[1]
    torch.testing.assert_close(fixed_point(pair, state, input=current)[0], apart)


def test_a_cell_with_two_inputs_in_one_tensor_is_analysed_below_its_threshold():
    cell, current = tdn.ConductanceLIF(), torch.zeros(1, 2)
    state = cell.initial_state(current)
    rest = fixed_point(cell, state, input=current, between_spikes=True)
    torch.testing.assert_close(rest[0, 0], state.v.double().flatten()[0])
