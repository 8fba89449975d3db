"""Graphs of NIR that other programs run, or have written: spike by spike the same."""

import numpy as np
import pytest
import torch
from packaging.version import Version
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.exchange import from_nir, to_nir

nir = pytest.importorskip("nir", reason="the extra nir")
nirtorch = pytest.importorskip("nirtorch", reason="the extra bench")
NEWER = Version(nirtorch.version) >= Version("2.6")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("quiet")]


@pytest.fixture
def quiet(capsys):
    """They print."""
    yield
    capsys.readouterr()


def network(recurrent: bool, dt: float, tau: float, R: float) -> tdn.Chain:
    """Reset to zero and Euler's method, as in all of them."""
    torch.manual_seed(1)

    def lif() -> tdn.LIF:
        return tdn.LIF(tau, R=R, reset="zero", integrator=tdn.Euler(), dt=dt)

    back = nn.Linear(20, 20, bias=False)
    hidden = tdn.Recurrent(lif(), back) if recurrent else lif()
    net = tdn.Chain(nn.Linear(10, 20), hidden, nn.Linear(20, 5), lif())
    gain = 2.5 * tau / dt / R
    with torch.no_grad():
        for layer in (net[0], back, net[2]):
            layer.weight.mul_(gain)
    return net


def run_steps(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    outputs, state = [], None
    with torch.no_grad():
        for x_t in x:
            y_t, state = model(x_t, state)
            outputs.append(y_t)
    return torch.stack(outputs)


def spikes_in() -> torch.Tensor:
    return (torch.rand(40, 2, 10, generator=torch.Generator().manual_seed(2)) < 0.3).float()


def norse(graph):
    return pytest.importorskip("norse.torch", reason="the extra bench").from_nir(graph, dt=1e-3)


def snntorch(graph):
    return pytest.importorskip("snntorch.import_nir", reason="the extra bench").import_from_nir(graph)


def spikingjelly(graph):
    name = "spikingjelly.activation_based.nir_exchange"
    return pytest.importorskip(name, reason="the extra bench").import_from_nir(graph, dt=1e-3)


PROGRAMS = {
    "norse": (norse, (1.0, 10.0, 1.0), True, True),
    # Steps of 0.1 ms always; the input is not scaled: r = tau / dt.
    "snntorch": (snntorch, (0.1, 1.0, 10.0), True, NEWER),
    "spikingjelly": (spikingjelly, (1.0, 10.0, 1.0), NEWER, NEWER),
}


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("program", list(PROGRAMS))
def test_another_program_spikes_as_the_network_does(program, recurrent):
    load, (dt, tau, R), forward, loops = PROGRAMS[program]
    if not (loops if recurrent else forward):
        pytest.skip(f"{program} needs nirtorch 2.6 for this graph")
    net, x = network(recurrent, dt, tau, R), spikes_in()
    expected = net(x)
    found = run_steps(load(to_nir(net, metadata=True)), x)
    assert torch.equal(found, expected)
    assert 0.02 < expected.mean() < 0.9


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_a_graph_is_read_as_norse_reads_it(kind):
    generator = np.random.default_rng(0)
    own = {"tau": 0.01, "r": 1.0} if kind == "LIF" else {"tau_mem": 0.01, "tau_syn": 0.005, "w_in": 3.0, "r": 2.0}
    values = {**own, "v_leak": 0.0, "v_threshold": 0.4}
    neurons = getattr(nir, kind)(**{name: np.full(8, value) for name, value in values.items()})
    weight = generator.normal(size=(8, 10)).astype(np.float32)
    graph = nir.NIRGraph.from_list(nir.Affine(weight=weight, bias=np.zeros(8, np.float32)), neurons)
    x = spikes_in()
    y = from_nir(graph, 1.0, integrator=tdn.Euler(), reset="value")(x)
    assert torch.equal(y, run_steps(norse(graph), x))
    assert 0 < y.mean() < 1


@pytest.mark.skipif("v_reset" not in nir.LIF.__dataclass_fields__, reason="snnTorch writes v_reset, new in NIR 1.0.5")
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_what_snntorch_writes_spikes_as_it_does(kind):
    snn = pytest.importorskip("snntorch", reason="the extra bench")
    export = pytest.importorskip("snntorch.export_nir").export_to_nir
    torch.manual_seed(0)
    decays = {"beta": torch.full((20,), 0.8)} | ({"alpha": torch.full((20,), 0.6)} if kind == "Synaptic" else {})
    options = {"threshold": torch.full((20,), 1.0), "reset_mechanism": "zero", "reset_delay": False}
    cell = getattr(snn, kind)(**decays, **options, init_hidden=True)
    model = nn.Sequential(nn.Linear(10, 20), cell)
    graph, x = export(model, torch.zeros(10)), spikes_in()
    cell.reset_mem()
    y = from_nir(graph, 0.1, integrator=tdn.Euler())(x)
    with torch.no_grad():
        expected = torch.stack([model(x_t) for x_t in x])
    assert torch.equal(y, expected)
    assert 0 < y.mean() < 1
