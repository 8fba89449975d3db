"""One frame in place of many that are the same gives what all of them give."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

STEPS = 6


class Counting(nn.Linear):
    """Of a class of its own, which might do anything."""

    def forward(self, x):
        self.frames = x.shape[:-1].numel()
        return super().forward(x)


def seen(layer):
    """Counts the frames that reach a layer in its kernel, without a hook, which would end the short way."""
    frames, run = [], torch.nn.functional.linear

    def linear(x, *rest):
        frames.append(x.shape[:-1].numel())
        return run(x, *rest)

    return frames, linear


def frames_of(monkeypatch, net, x):
    frames, linear = seen(net)
    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, "linear", linear)
        net(x)
    return frames


def steady(*shape):
    return torch.rand(*shape, dtype=torch.float64).expand(STEPS, *shape)


NETS = [
    lambda: tdn.Chain(nn.Flatten(), nn.Linear(18, 5), nn.BatchNorm1d(5), tdn.LIF(2.0), nn.Linear(5, 2)),
    lambda: tdn.Chain(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2), nn.BatchNorm2d(3, momentum=None), tdn.LIF(2.0)),
    lambda: nn.Sequential(tdn.Stepwise(nn.Conv2d(2, 3, 2)), tdn.Stepwise(nn.BatchNorm2d(3)), tdn.LIF(2.0)),
    lambda: tdn.Chain(nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.BatchNorm1d(5)), tdn.LIF(2.0)),
]


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rows", [1, 4])
def test_values_gradients_and_running_statistics(make, training, rows):
    torch.manual_seed(0)
    # The loops are not what is tested, and compiling them takes its time.
    with tdn.backend("eager"):
        compare(make, training, rows)


def compare(make, training, rows):
    short = make().double().train(training)
    for part in short.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
    whole = copy.deepcopy(short)
    frame = torch.rand(rows, 2, 3, 3, dtype=torch.float64).requires_grad_()
    other = frame.detach().clone().requires_grad_()
    # Twice: the second pass starts from other running statistics.
    for _ in range(2):
        y = short(8 * frame.expand(STEPS, *frame.shape))
        expected = whole(8 * other.repeat(STEPS, 1, 1, 1, 1))
        assert_close(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
    assert_close(frame.grad, other.grad)
    for (name, a), b in zip(short.named_parameters(), whole.parameters(), strict=True):
        assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)
    for (name, a), b in zip(short.named_buffers(), whole.buffers(), strict=True):
        assert_close(a, b, msg=name)


def test_one_frame_runs(monkeypatch):
    net = tdn.Chain(nn.Linear(3, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 5), tdn.LIF(), nn.Linear(5, 2)).double()
    assert frames_of(monkeypatch, net, steady(4, 3)) == [4, 4, 4 * STEPS]
    assert frames_of(monkeypatch, net, steady(4, 3).contiguous()) == [4 * STEPS] * 3


def test_who_watches_sees_all_frames(monkeypatch):
    net, shapes = tdn.Chain(nn.Linear(3, 5), tdn.LIF()).double(), []
    handle = net[0].register_forward_hook(lambda layer, given, y: shapes.append(tuple(y.shape)))
    net(steady(4, 3))
    handle.remove()
    assert shapes == [(STEPS, 4, 5)]
    assert frames_of(monkeypatch, net, steady(4, 3)) == [4]


def test_padding_is_left_out():
    torch.manual_seed(0)
    x, lengths = steady(4, 3), torch.tensor([6, 2, 1, 3])
    short = tdn.Chain(nn.Linear(3, 5), nn.BatchNorm1d(5)).double()
    whole = copy.deepcopy(short)
    with tdn.padded(lengths):
        assert_close(short(x), whole(x.contiguous()))
    assert_close(short[1].running_var, whole[1].running_var)


def test_chance_and_unknown_classes_get_all_frames():
    torch.manual_seed(0)
    x = steady(4, 50)
    y = tdn.Chain(nn.Dropout(0.5), tdn.LeakyIntegrator(1e-3)).double()(x)
    assert (y[0] != y[1]).any()
    own = Counting(50, 2).double()
    tdn.Chain(own, tdn.LIF()).double()(x)
    assert own.frames == 4 * STEPS


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("way", ["trace", "compile"])
def test_what_is_made_for_other_inputs_too(way):
    net = tdn.Chain(nn.Linear(3, 5), tdn.LeakyIntegrator()).double()
    x, other = steady(4, 3), torch.rand(STEPS, 4, 3, dtype=torch.float64)
    with tdn.backend("eager"):
        made = torch.jit.trace(net, x, check_trace=False) if way == "trace" else torch.compile(net, backend="eager")
        made(x)
        assert_close(made(other), net(other))
