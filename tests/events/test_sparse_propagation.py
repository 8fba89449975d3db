"""Layers of a model that gather columns in place of dense products."""

import copy

import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.events import propagate_events


def test_shares_the_parameters_of_the_layer_it_replaces():
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    model = nn.Sequential(shared, nn.Sequential(nn.Linear(6, 4, bias=False)), shared)
    weights, before = list(model.parameters()), copy.deepcopy(model.state_dict())
    assert propagate_events(model, most_active=1) is model
    assert isinstance(model[0], tdn.EventLinear)
    assert isinstance(model[1][0], tdn.EventLinear)
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
        torch.testing.assert_close(model[0](x)[0], shared.weight[:, 3] + shared.bias)
        model[0].load_state_dict(nn.Linear(6, 6).state_dict())
        torch.testing.assert_close(model[0](x)[0], shared.weight[:, 3] + shared.bias)
        # Every way to change weights in place reaches the gathered columns, for there is no copy of them.
        shared.weight.data.mul_(2)
        torch.testing.assert_close(model[0](x)[0], shared.weight[:, 3] + shared.bias)


def test_the_weights_of_the_user_stay_as_they_lie():
    layer, image = nn.Linear(6, 4), nn.Conv2d(2, 3, 3)
    places = [(weight.data_ptr(), weight.stride()) for weight in (layer.weight, image.weight)]
    propagate_events(nn.Sequential(layer, image))
    assert [(weight.data_ptr(), weight.stride()) for weight in (layer.weight, image.weight)] == places
    assert nn.utils.parameters_to_vector([layer.weight, image.weight]).shape == (24 + 54,)


def test_a_whole_network_gives_what_it_gave():
    torch.manual_seed(0)
    chain = tdn.Chain(
        nn.Linear(200, 128),
        tdn.LIF(),
        tdn.Recurrent(tdn.LIF(), nn.Linear(128, 128)),
        nn.Linear(128, 64),
        tdn.LeakyIntegrator(),
    )
    with torch.no_grad():
        chain[0].weight.mul_(100)
    x = (torch.rand(40, 4, 200) < 0.04).float()
    expected, spikes = chain(x), chain[1](chain[0](x))
    propagate_events(chain, most_active=1)
    assert [type(layer) for layer in (chain[0], chain[3])] == [tdn.EventLinear] * 2
    assert type(chain[2].connection) is nn.Linear
    assert spikes.mean() > 0.02
    torch.testing.assert_close(chain(x), expected)


def test_a_linear_alone_and_a_parametrised_one():
    assert isinstance(propagate_events(nn.Linear(2, 3)), tdn.EventLinear)
    assert isinstance(propagate_events(nn.Conv2d(2, 3, 3)), tdn.EventConv2d)
    constrained = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    assert not isinstance(propagate_events(nn.Sequential(constrained))[0], tdn.EventLinear)
