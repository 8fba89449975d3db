"""Layers without time inside a Chain: what scan gives is what the steps give."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def rows(*shape):
    return 3 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def steps(net, x):
    state, outputs = net.initial_state(x[0]), []
    for x_t in x:
        y_t, state = net.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs)


CHAINS = {
    "flatten": (lambda: [nn.Flatten(), cell()], (5, 2, 3, 4)),
    "batch norm, B == F": (lambda: [trained(nn.BatchNorm1d(3)), cell()], (5, 3, 3)),
    "convolution": (lambda: [nn.Conv2d(1, 3, 3), trained(nn.BatchNorm2d(3)), cell()], (6, 2, 1, 5, 5)),
    "pooling": (lambda: [cell(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)], (6, 2, 2, 4, 4)),
    "one axis": (lambda: [nn.Conv1d(2, 3, 2), nn.MaxPool1d(2), cell()], (6, 2, 2, 9)),
    "groups": (lambda: [nn.GroupNorm(2, 4), nn.PReLU(4, 0.1), cell()], (6, 4, 4)),
    "softmax": (lambda: [nn.Softmax(dim=1), tdn.LeakyIntegrator()], (6, 2, 4)),
    "nested": (
        lambda: [nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU()), tdn.Chain(nn.Flatten(), cell())],
        (4, 2, 1, 3, 3),
    ),
    "linear": (lambda: [nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), cell()], (4, 2, 5, 4)),
    "stepwise": (lambda: [tdn.Stepwise(nn.Flatten()), cell()], (5, 2, 3, 4)),
}


def cell():
    """Fires at these inputs."""
    return tdn.LIF(5.0, v_th=0.1)


def trained(norm):
    """A batch normalisation whose running statistics are not those at the start."""
    norm.running_mean.copy_(torch.linspace(0, 1, norm.num_features))
    norm.running_var.copy_(torch.linspace(0.5, 2, norm.num_features))
    return norm


@pytest.mark.parametrize("name", CHAINS)
def test_the_scan_is_the_steps(name):
    torch.manual_seed(0)
    make, shape = CHAINS[name]
    net, x = tdn.Chain(*make()).eval(), rows(*shape)
    y = net(x)
    assert_close(steps(net, x), y)
    assert len(y.unique()) > 1
    first, state = net.scan(x[:2])
    assert_close(torch.cat([first, net.scan(x[2:], state)[0]]), y)


def test_flatten_keeps_the_batch():
    assert tdn.Chain(nn.Flatten(), tdn.LIF())(rows(5, 2, 3, 4)).shape == (5, 2, 12)


def test_batch_norm_takes_its_statistics_over_time_and_batch():
    norm, x = nn.BatchNorm1d(3), rows(5, 3, 3)
    y = tdn.Chain(norm)(x)
    centered = x - x.mean((0, 1))
    assert_close(y, centered / (centered.square().mean((0, 1)) + norm.eps).sqrt())
    assert_close(norm.running_mean, 0.1 * x.mean((0, 1)))


def test_the_initial_state_leaves_no_trace():
    class Counting(nn.Module):
        """Draws, and counts its calls."""

        calls = 0

        def forward(self, x):
            self.calls += 1
            return x + torch.rand_like(x)

    counting, norm, drop = Counting(), nn.BatchNorm1d(4), nn.Dropout(0.5)
    net, seen = tdn.Chain(norm, drop, counting, tdn.Chain(nn.Linear(4, 6), tdn.LIF()), nn.Linear(6, 2), tdn.LIF()), []
    for layer in (*net, *net[3]):
        layer.register_forward_hook(lambda m, args, y: seen.append(m))
        layer.register_forward_pre_hook(lambda m, args: seen.append(m))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    state = net.initial_state(torch.ones(3, 4))
    assert torch.equal(torch.rand(1), expected)
    assert state[3][1].v.shape == (3, 6)
    assert state[5].v.shape == (3, 2)
    assert not seen
    assert norm.num_batches_tracked == 0
    assert counting.calls == 0
    assert all(module.training for module in net.modules())


def test_a_folded_layer_must_keep_the_batch():
    class Mean(nn.Module):
        """Over the batch."""

        def forward(self, x):
            return x.mean(0)

    with pytest.raises(ValueError, match=r"Chain: expected Mean to keep the axis of the batch, 6 here, got .*\(4,\)"):
        tdn.Chain(Mean())(rows(3, 2, 4))


def test_names():
    torch.manual_seed(0)
    first, cell = nn.Linear(3, 4), tdn.LIF()
    for net in (
        tdn.Chain(OrderedDict(first=first, cell=cell)),
        tdn.Chain({"first": first, "cell": cell}),
        tdn.Chain(first=first, cell=cell),
    ):
        assert net.first is net[0] is first
        assert net.cell is net[-1] is cell
        assert next(iter(net.state_dict())) == "first.weight"
        assert_close(net(rows(4, 2, 3)), nn.Sequential(first, cell)(rows(4, 2, 3)))
        assert tdn.record(net, rows(4, 2, 3), ["cell.v"])["cell.v"].shape == (4, 2, 4)
    assert list(dict(tdn.Chain(first, cell=cell).named_children())) == ["0", "cell"]
    with pytest.raises(ValueError, match=r"Chain: expected names that are free, got 'scan' .*; choose another"):
        tdn.Chain(scan=cell)


def test_slices_and_changes():
    a, b, c, d = nn.Linear(3, 4), tdn.LIF(), nn.Linear(4, 2), tdn.LeakyIntegrator()
    net = tdn.Chain(a, b, c, d)
    assert isinstance(net[1:], tdn.Chain)
    assert list(net[1:]) == [b, c, d]
    assert list(net[:-1]) == [a, b, c]
    assert list(net[::2]) == [a, c]
    y, _ = net[:2].scan(rows(5, 2, 3))
    assert_close(net[2:].scan(y)[0], net(rows(5, 2, 3)))
    net.append(nn.ReLU()).extend([b, d])
    assert list(net)[:4] == [a, b, c, d]
    assert list(net)[5:] == [b, d]
    del net[4:]
    assert net.insert(1, c) is net
    assert list(net) == [a, c, b, c, d]
    del net[1]
    net[-1] = b
    assert list(net) == [a, b, c, b]
    assert list(net._modules) == ["0", "1", "2", "3"]
    assert net(rows(5, 2, 3)).shape == (5, 2, 2)
    named = tdn.Chain(first=a, cell=b).append(c)
    named[1] = d
    assert list(named._modules) == ["first", "cell", "2"]


def test_a_change_that_cannot_be_leaves_the_chain_as_it_was():
    net = tdn.Chain(nn.Linear(3, 4), tdn.LIF())
    before = list(net)
    with pytest.raises(ValueError, match=r"Chain: expected layers that share one dt"):
        net.append(tdn.LIF(dt=0.5))
    with pytest.raises(TypeError, match=r"Chain: expected modules, got int"):
        net[0] = 3
    with pytest.raises(TypeError, match=r"Chain: expected layers that know no time, got LSTM"):
        net.insert(0, nn.LSTM(3, 3))
    with pytest.raises(ValueError, match=r"Chain: expected dynamics as direct layers, got some inside Stepwise"):
        net.append(tdn.Stepwise(tdn.Unfolded(tdn.LIF())))
    with pytest.raises(ValueError, match=r"Chain: .* got no layer"):
        del net[:]
    assert list(net) == before
    assert tdn.Chain(nn.ReLU()).append(tdn.LIF(dt=0.5)).dt == 0.5


@pytest.mark.parametrize("backend", ["eager", "auto"])
def test_output_dtype(backend):
    torch.manual_seed(0)
    x = rows(9, 2, 4)
    nets = [
        tdn.Chain(nn.Linear(4, 4), tdn.LIF()),
        tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF()),
        tdn.Chain(tdn.LIF(), nn.Flatten()),
        tdn.Chain(tdn.LIF(), tdn.Delay(2.0)),
        tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)),
        tdn.Delay(2.0),
    ]
    with tdn.backend(backend):
        for net in nets:
            y, state = net.scan(x)
            kept, last = net.scan(x, output_dtype=torch.float64)
            assert kept.dtype == torch.float64
            assert_close(kept, y.double(), rtol=0, atol=0)
            assert_close(tdn.leaves(last), tdn.leaves(state), rtol=0, atol=0)
        spikes, _ = nets[0].scan(x, output_dtype=torch.bool)
        assert torch.equal(spikes.float(), nets[0](x))
