"""Models as graphs of NIR and back: bit for bit the same."""

import numpy as np
import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.connections import DaleLinear
from torchdyn_neuro.exchange import SpikeThreshold, from_nir, to_nir
from torchdyn_neuro.layers import RecurrentBlock
from torchdyn_neuro.models import SpikingPerceptron

nir = pytest.importorskip("nir", reason="the extra nir")
RESETS_TO_A_VALUE = "v_reset" in nir.LIF.__dataclass_fields__


def spikes_in(*shape: int, steps: int = 40, batch: int = 2, share: float = 0.4, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(steps, batch, *shape, generator=generator) < share).to(dtype)


def linear(inputs: int, outputs: int, gain: float = 2.0, **options) -> nn.Linear:
    torch.manual_seed(inputs + outputs)
    layer = nn.Linear(inputs, outputs, **options)
    with torch.no_grad():
        layer.weight.mul_(gain)
    return layer


PER_NEURON = torch.tensor([5.3, 10.0, 17.9])
CASES = {
    "LIF subtract": (tdn.LIF(PER_NEURON, R=40.0), 3),
    "LIF zero": (tdn.LIF(7.0, R=30.0, reset="zero", v_th=PER_NEURON), 3),
    "LIF value": (tdn.LIF(R=300.0, v_rest=-65.0, v_th=-50.0, v_reset=-70.0, reset="value", t_ref=2.0), 3),
    "LIF none": (tdn.LIF(7.0, R=5.0, reset="none", v_init=0.9, integrator=tdn.Euler(substeps=2)), 3),
    "ParametricLIF": (tdn.ParametricLIF(6.0, R=20.0), 3),
    "IF": (tdn.IF(C=0.37, v_th=2.0), 3),
    "IF from rest": (tdn.IF(C=2.3, v_rest=-1.0, v_th=0.5, reset="value", v_reset=-0.5), 3),
    "SynapticLIF": (tdn.SynapticLIF(11.0, PER_NEURON, R=3.0), 3),
    "LeakyIntegrator": (tdn.LeakyIntegrator(PER_NEURON, v_rest=-0.3, R=2.1, v_init=1.0, integrator=tdn.Heun()), 3),
    "ExponentialSynapse": (tdn.ExponentialSynapse(PER_NEURON), 3),
    "ExponentialSynapse area": (tdn.ExponentialSynapse(4.7, normalize="area"), 3),
    "Delay": (tdn.Delay(torch.tensor([0.0, 2.0, 3.5])), 3),
    "OneToOne": (tdn.OneToOne(3, 0.7), 3),
    "SpikeThreshold": (SpikeThreshold(0.5), 3),
    "Linear": (linear(3, 4, bias=False), 3),
    "Affine": (linear(3, 4), 3),
    "DaleLinear": (DaleLinear(4, 3, 2), 7),
    "Conv1d": (tdn.Stepwise(nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2)), (2, 9)),
    "Conv2d": (tdn.Stepwise(nn.Conv2d(2, 4, (3, 2), stride=(2, 1), dilation=(1, 2), bias=False)), (2, 9, 8)),
    "Conv2d same": (tdn.Stepwise(nn.Conv2d(1, 2, 3, padding="same", dilation=2)), (1, 5, 6)),
    "SumPool2d": (tdn.Stepwise(nn.AvgPool2d((2, 1), padding=(1, 0), divisor_override=1)), (1, 6, 4)),
    "AvgPool2d": (tdn.Stepwise(nn.AvgPool2d(2, stride=1)), (2, 4, 4)),
    "Flatten": (tdn.Stepwise(nn.Flatten(2)), (2, 3, 4)),
    "Recurrent": (tdn.Recurrent(tdn.LIF(5.0, R=20.0), linear(3, 3)), 3),
    "Network": (tdn.Network(tdn.IF(reset="zero"), tdn.Chain(linear(3, 3), tdn.Delay(1.0)), delay=3.0), 3),
    "two layers in a loop": (
        tdn.Recurrent(tdn.Chain(linear(3, 4, 9.0), tdn.IF(), linear(4, 3, 9.0)), nn.Identity()),
        3,
    ),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("name", list(CASES))
def test_a_layer_comes_back_as_it_was(name, tmp_path):
    layer, shape = CASES[name]
    shape = (shape,) if isinstance(shape, int) else shape
    nir.write(tmp_path / "layer.nir", to_nir(layer, shape, metadata=True))
    back = from_nir(tmp_path / "layer.nir")
    x = spikes_in(*shape)
    expected = layer(x)
    y = back(x)
    assert torch.equal(y, expected)
    assert expected.abs().sum() > 0
    if isinstance(layer, tdn.Spiking):
        assert 0 < expected.mean() < 1
    if type(layer) is type(back):
        for kept, (key, quantity) in zip(back.modules(), layer.named_modules(), strict=True):
            if isinstance(kept, tdn.core.quantities.Constrained):
                assert torch.equal(kept().broadcast_to(quantity().shape), quantity()), key


def conv_net() -> tdn.Chain:
    torch.manual_seed(0)
    return tdn.Chain(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        tdn.LIF(tau_mem=torch.tensor([4.0, 6.0, 8.0, 9.0]).reshape(4, 1, 1), R=20.0),
        nn.AvgPool2d(2, divisor_override=1),
        nn.Flatten(),
        nn.Dropout(),
        linear(64, 10),
        hidden=tdn.Recurrent(tdn.SynapticLIF(R=10.0), linear(10, 10, bias=False)),
        classify=linear(10, 3),
        readout=tdn.LeakyIntegrator(),
    )


def test_a_network_comes_back_as_it_was(tmp_path):
    net = conv_net().eval()
    graph = to_nir(net, (1, 8, 8), metadata=True)
    nir.write(tmp_path / "net.nir", graph)
    back, x = from_nir(tmp_path / "net.nir"), spikes_in(1, 8, 8)
    expected = tdn.record(net, x, ["hidden.output", "output"])
    found = tdn.record(back, x, ["hidden.output", "output"])
    assert 0 < expected["hidden.output"].mean() < 1
    # The batch norm has gone into the convolution, which rounds otherwise.
    assert torch.equal(found["hidden.output"], expected["hidden.output"])
    torch.testing.assert_close(found["output"], expected["output"])
    assert [type(layer).__name__ for layer in back] == [
        *("Conv2d", "LIF", "AvgPool2d", "Flatten", "Linear", "Recurrent", "Linear", "LeakyIntegrator")
    ]
    assert torch.equal(back[-2].weight, net.classify.weight)
    assert back[1].tau_mem().shape == (4, 1, 1)


def test_double_precision_comes_back_to_the_last_bit():
    generator = torch.Generator().manual_seed(0)
    tau = 1 + 50 * torch.rand(2000, dtype=torch.float64, generator=generator)
    # Dividing by 1000 gives no two of these the same value.
    tau = tau[(torch.frexp(tau).mantissa < 0.976)]
    lif = tdn.LIF(tau, R=tau.flip(0)).double()
    back = from_nir(to_nir(lif, len(tau), metadata=True), dtype=torch.float64)
    assert torch.equal(back.tau_mem(), tau)
    assert torch.equal(back.R(), tau.flip(0))


def test_layers_in_other_containers_are_found():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(2), linear(8, 6), tdn.LIF(R=20.0), nn.Sequential(linear(6, 4), RecurrentBlock(4, 5))
    ).eval()
    back, x = from_nir(to_nir(net, (2, 4), metadata=True)), spikes_in(2, 4)
    assert torch.equal(back(x), net(x))
    model = SpikingPerceptron((2, 4), 3, hidden=[6], neuron=tdn.LIF(R=20.0)).eval()
    assert torch.equal(from_nir(to_nir(model, (2, 4), metadata=True))(x), model(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.lif = linear(4, 4), tdn.LIF(R=20.0)
        self.second, self.last = linear(4, 4), tdn.LIF(R=20.0)
        self.nothing = nn.Identity()

    def forward(self, x):
        spikes = self.lif(self.first(x))
        return self.last(self.second(spikes) + self.nothing(x)) + spikes


def test_branches_part_and_meet():
    net, x = Residual(), spikes_in(4)
    graph = to_nir(net, 4, metadata=True)
    assert ("lif", "output") in graph.edges
    assert torch.equal(from_nir(graph)(x), net(x))
    assert net(x).max() == 2
    with pytest.raises(ValueError, match="to_nir: expected a forward that only passes tensors"):
        to_nir(nn.Sequential(Multiplied()), 4)


class Multiplied(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = linear(4, 4)

    def forward(self, x):
        return self.layer(x) * 2


def node(kind: str, **fields):
    """A node with one value for each of three neurons."""
    return getattr(nir, kind)(**{name: np.full(3, value) for name, value in fields.items()})


def test_units_are_those_of_nir():
    """By the equations of NIR, in seconds, taken in steps of dt."""
    x, dt = spikes_in(3), 0.5
    graph = nir.NIRGraph.from_list(node("LI", tau=0.02, r=3.0, v_leak=-0.1))
    y, v = from_nir(graph, dt, integrator=tdn.Euler())(x), -0.1 * torch.ones(2, 3)
    for step, x_t in enumerate(x):
        v = v + dt * 1e-3 / 0.02 * (-0.1 - v + 3.0 * x_t)
        torch.testing.assert_close(y[step], v)
    y, v = from_nir(nir.NIRGraph.from_list(node("IF", r=700.0, v_threshold=1.2)), dt)(x), torch.zeros(2, 3)
    for step, x_t in enumerate(x):
        v = v + dt * 1e-3 * 700.0 * x_t
        assert torch.equal(y[step], (v > 1.2).float())
        v = torch.where(v > 1.2, torch.zeros_like(v) if RESETS_TO_A_VALUE else v - 1.2, v)
    assert 0 < y.mean() < 1


@pytest.mark.parametrize("synapse", ["first", "joint"])
def test_a_current_moves_on_first_or_with_the_membrane(synapse):
    dt, tau, x = 1e-3, 5e-3, spikes_in(3)
    cell = node("CubaLIF", tau_mem=0.02, tau_syn=tau, r=4.0, v_leak=0.0, v_threshold=1.0, w_in=6.0)
    model = from_nir(
        nir.NIRGraph.from_list(cell), 1.0, synapse=synapse, integrator=tdn.Euler(), reset="value", dtype=torch.float64
    )
    y, v, current = model(x.double()), torch.zeros(2, 3).double(), torch.zeros(2, 3).double()
    for step, x_t in enumerate(x):
        before = current
        current = current + dt / tau * (-current + 6.0 * x_t)
        v = v + dt / 0.02 * (-v + 4.0 * (current if synapse == "first" else before))
        spikes = v > 1.0
        assert torch.equal(y[step], spikes.double()), step
        v = torch.where(spikes, torch.zeros_like(v), v)
    assert 0 < y.mean() < 1


@pytest.mark.skipif(not hasattr(nir, "CubaLI"), reason="CubaLI came with NIR 1.0.6")
def test_a_current_in_front_of_a_membrane_without_threshold():
    graph = nir.NIRGraph.from_list(node("CubaLI", tau_mem=0.02, tau_syn=0.005, r=4.0, v_leak=0.0, w_in=6.0))
    model, x = from_nir(graph, 1.0), spikes_in(3)
    assert torch.equal(model(x), tdn.LeakyIntegrator(20.0, R=4.0)(tdn.LeakyIntegrator(5.0, R=6.0)(x)))


def lif(**options) -> "nir.LIF":
    return node("LIF", **({"tau": 5e-3, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0} | options))


def test_a_loop_without_a_graph_of_its_own():
    weight = linear(3, 3, bias=False)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "lif": lif(),
        "w_rec": nir.Linear(weight=weight.weight.detach().numpy()),
        "output": nir.Output({"output": np.array([3])}),
    }
    graph = nir.NIRGraph(nodes, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
    model, x = from_nir(graph, 1.0, reset="subtract"), spikes_in(3)
    assert torch.equal(model(x), tdn.Recurrent(tdn.LIF(5.0, R=20.0), weight)(x))


def chain(*layers) -> tdn.Chain:
    return tdn.Chain(linear(3, 3), *layers)


REFUSED = {
    "a Hodgkin-Huxley": (chain(tdn.HodgkinHuxley(dt=0.01)), "'1', a HodgkinHuxley, which is none of them"),
    "adaptation": (chain(tdn.AdaptiveLIF()), "a AdaptiveLIF"),
    "noise": (chain(tdn.LIF(noise=tdn.WhiteNoise())), "with WhiteNoise as noise; export it with noise=None"),
    "t_ref": (chain(tdn.LIF(t_ref=2.0, reset="zero")), "t_ref"),
    "v_init": (chain(tdn.LeakyIntegrator(v_init=0.5)), "v_init"),
    "integrator": (chain(tdn.LIF(integrator=tdn.Interpolated(tdn.RK4()))), "whose integrator is Interpolated"),
    "kernel": (chain(tdn.Delay(1.0, max_delay=5.0, kernel="gaussian")), "gaussian kernel"),
    "mean": (chain(tdn.ExponentialSynapse(output="mean")), 'output="mean"'),
    "max pooling": (tdn.Chain(nn.MaxPool2d(2)), "a MaxPool2d"),
    "ceil": (tdn.Chain(nn.AvgPool2d(2, ceil_mode=True)), "with ceil_mode"),
    "padding": (tdn.Chain(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "pads with 'reflect'"),
    "inside a step": (chain(tdn.Network(tdn.LIF(), tdn.GapJunction(3), source="v")), "coupled inside the step"),
    "a rectifier": (chain(nn.ReLU()), "'1', a ReLU"),
    "a norm elsewhere": (tdn.Chain(tdn.LIF(), nn.BatchNorm2d(1)), "expected batch norms with running statistics"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_has_no_node_is_refused_by_name(name):
    model, message = REFUSED[name]
    with pytest.raises(ValueError, match="to_nir: expected") as caught:
        to_nir(model, 3 if isinstance(model[0], nn.Linear) else (1, 4, 4))
    assert message in str(caught.value)


def test_a_reset_that_nir_does_not_say_is_refused_without_metadata():
    said, unsaid = ("zero", "subtract") if RESETS_TO_A_VALUE else ("subtract", "zero")
    to_nir(chain(tdn.LIF(reset=said)))
    with pytest.raises(ValueError, match=f"whose reset='{unsaid}' the fields of this version"):
        to_nir(chain(tdn.LIF(reset=unsaid)))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="to_nir: expected input_shape"):
        to_nir(tdn.Chain(tdn.LIF()))
    with pytest.raises(ValueError, match="to_nir: expected an input of width 3 for Linear, got 4"):
        to_nir(chain(), 4)
    with pytest.raises(TypeError, match="to_nir: expected a model"):
        to_nir("model")
    with pytest.raises(ValueError, match="flattens time or batch"):
        to_nir(nn.Sequential(nn.Flatten(), linear(3, 3)), 3)
    with pytest.raises(TypeError, match="from_nir: expected a graph"):
        from_nir(lif())
    graph = nir.NIRGraph.from_list(lif())
    with pytest.raises(ValueError, match="from_nir: expected dt"):
        from_nir(graph)
    with pytest.raises(ValueError, match="synapse to be one of"):
        from_nir(graph, 1.0, synapse="last")
    with pytest.raises(ValueError, match="node 'lif', LIF: LIF: expected v_th above"):
        from_nir(nir.NIRGraph.from_list(lif(v_threshold=-1.0)), 1.0)
    with pytest.raises(ValueError, match="got 'i', a I; take it out"):
        from_nir(nir.NIRGraph.from_list(node("I", r=1.0)), 1.0)


def test_a_loop_that_says_no_order_is_refused():
    names = ("input", "a", "b", "c", "output")
    kinds = [nir.Input({"input": np.array([3])}), lif(), lif(), lif(), nir.Output({"output": np.array([3])})]
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("c", "output")]
    with pytest.raises(ValueError, match=r"expected loops of nodes in a circle.* through a, b, c"):
        from_nir(nir.NIRGraph(dict(zip(names, kinds, strict=True)), edges), 1.0)
