"""Streaming remembers, recording looks; both reach into any model."""

import pickle
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.record import recording


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


def test_a_recurrent_layer_of_torch_is_told_of():
    live = tdn.Streaming(nn.Sequential(FirstOf(nn.GRU(2, 3)), tdn.LIF()))
    with pytest.warns(UserWarning, match=r"piece to piece .* got GRU at '0\.layer', which begins"):
        live(torch.ones(3, 1, 2))
    live(torch.ones(3, 1, 2))  # told once


class FirstOf(nn.Module):
    """The sequence alone of a layer that returns its last state, too."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


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


@pytest.mark.parametrize("as_mask", [list, lambda mask: torch.tensor(mask).numpy(), torch.tensor, torch.ByteTensor])
def test_resets_are_taken_as_they_come(as_mask):
    net, x = model(), stream()
    live = tdn.Streaming(net)
    live(x[:9])
    live.reset(as_mask([True, False]))
    y = live(x[9:])
    assert_close(y[:, :1], net(x[9:, :1]).detach())
    assert_close(y[:, 1:], net(x[:, 1:])[9:].detach())


def test_resets_by_number_are_refused():
    live = tdn.Streaming(tdn.LIF())
    live(torch.ones(3, 4, 2))
    with pytest.raises(ValueError, match=r"Streaming: expected a mask of truth values, .* got \[0, 3\]; pass"):
        live.reset([0, 3])


@tdn.register_state
class Plastic(NamedTuple):
    """trace: [B, *]; weight: one for all rows."""

    trace: torch.Tensor
    weight: tdn.Shared


class Counting(tdn.Dynamics):
    """Counts in both fields."""

    pointwise = False

    def initial_state(self, x_t):
        return Plastic(torch.zeros_like(x_t), torch.zeros(5))

    def step(self, x_t, state):
        return state.trace, Plastic(state.trace + 1, state.weight + 1)


def test_what_all_rows_share_is_reset_with_all_of_them():
    live = tdn.Streaming(Counting())
    live(torch.ones(3, 2, 4))
    live.reset([True, False])
    trace, weight = live.states()[""]
    assert trace.tolist() == [[0.0] * 4, [3.0] * 4]
    assert weight.tolist() == [3.0] * 5
    live.reset()
    assert not live.states()


def test_a_stream_of_trees():
    class Two(nn.Module):
        """Two inputs by name, two outputs."""

        def __init__(self):
            super().__init__()
            self.cell = tdn.LeakyIntegrator()

        def forward(self, x):
            return {"v": self.cell(x["a"] + x["b"]), "rest": [x["a"]]}

    a, b = stream(), -stream().flip(0)
    live = tdn.Streaming(Two())
    whole = Two()({"a": a, "b": b})
    frames = [live.step({"a": a_t, "b": b_t}) for a_t, b_t in zip(a, b, strict=True)]
    assert_close(torch.stack([frame["v"] for frame in frames]), whole["v"])
    assert_close(frames[-1]["rest"][0], a[-1])
    with pytest.raises(TypeError, match=r"Streaming: expected a frame \[B, \*\], got ndarray; pass torch.as_tensor"):
        live.step(a[0].numpy())


def around_a_chain():
    """A loop around a synapse and a cell."""
    inner = tdn.Chain(synapse=tdn.ExponentialSynapse(), cell=tdn.LIF(v_th=0.2))
    return tdn.Recurrent(inner, nn.Linear(4, 4))


EVERYWHERE = {
    "chain": (lambda: tdn.Chain(nn.Linear(3, 4), tdn.ExponentialSynapse(), tdn.LIF(v_th=0.2)), "2", "v"),
    "nested": (lambda: tdn.Chain(nn.Linear(3, 4), tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF(v_th=0.2))), "1.1", "v"),
    "sequential": (lambda: nn.Sequential(nn.Linear(3, 4), tdn.Chain(tdn.LIF(v_th=0.2), nn.Linear(4, 2))), "1.0", "v"),
    "recurrent": (lambda: tdn.Recurrent(tdn.LIF(v_th=2.0), nn.Linear(3, 3)), "neuron", "v"),
    "deep": (lambda: tdn.Chain(lin=nn.Linear(3, 4), loop=around_a_chain()), "loop.neuron.cell", "v"),
    "connection": (
        lambda: tdn.Recurrent(tdn.LIF(v_th=2.0), tdn.Chain(nn.Linear(3, 3), tdn.ExponentialSynapse())),
        "connection.1",
        "s",
    ),
    "unfolded": (
        lambda: tdn.Stepwise(nn.Sequential(nn.Linear(3, 4), tdn.Unfolded(tdn.LIF(v_th=0.2)))),
        "module.1.dynamics",
        "v",
    ),
}


def states_and_outputs(cell, run):
    """What every step of ``cell`` gives in an eager run, seen from its step."""
    outputs, states, step = [], [], cell.step

    def watched(x_t, state):
        y_t, state = step(x_t, state)
        outputs.append(y_t)
        states.append(state)
        return y_t, state

    cell.step = watched
    try:
        with tdn.backend("eager"):
            y = run()
    finally:
        del cell.step
    return torch.stack(outputs), states, y


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("place", EVERYWHERE)
def test_record_reaches_every_field_and_output_anywhere(place, hooked):
    torch.manual_seed(0)
    make, name, field = EVERYWHERE[place]
    net, x = make(), stream()
    cell = net.get_submodule(name)
    outputs, states, y = states_and_outputs(cell, lambda: net(x))
    if hooked:
        cell.register_forward_hook(lambda m, args, y: None)
    seen = tdn.record(net, x, [f"{name}.{field}", f"{name}.output"])
    assert_close(seen[f"{name}.output"], outputs)
    assert_close(seen[f"{name}.{field}"], torch.stack([getattr(state, field) for state in states]))
    assert len(outputs.unique()) > 1
    assert_close(net(x), y)
    with tdn.backend("eager"):
        again = tdn.record(net, x, [f"{name}.output"])
    assert_close(again[f"{name}.output"], outputs)


@pytest.mark.parametrize("place", ["chain", "nested", "recurrent", "deep", "connection"])
def test_record_goes_on_from_a_state(place):
    torch.manual_seed(0)
    make, name, field = EVERYWHERE[place]
    net, x, paths = make(), stream(), [f"{name}.{field}", f"{name}.output"]
    whole, last = tdn.record(net, x, paths, return_state=True)
    first, state = tdn.record(net, x[:8], paths, return_state=True)
    second, end = tdn.record(net, x[8:], paths, state, return_state=True)
    for path in paths:
        assert_close(torch.cat([first[path], second[path]]), whole[path])
    assert_close(tdn.leaves(end), tdn.leaves(last))
    assert_close(tdn.leaves(end), tdn.leaves(net.scan(x)[1]))


def test_record_goes_on_from_a_stream():
    net, x = model(), stream()
    live = tdn.Streaming(net)
    live(x[:8])
    whole = tdn.record(net, x, ["1.v", "2.neuron.v"])
    rest, last = tdn.record(net, x[8:], ["1.v", "2.neuron.v"], live.states(), return_state=True)
    live(x[8:])
    for path, values in whole.items():
        assert_close(rest[path], values[8:])
    assert last.keys() == live.states().keys() == {"1", "2", "3"}
    for name, state in live.states().items():
        assert_close(tdn.leaves(last[name]), tdn.leaves(state))
    with pytest.raises(ValueError, match=r"record: expected states by the names of dynamics, .* got \['9'\]; pass"):
        tdn.record(net, x, ["1.v"], {"9": ()})
    with pytest.raises(ValueError, match=r"LIF: expected a state"):
        tdn.record(net, x, ["1.v"], {"1": (torch.zeros(3),)})


def test_record_runs_in_the_fused_loop(monkeypatch):
    chain, x = tdn.Chain(nn.Linear(3, 4), tdn.ExponentialSynapse(), tdn.LIF(v_th=0.2)), stream()
    calls, trace = [], recording.trace_step
    monkeypatch.setattr(recording, "trace_step", lambda *args: calls.append(1) or trace(*args))
    with tdn.backend("cpp"):
        short = tdn.record(chain, x[:5], ["1.s", "2.v", "2.output"])
        long = tdn.record(chain, x, ["1.s", "2.v", "2.output"])
    assert len(calls) == 2, "two cells, once, whatever the number of steps"
    assert_close(long["2.v"][:5], short["2.v"])
    loss = tdn.record(chain, x, ["2.v"])["2.v"].square().sum()
    (fused,) = torch.autograd.grad(loss, chain[0].weight)
    with tdn.backend("eager"):
        loss = tdn.record(chain, x, ["2.v"])["2.v"].square().sum()
    assert_close(fused, torch.autograd.grad(loss, chain[0].weight)[0])
