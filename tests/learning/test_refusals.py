"""What a method cannot train it says in words, before anything is trained."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro import decoding, losses
from torchdyn_neuro.learning import RTRL, EProp, ThreeFactor

from .models import found, sequence


class Median(decoding.MeanMembrane):
    keep = None

    def decode(self, y):
        return y.median(0).values


def readout(*layers):
    return nn.Sequential(*layers, nn.Linear(6, 2), tdn.LeakyIntegrator())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (readout(nn.Linear(5, 6), tdn.Delay(2.0)), r"act on each neuron by itself, got Delay at '1'; use BPTT"),
        (readout(tdn.DelayedLinear(5, 6, 2.0), tdn.LIF()), r"act on each neuron by itself, got DelayedLinear at '0'"),
        (readout(nn.LayerNorm(5), nn.Linear(5, 6), tdn.LIF()), r"linear layers only, got LayerNorm at '0'.*freeze it"),
        (
            readout(nn.Linear(5, 6), tdn.CTRNN(6, integrator=tdn.RK4())),
            r"evaluated once in a step .*, got RK4\(.*\) at '1'; use one of them",
        ),
        (
            readout(nn.Linear(5, 6), tdn.Recurrent(tdn.LIF(), tdn.Chain(tdn.ExponentialSynapse(), nn.Linear(6, 6)))),
            r"a linear layer as recurrent connection, got Chain at '1'",
        ),
        (nn.Sequential(nn.Linear(5, 2), tdn.LIF(), nn.Softmax(2)), r"ends with weights or neurons, got Sequential"),
        (tdn.models.SpikingConvNet((1, 8, 8), 10), r"linear layers only, got Stepwise at 'conv0'"),
        (tdn.Stepwise(nn.Sequential(nn.Linear(5, 6), tdn.Unfolded(tdn.LIF()))), None),
    ],
    ids=lambda value: "" if isinstance(value, nn.Module) else None,
)
def test_models(model, words):
    if words is None:
        # Dynamics inside Unfolded count as a layer without time, with weights.
        words = r"linear layers only, got Stepwise"
    with pytest.raises((TypeError, ValueError), match=rf"^EProp: expected .*{words}"):
        EProp().prepare(model)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = tdn.LIF()

    def forward(self, x):
        return x + self.cell(x)


def test_an_order_that_is_not_known():
    words = r"^EProp: expected layers one after the other .*inside Residual.*; use BPTT or TBPTT"
    with pytest.raises(TypeError, match=words):
        EProp().prepare(readout(nn.Linear(5, 6), Residual()))


def test_the_blocks_of_the_models_are_opened():
    model = tdn.models.SpikingRecurrentNet((5,), 2, hidden=[6], neuron=tdn.LIF(2.0), dropout=0.0)
    x = 3 * torch.rand(9, 4, 5)
    method = EProp()
    method.prepare(model)
    method(model, x, torch.tensor([0, 1, 1, 0]), losses.MembraneCrossEntropy()).loss.backward()
    assert model.block0.linear.weight.grad.any()
    assert model.block0.neuron.connection.weight.grad.any()


def test_forward_in_time_a_norm_does_not_know_what_is_to_come():
    norm = tdn.layers.TemporalEffectiveBatchNorm(6, 9)
    model, x = readout(nn.Linear(5, 6), norm, tdn.LIF(2.0)), torch.rand(9, 4, 5)
    with pytest.raises(TypeError, match=r"^RTRL: expected batch norms as layers of their own, got one inside Temporal"):
        RTRL()(model, x, torch.tensor([0, 1, 1, 0]), losses.MembraneCrossEntropy())
    norm.eval()
    RTRL()(model, x, torch.tensor([0, 1, 1, 0]), losses.MembraneCrossEntropy()).loss.backward()
    assert norm.scale.grad.any()


def test_losses():
    model, x = readout(nn.Linear(5, 6), tdn.LIF()).double(), sequence()
    with pytest.raises(
        TypeError, match=r"^EProp: expected a loss of decoded outputs .*got CrossEntropyLoss.*; use one"
    ):
        found(EProp(), model, x, loss=nn.CrossEntropyLoss())
    with pytest.raises(TypeError, match=r"^EProp: expected a decoder that reads while time goes on .*got Median; "):
        found(EProp(), model, x, loss=losses.MembraneCrossEntropy(Median()))
    with pytest.raises(TypeError, match=r"^EProp: expected a decoder that reads each output .*got SoftmaxMembrane; "):
        found(EProp(), model, x, loss=losses.MembraneCrossEntropy(decoding.SoftmaxMembrane()))


def test_an_error_that_is_only_known_at_the_end():
    spiking, x = nn.Sequential(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 2), tdn.LIF()).double(), sequence()
    words = r'^EProp: expected a readout that is a linear filter.*pass error="running"'
    with pytest.raises(ValueError, match=words):
        found(EProp(error="end"), spiking, x)
    with pytest.raises(ValueError, match=words):
        found(EProp(error="end"), readout(nn.Linear(5, 6), tdn.LIF()).double(), x, loss=LOSS_OF_THE_HIGHEST)
    # One tau for each output is no filter that all of them share.
    own = tdn.LeakyIntegrator(torch.tensor([3.0, 9.0], dtype=torch.float64))
    with pytest.raises(ValueError, match=words):
        found(EProp(error="end"), nn.Sequential(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 2), own).double(), x)
    deep = readout(nn.Linear(5, 6), tdn.LIF(), nn.Linear(6, 6), tdn.LIF()).double()
    with pytest.raises(
        ValueError, match=r'^EProp: expected feedback that reaches every layer.*got feedback="symmetric"'
    ):
        found(EProp(error="end"), deep, x)


LOSS_OF_THE_HIGHEST = losses.MembraneCrossEntropy(decoding.MaxMembrane())


def test_arguments():
    with pytest.raises(ValueError, match=r"^EProp: expected feedback to be one of .*, got 'none'; "):
        EProp("none")
    with pytest.raises(ValueError, match=r"^EProp: expected error to be one of 'end', 'running', got 'later'; "):
        EProp(error="later")
    with pytest.raises(ValueError, match=r"^ThreeFactor: expected block to be at least 1, got 0; "):
        ThreeFactor(block=0)
    with pytest.raises(ValueError, match=r"^EProp: expected weights of its own .*; call prepare\(model\)"):
        found(EProp("random"), readout(nn.Linear(5, 6), tdn.LIF()).double(), sequence())


def test_neurons_on_several_axes():
    with pytest.raises(ValueError, match=r"^learning: expected neurons on one axis, \[T, B, N\], got .*; flatten it"):
        found(EProp(), readout(nn.Linear(5, 6), tdn.LIF()).double(), sequence().unsqueeze(2))


def test_what_is_frozen_stays():
    """A frozen layer that is none of the kinds that learn is a layer without weights."""
    norm = nn.LayerNorm(5).requires_grad_(False)
    model = readout(norm, nn.Linear(5, 6).requires_grad_(False), tdn.LIF(4.0)).double()
    with tdn.backend("eager"):
        _, got = found(EProp(), model, sequence())
    assert set(got) == {"3.weight", "3.bias"}
