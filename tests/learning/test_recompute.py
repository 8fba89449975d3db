"""Less memory, or a compiled model, gives the same outputs, gradients and running statistics."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import BPTT
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.models import SpikingPerceptron

LABELS = torch.tensor([0, 1, 1])


def plain(norm=False):
    norms = [tdn.Stepwise(nn.BatchNorm1d(5))] if norm else []
    loop = tdn.Recurrent(tdn.LIF(tdn.Learned(4.0)), nn.Linear(5, 5))
    layers = [
        nn.Linear(4, 5),
        *norms,
        tdn.LIF(tdn.Learned(3.0)),
        nn.Dropout(0.5),
        nn.Linear(5, 5),
        loop,
        nn.Linear(5, 2),
    ]
    return [*layers, tdn.LeakyIntegrator()]


def perceptron():
    return SpikingPerceptron((4,), 2, hidden=[6, 5], norm="batch", dropout=0.5, synapse=tdn.ExponentialSynapse(3.0))


def outcome(method, model, x, lengths=None):
    torch.manual_seed(3)
    found = method(model, x, LABELS, MembraneCrossEntropy(), lengths)
    found.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return found.loss.detach(), gradients, dict(model.named_buffers())


def compare(made, model, x, lengths=None, **tolerance):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    other = copy.deepcopy(model)
    expected, got = outcome(BPTT(), other, x, lengths), outcome(made, model, x, lengths)
    assert expected[1]["0.weight" if "0.weight" in expected[1] else "linear0.weight"].abs().max() > 0
    for a, b in zip(got, expected, strict=True):
        assert_close(a, b, **tolerance)


@pytest.mark.parametrize("backend", ["eager", "auto"])
@pytest.mark.parametrize("make", [lambda: nn.Sequential(*plain(True)), lambda: tdn.Chain(*plain(True)), perceptron])
def test_layers(make, backend):
    with tdn.backend(backend):
        compare(BPTT(recompute="layers"), make(), torch.rand(12, 3, 4), torch.tensor([12, 5, 9]))


@pytest.mark.parametrize("backend", ["eager", "auto"])
@pytest.mark.parametrize("make", [lambda: nn.Sequential(*plain()), lambda: tdn.Chain(*plain())])
@pytest.mark.parametrize("piece", [5, 12])
def test_time(make, backend, piece):
    # Dropout draws anew in each piece, so there is none.
    model = make().eval() if piece == 12 else make()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with tdn.backend(backend):
        compare(BPTT(recompute="time", piece=piece), model, torch.rand(12, 3, 4), torch.tensor([12, 5, 9]))


def kept(method, model, x):
    """Bytes that a forward pass keeps for backward, beside weights and input."""
    known = {leaf.untyped_storage().data_ptr() for leaf in (x, *model.parameters())}
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = method(model, x, LABELS, MembraneCrossEntropy())
    del found
    return sum(size for pointer, size in storages.items() if pointer not in known)


@pytest.mark.parametrize("way", [{"recompute": "layers"}, {"recompute": "time", "piece": 25}])
def test_less_is_kept(way):
    torch.manual_seed(0)
    layers = [part for _ in range(4) for part in (nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), tdn.LIF())]
    model, x = nn.Sequential(*layers), torch.rand(100, 3, 32)
    with tdn.backend("auto"):
        assert kept(BPTT(**way), model, x) < 0.5 * kept(BPTT(), model, x)


def test_norms_and_unknown_layers_are_refused_over_time():
    with pytest.raises(TypeError, match=r"got BatchNorm1d at 1\.module, which takes its statistics over all frames"):
        BPTT(recompute="time")(nn.Sequential(*plain(True)), torch.rand(4, 3, 4), LABELS, MembraneCrossEntropy())

    class Own(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    with pytest.raises(TypeError, match="got Own at 0, which may look at several frames at once"):
        BPTT(recompute="time")(nn.Sequential(Own(), *plain()), torch.rand(4, 3, 4), LABELS, MembraneCrossEntropy())


def test_a_forward_that_may_do_anything_is_refused_by_layers():
    class Own(nn.Sequential):
        def forward(self, x):
            return super().forward(x)

    with pytest.raises(TypeError, match="expected layers that stand in a row for recompute='layers'"):
        BPTT(recompute="layers").prepare(Own(*plain()))
    with pytest.raises(ValueError, match="expected recompute='none' with compiled=True"):
        BPTT(recompute="layers", compiled=True)


def test_compiled():
    """As a graph of torch, without its compiler, which takes a minute."""
    method = BPTT(compiled=True)
    original = torch.compile
    try:
        torch.compile = lambda model: original(model, backend="eager")
        torch.compiler.reset()
        model = nn.Sequential(nn.Linear(4, 5), tdn.LIF(tdn.Learned(3.0)), nn.Linear(5, 2))
        compare(method, model, torch.rand(6, 3, 4))
    finally:
        torch.compile = original
    assert not copy.deepcopy(method)._made
