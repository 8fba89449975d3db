"""Streaming remembers, recording looks; both reach into any model."""

import pickle

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4),
        tdn.LIF(v_rest=0.25),
        tdn.Recurrent(tdn.LIF(v_th=0.02), nn.Linear(4, 4, bias=False)),
        tdn.LeakyIntegrator(),
    )


def stream():
    return 20 * torch.rand(20, 2, 3, generator=torch.Generator().manual_seed(0))


def test_pieces_and_frames_of_a_stream_give_the_whole():
    net, x = model(), stream()
    whole = net(x)
    assert whole.abs().sum() > 0
    live = tdn.Streaming(net)
    pieces = torch.cat([live(x[:7]), live(x[7:8]), live(x[8:])])
    assert_close(pieces, whole.detach())
    assert not pieces.requires_grad
    live.reset()
    assert_close(torch.stack([live.step(x_t) for x_t in x]), whole.detach())
    assert live.state_dict().keys() == {f"model.{name}" for name in net.state_dict()}


def test_reset_of_some_rows():
    net, x = model(), stream()
    live = tdn.Streaming(net)
    live(x[:9])
    live.reset(torch.tensor([True, False]))
    y = live(x[9:])
    assert_close(y[:, :1], net(x[9:, :1]).detach())
    assert_close(y[:, 1:], net(x[:, 1:])[9:].detach())
    with pytest.raises(ValueError, match=r"Streaming: expected a mask of shape \(2,\), got \(3,\); one entry per row"):
        live.reset(torch.ones(3))


def test_a_copy_goes_on_by_itself():
    net, x = model(), stream()
    live = tdn.Streaming(net)
    live(x[:9])
    twin = pickle.loads(pickle.dumps(live))
    assert_close(twin(x[9:]), live(x[9:]))


def test_streaming_errors():
    with pytest.raises(ValueError, match="Streaming: expected a model with dynamics, got none in Linear"):
        tdn.Streaming(nn.Linear(3, 3))
    cell = tdn.LIF()
    with pytest.raises(
        ValueError, match=r"Streaming: expected each dynamics to be called once .* LIF; give each place"
    ):
        tdn.Streaming(nn.Sequential(cell, cell))(torch.ones(3, 1, 2))
    with pytest.raises(TypeError, match=r"LIF: expected a floating-point input, got torch.int64"):
        tdn.Streaming(tdn.LIF())(torch.ones(3, 1, 2, dtype=torch.long))
    live = tdn.Streaming(tdn.LIF())
    live(torch.ones(3, 2, 2))
    with pytest.raises(ValueError, match=r"LIF: expected a state .* for this input, got .*"):
        live(torch.ones(3, 1, 2))
    # Outside a pass the model is itself again, also after an error.
    assert_close(cell(torch.ones(3, 1, 2)), tdn.LIF()(torch.ones(3, 1, 2)))


def test_record_returns_what_a_loop_of_steps_sees():
    net, x = model(), stream()
    seen = tdn.record(net, x, ["1.v", "1.output", "2.neuron.v", "2.output", "3.v"])
    assert_close(seen["3.v"], net(x))
    cell, current = net[1], net[0](x)
    state = cell.initial_state(current[0])
    for n, x_t in enumerate(current):
        y_t, state = cell.step(x_t, state)
        assert_close(seen["1.v"][n], state.v)
        assert_close(seen["1.output"][n], y_t)
    assert 0 < seen["1.output"].sum() < seen["1.output"].numel()


def test_record_of_a_chain_and_of_one_cell():
    x = stream()
    chain = tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF())
    seen = tdn.record(chain, x, ["0.s", "1.v", "output"])
    assert_close(seen["0.s"], chain[0](x))
    assert_close(seen["output"], chain(x))
    assert_close(tdn.record(tdn.LIF(), chain[0](x), ["v"])["v"], seen["1.v"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("1.w", r"record: expected one of|record: expected v, refractory, adaptation, noise in '1.w', got 'w'"),
        ("1.v.0", r"record: expected nothing further in '1.v.0', got '0'"),
        ("7.v", r"record: expected a path to a state field, got '7.v'; dynamics are at: 1, 2"),
        ("1.refractory", r"record: expected '1.refractory' to name one tensor, got tuple; name its field"),
        ("2.neuron", r"record: expected '2.neuron' to name one tensor, got LIFState; name its field"),
    ],
)
def test_record_errors(path, message):
    with pytest.raises(ValueError, match=message):
        tdn.record(model(), stream(), [path])


def test_record_refuses_a_second_pass_through_a_module():
    cell = tdn.LIF()
    with pytest.raises(ValueError, match=r"record: expected the model to run '0.v' once, got a second pass"):
        tdn.record(nn.Sequential(cell, cell), torch.ones(3, 1, 2), ["0.v"])
