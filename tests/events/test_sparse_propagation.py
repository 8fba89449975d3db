"""Gathered columns against the dense product."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import torchdyn_neuro as tdn
from torchdyn_neuro.events import EventLinear, propagate_events


@pytest.fixture
def gathers(monkeypatch):
    """Counts how often columns are gathered."""
    calls = []
    gather = EventLinear._gather

    def counted(layer, rows):
        calls.append(rows.shape)
        return gather(layer, rows)

    monkeypatch.setattr(EventLinear, "_gather", counted)
    return calls


@pytest.mark.parametrize("kind", ["spikes", "counts", "graded"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_dense_product(kind, bias, dtype, gathers):
    torch.manual_seed(0)
    active = (torch.rand(20, 3, 60) < 0.03).to(dtype)
    active[4] = 0  # a frame without any spike, and the last row of all too
    active[-1, -1] = 0
    size = {"spikes": 1, "counts": torch.randint(1, 5, active.shape), "graded": torch.randn(active.shape)}[kind]
    x = (active * size).to(dtype)
    dense = nn.Linear(60, 17, bias=bias, dtype=dtype)
    expected = functional.linear(x, dense.weight, dense.bias).detach()
    layer = EventLinear.from_linear(dense, most_active=1)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(layer(x[0]), expected[0])
        torch.testing.assert_close(layer(torch.zeros(2, 60, dtype=dtype)), dense(torch.zeros(2, 60, dtype=dtype)))
    assert len(gathers) == 3


def test_chooses_the_dense_product_where_it_must(gathers):
    torch.manual_seed(0)
    layer, small = EventLinear(256, 256), EventLinear(256, 16)
    sparse, full = (torch.rand(10, 4, 256) < 0.02).float(), torch.rand(10, 4, 256)
    layer(sparse).sum().backward()
    assert torch.equal(layer.weight.grad, sparse.sum((0, 1)).expand(256, 256))
    with torch.no_grad():
        torch.testing.assert_close(layer(full), functional.linear(full, layer.weight, layer.bias))
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(sparse).dtype == torch.bfloat16
        with pytest.raises(RuntimeError, match="shapes"):
            layer(sparse[..., :-1])
        layer(sparse[0])
        small(sparse)
        assert not gathers
        torch.testing.assert_close(layer(sparse), functional.linear(sparse, layer.weight, layer.bias))
        EventLinear(256, 16, most_active=1)(full)
    assert len(gathers) == 2


def test_shares_the_parameters_of_the_layer_it_replaces():
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    model = nn.Sequential(shared, nn.Sequential(nn.Linear(6, 4, bias=False)), shared)
    weights, before = list(model.parameters()), copy.deepcopy(model.state_dict())
    assert propagate_events(model, most_active=1) is model
    assert isinstance(model[0], EventLinear)
    assert isinstance(model[1][0], EventLinear)
    assert model[0] is model[2]
    assert all(new is old for new, old in zip(model.parameters(), weights, strict=True))
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in before.items()
    }

    x = torch.zeros(1, 6)
    x[0, 3] = 1
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.1)
    shared(x).sum().backward()
    optimizer.step()
    with torch.no_grad():
        expected = shared.weight[:, 3] + shared.bias
        torch.testing.assert_close(model[0](x)[0], expected)
        model[0].load_state_dict(nn.Linear(6, 6).state_dict())
        torch.testing.assert_close(model[0](x)[0], shared.weight[:, 3] + shared.bias)
        # Every way to change weights in place reaches the gathered columns, for there is no copy of them.
        shared.weight.data.mul_(2)
        torch.testing.assert_close(model[0](x)[0], shared.weight[:, 3] + shared.bias)
    assert shared.weight.t().is_contiguous()
    assert copy.deepcopy(model[0]).weight.t().is_contiguous()


def test_a_weight_laid_out_anew_is_still_right():
    layer = EventLinear(5, 3, most_active=1)
    layer.weight = nn.Parameter(torch.arange(15.0).reshape(3, 5))
    with torch.no_grad():
        torch.testing.assert_close(layer(torch.eye(5)[2:3])[0], layer.weight[:, 2] + layer.bias)


def test_chain_and_recurrent_use_it(gathers):
    torch.manual_seed(0)
    chain = tdn.Chain(
        nn.Linear(50, 30),
        tdn.LIF(),
        tdn.Recurrent(tdn.LIF(), nn.Linear(30, 30)),
        nn.Linear(30, 4),
        tdn.LeakyIntegrator(),
    )
    with torch.no_grad():
        chain[0].weight.mul_(100)
    x = (torch.rand(40, 2, 50) < 0.04).float()
    with torch.no_grad():
        expected, spikes = chain(x), chain[1](chain[0](x))
        propagate_events(chain, most_active=1)
        assert type(chain[2].connection) is nn.Linear  # small: the fused loop is faster
        chain[2].connection = EventLinear.from_linear(chain[2].connection, most_active=1)
        got = chain(x)
    assert spikes.mean() > 0.02
    assert len(gathers) >= 42  # both feed-forward layers once, the recurrent one in every step
    torch.testing.assert_close(got, expected)


def test_a_large_recurrent_connection_is_replaced():
    large = tdn.Recurrent(tdn.LIF(), nn.Linear(2048, 2048))
    assert isinstance(propagate_events(large).connection, EventLinear)


def test_a_linear_alone_and_a_parametrised_one():
    assert isinstance(propagate_events(nn.Linear(2, 3)), EventLinear)
    constrained = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    assert not isinstance(propagate_events(nn.Sequential(constrained))[0], EventLinear)


@pytest.mark.parametrize("most_active", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_bounds_raises(most_active):
    with pytest.raises(ValueError, match="from 0 to 1"):
        EventLinear(2, 3, most_active=most_active)
