"""Chain, Recurrent and Stepwise."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def rows(*shape):
    return 3 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_chain_is_the_sequential():
    torch.manual_seed(0)
    layers = [nn.Linear(3, 4), tdn.ExponentialSynapse(), tdn.LIF(), nn.Linear(4, 2), tdn.LeakyIntegrator()]
    x = rows(20, 2, 3)
    y, state = tdn.Chain(*layers).scan(x)
    assert_close(y, nn.Sequential(*layers)(x), rtol=0, atol=0)
    assert [type(part).__name__ for part in state] == [
        "tuple",
        "ExponentialSynapseState",
        "LIFState",
        "tuple",
        "LeakyIntegratorState",
    ]


def test_chain_with_convolutions_steps_as_it_scans():
    torch.manual_seed(0)
    net = tdn.Chain(
        tdn.Stepwise(nn.Conv2d(1, 3, 3)), tdn.Stepwise(nn.BatchNorm2d(3)), tdn.LIF(), tdn.Stepwise(nn.Flatten())
    ).eval()
    x = rows(6, 2, 1, 5, 5)
    y, last = net.scan(x)
    state, outputs = net.initial_state(x[0]), []
    for x_t in x:
        y_t, state = net.step(x_t, state)
        outputs.append(y_t)
    assert_close(torch.stack(outputs), y)
    assert_close(state[2].v, last[2].v)


def test_initial_state_of_a_chain_touches_nothing():
    norm, drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
    net = tdn.Chain(tdn.Stepwise(norm), drop, tdn.LIF())
    torch.manual_seed(5)
    net.initial_state(torch.ones(3, 4))
    assert norm.num_batches_tracked == 0
    assert norm.training
    assert drop.training
    first = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(1))


def test_a_module_may_stand_in_two_places_of_a_chain():
    activation, cell = nn.ReLU(), tdn.LeakyIntegrator(5.0)
    net = tdn.Chain(activation, cell, activation, cell)
    x = rows(9, 2, 3)
    y, state = net.scan(x)
    assert len(net) == len(state) == 4
    assert_close(y, cell(cell(x)))
    assert net[-1] is cell
    assert list(net) == [activation, cell, activation, cell]


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, r"Chain: expected layers .*, got no layer; give"),
        ([tdn.LIF(dt=1.0), tdn.LIF(dt=0.5)], ValueError, r"Chain: expected layers that share one dt, got .*0.5, 1.0"),
        ([nn.Sequential(tdn.LIF())], ValueError, r"Chain: expected dynamics as direct layers, .*; use a Chain"),
        ([[tdn.LIF()]], TypeError, r"Chain: expected modules, got list; pass"),
    ],
)
def test_chain_errors(layers, error, message):
    with pytest.raises(error, match=message):
        tdn.Chain(*layers)


def test_recurrent_feeds_the_output_of_the_last_step_back():
    torch.manual_seed(0)
    connection, x = nn.Linear(4, 4), rows(25, 2, 4)
    layer = tdn.Recurrent(tdn.LIF(t_ref=2.0), connection)
    y, state = layer.scan(x)
    cell, inner, before = layer.neuron, layer.neuron.initial_state(x[0]), torch.zeros(2, 4)
    for x_t, y_t in zip(x, y, strict=True):
        before, inner = cell.step(x_t + connection(before), inner)
        assert_close(before, y_t)
    assert 0 < y.sum() < y.numel()
    assert_close(state.output, y[-1])
    assert_close(state.neuron, inner)
    y.sum().backward()
    assert connection.weight.grad.abs().sum() > 0


def test_recurrent_with_a_connection_that_has_a_state():
    torch.manual_seed(0)
    weights, x = nn.Linear(4, 4), rows(20, 2, 4)
    layer = tdn.Recurrent(tdn.LIF(), tdn.Chain(weights, tdn.ExponentialSynapse(8.0)))
    y, state = layer.scan(x)
    # The synapse sees the spikes one step late: the same as the current of the delayed output.
    late = torch.cat([torch.zeros(1, 2, 4), y[:-1]])
    current = tdn.ExponentialSynapse(8.0)(weights(late))
    assert_close(tdn.LIF()(x + current), y)
    assert_close(state.connection[1].s, current[-1])


@pytest.mark.parametrize(
    ("neuron", "connection", "error", "message"),
    [
        (nn.ReLU(), nn.Linear(2, 2), TypeError, r"Recurrent: expected a Dynamics as neuron, got ReLU; pass"),
        (tdn.LIF(), nn.Sequential(tdn.LIF()), ValueError, r"Recurrent: expected a connection .* use a Chain"),
        (tdn.LIF(), tdn.LIF(dt=0.5), ValueError, r"Recurrent: expected one dt, got 1.0 ms .* 0.5 ms .*; give"),
    ],
)
def test_recurrent_errors(neuron, connection, error, message):
    with pytest.raises(error, match=message):
        tdn.Recurrent(neuron, connection)


def test_stepwise_is_the_layer_on_every_frame():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(1, 2, 3), rows(5, 2, 1, 6, 6)
    y = tdn.Stepwise(layer)(x)
    assert_close(y, torch.stack([layer(x_t) for x_t in x]))
    assert_close(tdn.Stepwise(layer).step(x[1]), y[1])


def test_stepwise_errors():
    with pytest.raises(ValueError, match=r"Stepwise: expected a module without dynamics, got Sequential .*; wrap"):
        tdn.Stepwise(nn.Sequential(tdn.LIF()))
    with pytest.raises(ValueError, match=r"Stepwise: expected an input \[T, B, \*\], got shape \(3, 4\); put time"):
        tdn.Stepwise(nn.Flatten())(torch.ones(3, 4))
