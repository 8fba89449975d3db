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


def excited(gain=30.0, **arguments):
    """Conductance cells that excite each other."""
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.ConductanceLIF(), nn.Linear(4, 4, bias=False), **arguments)
    with torch.no_grad():
        layer.connection.weight.abs_().mul_(gain)
    return layer


def test_recurrent_around_a_cell_with_several_inputs():
    x = (4 * rows(30, 2, 4), rows(30, 2, 4))
    for place in (0, 1):
        layer = excited(input=place)
        y, state = layer.scan(x)
        inner, before, outputs = layer.neuron.initial_state((x[0][0], x[1][0])), torch.zeros(2, 4), []
        for x_t in zip(*x, strict=True):
            driven = [x_t[0], x_t[1]]
            driven[place] = driven[place] + layer.connection(before)
            before, inner = layer.neuron.step(tuple(driven), inner)
            outputs.append(before)
        assert_close(torch.stack(outputs), y)
        assert 0 < y.sum() < y.numel()
        assert_close(state.neuron, inner)
        assert_close(layer(torch.stack(x, 2)), y)
    assert not torch.equal(excited(input=0)(x), excited(input=1)(x))


def test_the_input_of_the_feedback_has_a_name():
    torch.manual_seed(0)
    x = tdn.TwoCompartmentInput(1e3 * rows(20, 2, 4), 400 * rows(20, 2, 4), (50 * rows(20, 2, 4),))
    neuron, connection = tdn.TwoCompartment(), nn.Linear(4, 4)
    first = x._fields[0]
    y = tdn.Recurrent(neuron, connection, input=first)(x)
    assert_close(y, tdn.Recurrent(neuron, connection, input=0)(x))
    assert y.shape == (20, 2, 4)
    with pytest.raises(ValueError, match=r"Recurrent: expected input= to name .* TwoCompartment .*input='no'"):
        tdn.Recurrent(neuron, connection, input="no")(x)


@pytest.mark.parametrize(
    ("arguments", "stacked", "message"),
    [
        ({}, False, r"Recurrent: expected input= .* ConductanceLIF .* got input=None for 2 inputs; pass"),
        ({}, True, r"Recurrent: expected input= .* ConductanceLIF .* got .*; pass"),
        ({"input": 2}, False, r"Recurrent: expected input= .* got input=2 for 2 inputs; pass"),
        ({"input": 2}, True, r"Recurrent: expected input= .* ConductanceLIF .* got input=2 for .*; pass"),
    ],
)
def test_several_inputs_need_a_choice(arguments, stacked, message):
    x = (rows(5, 2, 4), rows(5, 2, 4))
    with pytest.raises(ValueError, match=message):
        excited(**arguments)(torch.stack(x, 2) if stacked else x)


class Swap(nn.Module):
    """Takes and gives a tree."""

    def forward(self, x):
        return {"sum": x["a"] + x["b"][0], "parts": [x["b"][0].flatten(1), None, 7]}


def test_stepwise_takes_and_gives_trees():
    a, b = rows(5, 2, 3, 4), rows(5, 2, 3, 4)
    y = tdn.Stepwise(Swap())({"a": a, "b": (b,)})
    assert_close(y["sum"], a + b)
    assert_close(y["parts"][0], b.flatten(2))
    assert y["parts"][1:] == [None, 7]
    with pytest.raises(ValueError, match=r"Stepwise: expected inputs \[T, B, \*\] that share .*; give all"):
        tdn.Stepwise(Swap())({"a": a, "b": (b[:4],)})


def test_unfolded_takes_trees():
    x = (20 * rows(6, 2, 4), rows(6, 2, 4))
    cell = tdn.ConductanceLIF()
    assert_close(tdn.Stepwise(tdn.Unfolded(cell))(x), cell(x))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(3, 2, 4, dtype=torch.uint8), TypeError, "got torch.uint8; call x.float() first"),
        (torch.ones(3, 2, 4, dtype=torch.bool), TypeError, "got torch.bool; call x.float() first"),
        (torch.ones(3, 2, 4).to_sparse(), TypeError, "got torch.sparse_coo; call x.to_dense() first"),
        (torch.ones(3, 2, 4).numpy(), TypeError, "got ndarray; pass torch.as_tensor(x)"),
        ([[0.0]], TypeError, "got float; pass a tensor"),
        ((), TypeError, "got (); pass a tensor"),
    ],
)
def test_what_is_no_dense_sequence_of_numbers_is_refused_with_the_way_on(x, error, message):
    with pytest.raises(error, match=r"Stepwise: expected .*" + message.replace("(", r"\(").replace(")", r"\)")):
        tdn.Stepwise(nn.Linear(4, 3))(x)


def test_whole_numbers_go_where_they_belong():
    words = torch.randint(0, 9, (5, 2, 3))
    table = nn.Embedding(9, 4)
    assert_close(tdn.Stepwise(table)(words), table(words))
    assert torch.equal(tdn.Stepwise(nn.Flatten())(words > 4), (words > 4).flatten(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tdn.LIF(),
        lambda: tdn.Chain(nn.Linear(4, 4), tdn.ExponentialSynapse(), tdn.LIF()),
        lambda: tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)),
        lambda: nn.Sequential(tdn.Stepwise(nn.Sequential(nn.Linear(4, 4), tdn.Unfolded(tdn.LIF())))),
    ],
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tracers_get_the_eager_loop_or_a_refusal(make):
    from torch.fx.experimental.proxy_tensor import make_fx

    torch.manual_seed(0)
    model, x = make(), rows(6, 2, 4)
    with torch.no_grad():
        traced = torch.jit.trace(model, x, check_trace=False)
        graph = make_fx(model)(x)
        for other in (x, 0.3 * x, 2 * x):
            assert_close(traced(other), model(other))
            assert_close(graph(other), model(other))
    with pytest.raises(TypeError, match=r"expected to run in Python, got torch.jit.script, .*; use torch.export"):
        torch.jit.script(model)
    with pytest.raises(TypeError, match=r"expected a tensor .* got Proxy; "):
        torch.fx.symbolic_trace(model)
    with tdn.backend("cpp"), pytest.raises((RuntimeError, TypeError), match="expected"):
        torch.jit.trace(model, x, check_trace=False)


MIXED = {
    "chain": (lambda: tdn.Chain(tdn.LIF(), nn.Linear(4, 4), tdn.LIF()), "0"),
    "nested": (lambda: tdn.Chain(tdn.LIF(), tdn.Chain(tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)))), "1.0.neuron"),
    "recurrent": (lambda: tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)), "neuron"),
    "connection": (
        lambda: tdn.Recurrent(tdn.LIF(), tdn.Chain(nn.Linear(4, 4), tdn.ExponentialSynapse())),
        "connection.1",
    ),
    "plastic": (lambda: tdn.Chain(tdn.Plastic(nn.Linear(4, 4), tdn.Hebbian()), tdn.LIF()), "0"),
    "per synapse": (lambda: tdn.PlasticLinear(4, 4, tdn.TsodyksMarkram()), "plasticity"),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_part_with_a_clock_of_its_own_is_refused_at_the_next_call(name):
    build, path = MIXED[name]
    model, x = build(), rows(6, 2, 4).clamp(0, 1)
    expected = model(x)
    model.get_submodule(path).dt = 0.5
    for run in (model, model.scan, lambda x: nn.Sequential(model)(x), lambda x: tdn.record(model, x, ["output"])):
        with pytest.raises(ValueError, match=r": expected one dt, got 1 ms for itself and 0\.5 ms for .*set_dt"):
            run(x)
    tdn.set_dt(model, 1.0)
    assert torch.equal(model(x), expected)
