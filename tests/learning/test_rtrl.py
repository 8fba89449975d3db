"""Real-time recurrent learning finds the gradient of back-propagation, forward in time."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import decoding, losses
from torchdyn_neuro.learning import BPTT, RTRL

from .models import found, furthest, lively, sequence

# Torch decomposes some operations of forward mode by scripts, which it warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")


@pytest.fixture(autouse=True)
def eager():
    """The definition; the kernels have tests of their own and take seconds to compile."""
    with tdn.backend("eager"):
        yield


def spiking():
    cell = tdn.ALIF(tdn.Learned(3.0), tdn.Learned(9.0), beta=2.0, detach_reset=False, v_init=tdn.Learned(0.1))
    layers = [
        nn.Linear(3, 3),
        tdn.Recurrent(cell, nn.Linear(3, 3, bias=False)),
        tdn.ExponentialSynapse(tdn.Learned(4.0)),
    ]
    return lively(nn.Sequential(*layers, nn.Linear(3, 2), tdn.LeakyIntegrator(3.0)))


def coupled_inside_the_step():
    network = tdn.CTRNN(3, tdn.Learned(3.0), integrator=tdn.RK4(), activation=tdn.rates.Tanh())
    return lively(nn.Sequential(nn.Linear(3, 3), network, nn.Linear(3, 2), tdn.LeakyIntegrator(3.0)), 2.0)


def noisy_and_delayed():
    layer = tdn.Network(tdn.LIF(4.0, noise=tdn.WhiteNoise(0.3)), nn.Linear(3, 3), delay=2.0)
    model = lively(tdn.Chain(nn.Linear(3, 3), layer, nn.Linear(3, 2), tdn.LeakyIntegrator(3.0)))
    with torch.no_grad():
        model[0].bias.fill_(2.0)
    return model


@pytest.mark.parametrize("make", [spiking, coupled_inside_the_step, noisy_and_delayed])
@pytest.mark.parametrize(
    "loss", [losses.MembraneCrossEntropy(decoding.MaxMembrane()), losses.EveryStep()], ids=["max", "every step"]
)
def test_it_is_the_gradient(make, loss):
    torch.manual_seed(0)
    model, x = make(), sequence(8, 3)
    reference, expected = found(BPTT(), model, x, loss=loss)
    outcome, got = found(RTRL(at_once=20), model, x, loss=loss)
    assert furthest(got, expected) < 1e-10
    assert_close(outcome.loss, reference.loss)
    assert_close(outcome.decoded, reference.decoded)


def test_norms_go_by_their_running_statistics():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3)
    model = lively(nn.Sequential(nn.Linear(3, 3), tdn.Stepwise(norm), tdn.LIF(3.0), nn.Linear(3, 2)))
    x, start = sequence(6, 3), {name: value.clone() for name, value in norm.state_dict().items()}
    _, expected = found(BPTT(), model.eval(), x)
    _, got = found(RTRL(), model.train(), x)
    assert furthest(got, expected) < 1e-10
    alone = nn.BatchNorm1d(3).double()
    alone.load_state_dict(start)
    alone(model[0](x).flatten(0, 1))
    assert_close(norm.running_var, alone.running_var)


class Twice(nn.Module):
    """A model whose order nobody knows."""

    def __init__(self):
        super().__init__()
        self.cell = tdn.LIF()

    def forward(self, x):
        return self.cell(x) + x


@pytest.mark.parametrize("at_once", [None, 10])
def test_it_asks_for_room_before_it_begins(monkeypatch, at_once):
    model = nn.Sequential(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 2, bias=False), tdn.LeakyIntegrator()).double()
    x, parameters, states = sequence(4, 5), 5 * 6 + 6 + 6 * 2, 6 + 2 + 2  # neurons, readout, its mean
    rows, count = x.shape[1], sum(parameter.numel() for parameter in model.parameters())
    assert count == parameters
    # The influence, and for each parameter that is taken at once a direction and the influence after the step.
    wanted = 8 * (rows * states * parameters + (at_once or parameters) * (rows * states + parameters))
    monkeypatch.setattr("torchdyn_neuro.learning.rtrl.free_memory", lambda device: wanted)
    found(RTRL(at_once), model, x)
    monkeypatch.setattr("torchdyn_neuro.learning.rtrl.free_memory", lambda device: wanted - 1)
    with pytest.raises(
        MemoryError, match=r"^RTRL: expected room for 48 parameters .*, got .* that are free; .*at_once"
    ):
        found(RTRL(at_once), model, x)


def test_a_large_model_is_refused_at_once():
    model = nn.Sequential(nn.Linear(784, 500), tdn.LIF(), nn.Linear(500, 10), tdn.LeakyIntegrator())
    with pytest.raises(MemoryError, match=r"^RTRL: expected room for 397510 parameters x 66560 values of state, "):
        RTRL()(model, torch.zeros(2, 128, 784), torch.zeros(128).long(), losses.MembraneCrossEntropy())


def test_what_it_refuses():
    with pytest.raises(TypeError, match=r"^RTRL: expected layers one after the other .*, got .*Twice.*; "):
        RTRL().prepare(Twice())
    with pytest.raises(TypeError, match=r"^RTRL: expected weights that stay .*, got Plastic.*; "):
        RTRL().prepare(tdn.Chain(tdn.Plastic(nn.Linear(2, 2), tdn.Hebbian()), tdn.LIF()))


@pytest.mark.parametrize("tied", ["module", "parameter"])
def test_weights_at_two_places_get_one_gradient_and_stay_the_parameters_that_they_are(tied):
    torch.manual_seed(0)
    first = nn.Linear(6, 6)
    second = first if tied == "module" else nn.Linear(6, 6)
    second.weight = first.weight
    neuron = tdn.LIF(tdn.Learned(15.0))
    model = lively(nn.Sequential(nn.Linear(5, 6), neuron, first, neuron, second, tdn.LeakyIntegrator()))
    parameters, x = list(model.parameters()), sequence()
    _, expected = found(BPTT(), model, x)
    _, got = found(RTRL(), model, x)
    assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
    assert furthest(got, expected) < 1e-4


def test_plastic_connections_however_deep_are_refused():
    plastic = tdn.Plastic(nn.Linear(6, 6), tdn.Hebbian())
    model = nn.Sequential(nn.Linear(5, 6), tdn.Network(tdn.LIF(), plastic), tdn.LeakyIntegrator())
    with pytest.raises(TypeError, match="RTRL: expected weights that stay"):
        RTRL().prepare(model)
