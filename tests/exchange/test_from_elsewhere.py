"""Whole models of snnTorch and SpikingJelly as chains with the same weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import torchdyn_neuro as tdn
from torchdyn_neuro.exchange import from_snntorch, from_spikingjelly

pytestmark = pytest.mark.filterwarnings("ignore")


def given(*shape: int) -> torch.Tensor:
    return torch.rand(40, 2, *shape, generator=torch.Generator().manual_seed(5))


def check(net: tdn.Chain, model: nn.Module, x: torch.Tensor, expected: torch.Tensor) -> None:
    with torch.no_grad():
        assert torch.equal(net(x), expected)
    assert 0.02 < expected.mean() < 0.98


@pytest.fixture
def snn():
    return pytest.importorskip("snntorch", reason="the extra bench")


def lively(model: nn.Module, gain: float) -> nn.Module:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(gain)
    return model.eval()


def test_a_model_of_snntorch(snn):
    torch.manual_seed(1)
    inside = {"init_hidden": True}
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        snn.Leaky(torch.tensor(0.9), **inside, reset_mechanism="zero"),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Sequential(nn.Linear(8, 12), snn.Leaky(0.9 * torch.ones(12), **inside, learn_beta=True)),
        nn.Linear(12, 12),
        snn.RLeaky(0.8, linear_features=12, **inside),
        nn.Linear(12, 12),
        snn.RSynaptic(0.6, 0.8, linear_features=12, reset_mechanism="zero", **inside),
        nn.Linear(12, 5),
        snn.Synaptic(0.5, 0.8, threshold=0.5, **inside),
        nn.Linear(5, 5),
        snn.Leaky(1.0, threshold=0.5, reset_mechanism="zero", **inside),
    )
    model, x = lively(model, 1.5), given(1, 6, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    net = from_snntorch(model, dt=0.5)
    assert {part.dt for part in net.modules() if isinstance(part, tdn.Dynamics)} == {0.5}
    with torch.no_grad():
        expected = torch.stack([model(x_t) for x_t in x])
    check(net, model, x, expected)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert torch.equal(net[0].weight, model[0].weight)


def test_a_delayed_reset_is_not_scaled_as_the_input_is(snn):
    model = nn.Sequential(snn.Lapicque(R=2.0, C=5.0, time_step=1, threshold=0.5, init_hidden=True))
    net, x = from_snntorch(model), given(6)
    check(net, model, x, torch.stack([model(x_t) for x_t in x]))


def test_shared_weights_stay_shared_and_the_type_is_kept(snn):
    linear, twin = nn.Linear(4, 4), nn.Linear(4, 4)
    twin.weight = linear.weight
    leaky = [snn.Leaky(0.9, init_hidden=True) for _ in range(3)]
    model = nn.Sequential(linear, leaky[0], linear, leaky[1], twin, leaky[2])
    net, x = from_snntorch(model), 4 * given(4)
    assert net[0] is net[2]
    assert net[0].weight is net[4].weight is not linear.weight
    assert torch.equal(net(x), torch.stack([model(x_t) for x_t in x]))
    assert from_snntorch(model.double())(x.double()).dtype is torch.float64
    with pytest.raises(ValueError, match="'2', a Leaky: expected neurons in one place"):
        from_snntorch(nn.Sequential(leaky[0], nn.Linear(4, 4), leaky[0]))
    prune.l1_unstructured(linear, "weight", 0.5)
    with pytest.raises(ValueError, match="'0', a Linear: expected weights that are parameters of their own"):
        from_snntorch(nn.Sequential(linear, leaky[0]))


def test_layers_of_snntorch_that_do_not_map(snn):
    refused = {
        "layer '1', a Alpha": snn.Alpha(0.9, 0.8),
        "neither inhibition nor state_quant": snn.Leaky(0.9, inhibition=True),
        "graded_spikes_factor=1": snn.Leaky(0.9, graded_spikes_factor=2.0),
        "expected decays between 0 and 1, or 1 for all, got 0": snn.Leaky(0.0),
        "expected alpha between 0 and 1": snn.Synaptic(1.0, 0.5),
        "a LSTM": nn.LSTM(4, 4),
    }
    for message, layer in refused.items():
        with pytest.raises(ValueError, match="from_snntorch: layer '1'") as caught:
            from_snntorch(nn.Sequential(nn.Linear(4, 4), layer))
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="expected a model with neurons"):
        from_snntorch(nn.Sequential(nn.Linear(4, 4)))
    with pytest.raises(TypeError, match="from_snntorch: expected a model"):
        from_snntorch("model")


@pytest.fixture
def jelly():
    return pytest.importorskip("spikingjelly.activation_based.neuron", reason="the extra bench")


def test_a_model_of_spikingjelly(jelly):
    from spikingjelly.activation_based import functional, layer

    torch.manual_seed(1)
    model = nn.Sequential(
        layer.Conv2d(1, 4, 3),
        layer.BatchNorm2d(4),
        jelly.LIFNode(tau=4.0, v_reset=None, detach_reset=True),
        layer.SeqToANNContainer(nn.AvgPool2d(2), nn.Flatten()),
        layer.Dropout(0.2),
        layer.Linear(16, 12),
        jelly.ParametricLIFNode(init_tau=1.5),
        layer.LinearRecurrentContainer(jelly.IFNode(), 12, 12),
        layer.Delay(2),
        nn.Linear(12, 12, bias=False),
        jelly.LIFNode(tau=3.0, decay_input=False, v_reset=-0.2),
        layer.ElementWiseRecurrentContainer(jelly.CUBALIFNode(), torch.add),
    )
    functional.set_step_mode(model, "m")
    for container in (model[7], model[11]):
        container.sub_module.step_mode = "s"
    model, x = lively(model, 4.0), given(1, 6, 6)
    with torch.no_grad():
        expected = model(x)
    check(from_spikingjelly(model), model, x, expected)


def test_layers_of_spikingjelly_that_do_not_map(jelly):
    from spikingjelly.activation_based import layer

    refused = {
        "layer '1', a EIFNode: expected IFNode": jelly.EIFNode(),
        "expected v_reset of 0 or None, got 0.1": jelly.CUBALIFNode(v_reset=0.1),
        "expected decode=None, got 'max-mem'": jelly.NonSpikingLIFNode(decode="max-mem"),
        "as many neurons as inputs, got 3 and 4": layer.LinearRecurrentContainer(jelly.IFNode(), 4, 3),
        "a SynapseFilter": layer.SynapseFilter(tau=2.0),
        "expected element_wise_function=torch.add": layer.ElementWiseRecurrentContainer(jelly.IFNode(), torch.mul),
    }
    for message, part in refused.items():
        with pytest.raises(ValueError, match="from_spikingjelly: layer '1'") as caught:
            from_spikingjelly(nn.Sequential(nn.Linear(4, 4), part))
        assert message in str(caught.value)
