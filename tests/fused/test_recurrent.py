"""Recurrent layers: the loop in one C++ call and the one step by step give what the eager one gives."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.recurrent import network_native, network_steps

from ..threads import on_threads
from .agreement import assert_agrees, run
from .test_shipped import drive


@pytest.fixture(params=["together", "step by step"])
def way(request, monkeypatch):
    """Which loop runs; the other one may not."""

    def forbidden(*arguments):
        raise AssertionError("the other loop was to run")

    other = network_steps if request.param == "together" else network_native
    if request.param == "step by step":
        monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    for name in ("run_forward", "run_backward"):
        monkeypatch.setattr(other, name, forbidden)
    return request.param


@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients(bias, way):
    torch.manual_seed(0)
    neuron = tdn.SynapticLIF(tau_mem=tdn.Learned(10.0), t_ref=2.0)
    layer = tdn.Recurrent(neuron, nn.Linear(13, 13, bias=bias)).double()
    (spikes, *_), _ = assert_agrees(layer, drive(), relative=1e-12)
    assert 0 < spikes.mean() < 0.5
    with torch.no_grad():
        assert torch.equal(layer(drive()), spikes)


def test_another_connection():
    layer = tdn.Recurrent(tdn.LIF(), nn.Sequential(nn.Linear(13, 5), nn.Linear(5, 13))).double()
    assert_agrees(layer, drive(), relative=1e-12)


# Rows fewer than, equal to and no multiple of those that a thread carries together; steps before, at and behind the end
# of a segment; widths with and without whole vectors.
@pytest.mark.parametrize("steps", [1, 2, 16, 17, 33])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (3, 5), (8, 16), (13, 40), (67, 3), (70, 37)])
def test_every_shape(steps, rows, width, way):
    torch.manual_seed(0)
    neuron = tdn.ALIF(tau_mem=tdn.Learned(torch.linspace(4, 12, width)), v_th=tdn.Learned(0.7))
    layer = tdn.Recurrent(neuron, nn.Linear(width, width)).double()
    x = torch.rand(steps, rows, width, dtype=torch.float64) * 6
    (spikes, *_), _ = assert_agrees(layer, x, relative=1e-12)
    assert spikes.sum() > 0 or steps == 1


def test_parameters_along_any_axis(way):
    torch.manual_seed(0)
    x = 5 * torch.rand(20, 9, 3, 7, dtype=torch.float64)
    for shape in ((3, 1), (7,), (3, 7), (1, 7)):
        tau = tdn.Learned(torch.linspace(4, 12, torch.Size(shape).numel()).reshape(shape))
        layer = tdn.Recurrent(tdn.LIF(tau_mem=tau), nn.Linear(7, 7)).double()
        (spikes, *_), _ = assert_agrees(layer, x, relative=1e-12)
        assert 0 < spikes.mean() < 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_few_and_many_spikes(gain, dtype, way):
    """Below and above the share of active neurons at which columns are gathered."""
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0)), nn.Linear(64, 64)).to(dtype)
    (spikes, *_), _ = assert_agrees(layer, gain * drive(40, 9, 64).to(dtype))
    assert (spikes.mean() > 0.3) == (gain > 1)
    assert spikes.sum() > 0


def test_rates_feed_back_too(way):
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0)), nn.Linear(13, 13)).double()
    assert_agrees(layer, drive(), relative=1e-12)


def test_pieces_and_threads_change_no_bit(way):
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0)), nn.Linear(48, 48))
    x = drive(41, 20, 48).float()
    found = on_threads(lambda: run(layer, x, "cpp"))
    assert found[0][0][0].sum() > 0
    for results, gradients in found[1:]:
        # Step by step, the products are torch's own, which sum in another order on more threads.
        same = torch.equal if way == "together" else torch.allclose
        assert all(same(a, b) for a, b in zip((*results, *gradients), (*found[0][0], *found[0][1]), strict=True))
    with tdn.backend("cpp"):
        whole, last = layer.scan(x)
        first, state = layer.scan(x[:19])
        second, end = layer.scan(x[19:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(end.neuron.v, last.neuron.v)


@pytest.mark.parametrize("part", ["white", "coloured", "escape", "integrator"])
def test_noise_inside(part, way):
    torch.manual_seed(0)
    neuron = {
        "white": lambda: tdn.LIF(tau_mem=tdn.Learned(5.0), noise=tdn.WhiteNoise(sigma=tdn.Learned(0.3))),
        "coloured": lambda: tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise(tau=tdn.Learned(5.0), sigma=0.3)),
        "escape": lambda: tdn.SynapticLIF(noise=tdn.EscapeNoise()),
        "integrator": lambda: Jittered(tau_mem=tdn.Learned(5.0), integrator=tdn.EulerMaruyama()),
    }[part]()
    layer = tdn.Recurrent(neuron, nn.Linear(13, 13)).double()
    (y, *_), _ = assert_agrees(layer, drive(37, 9), relative=1e-12)
    assert y.abs().sum() > 0
    with tdn.backend("cpp"):
        torch.manual_seed(1)
        assert torch.equal(layer(drive(37, 9)), y)
        assert not torch.equal(layer(drive(37, 9)), y)
        torch.manual_seed(1)
        first, state = layer.scan(drive(37, 9)[:16])
        second, _ = layer.scan(drive(37, 9)[16:], state)
    assert torch.equal(torch.cat([first, second]), y)


class Jittered(tdn.LeakyIntegrator):
    def diffusion(self, x_t, state):
        return state._replace(v=0.1)


def test_second_derivatives_with_noise():
    torch.manual_seed(0)
    layer = tdn.Recurrent(
        tdn.LIF(tau_mem=tdn.Learned(5.0), noise=tdn.WhiteNoise(sigma=0.3)), nn.Linear(13, 13)
    ).double()
    found = []
    for name in ("eager", "cpp"):
        x, operands = drive().requires_grad_(), list(layer.parameters())
        torch.manual_seed(1)
        with tdn.backend(name):
            first = torch.autograd.grad((layer(x) * x.detach()).sum(), operands, create_graph=True)
            found.append(torch.autograd.grad(sum(g.square().sum() for g in first), operands))
    for eager, fused in zip(*found, strict=True):
        assert eager.abs().max() > 0
        torch.testing.assert_close(fused, eager, rtol=1e-12, atol=1e-12)


def test_gradients_from_the_state_alone_and_from_a_sum(way):
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.SynapticLIF(), nn.Linear(13, 13)).double()
    losses = {"state": lambda y, state: state.neuron.v.square().sum(), "sum": lambda y, state: y.sum()}
    for loss in losses.values():
        found = []
        for name in ("eager", "cpp"):
            x = drive().requires_grad_()
            with tdn.backend(name):
                found.append(torch.autograd.grad(loss(*layer.scan(x)), [x, *layer.parameters()]))
        assert found[0][0].abs().max() > 0
        for eager, fused in zip(*found, strict=True):
            torch.testing.assert_close(fused, eager, rtol=1e-12, atol=1e-12)


def test_an_event_driven_connection_is_the_same_loop(way):
    torch.manual_seed(0)
    linear = nn.Linear(64, 64)
    x = 3 * drive(30, 4, 64).float()
    with tdn.backend("cpp"):
        y = tdn.Recurrent(tdn.LIF(), linear)(x)
        assert y.sum() > 0
        assert torch.equal(tdn.Recurrent(tdn.LIF(), tdn.EventLinear.from_linear(linear))(x), y)


class Deaf(tdn.LeakyIntegrator):
    def relaxation(self, x_t, state):
        return super().relaxation(x_t.detach(), state)


def test_a_cell_that_passes_no_gradient_to_its_input(way):
    torch.manual_seed(0)
    layer = tdn.Recurrent(Deaf(tau_mem=tdn.Learned(5.0)), nn.Linear(13, 13)).double()
    _, gradients = assert_agrees(layer, drive(), relative=1e-12)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_a_connection_to_fewer_neurons_is_left_to_torch():
    layer = tdn.Recurrent(tdn.LIF(), nn.Linear(13, 1)).double()
    assert_agrees(layer, drive(), relative=1e-12, backend="auto")
    with pytest.raises(ValueError, match="expected a connection to 13 neurons"):
        tdn.Recurrent(tdn.LIF(), nn.Linear(13, 4)).double()(drive())


def test_a_large_weight_stays_with_all_threads():
    torch.manual_seed(0)
    width = 768
    layer = tdn.Recurrent(tdn.LIF(), nn.Linear(width, width, bias=False))
    assert layer.connection.weight.nbytes > network_native._LARGEST_MATRIX
    (spikes, *_), _ = assert_agrees(layer, 3 * drive(10, 2, width).float())
    assert spikes.sum() > 0
