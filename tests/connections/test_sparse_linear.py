"""The sparse layer against the dense one that holds the same weights."""

import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

import torchdyn_neuro as tdn
from tests.threads import on_threads
from torchdyn_neuro.wiring import FixedOutDegree, FixedProbability, Given, Normal

IN, OUT = 30, 20


def layer(seed: int = 1, bias: bool = True) -> tdn.SparseLinear:
    made = tdn.SparseLinear(IN, OUT, FixedOutDegree(6), Normal(0.0, 1.0), bias=bias, seed=seed, dtype=torch.float64)
    if bias:
        nn.init.normal_(made.bias)
    return made


def spikes(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(*shape, IN, generator=generator) < 0.3).double() * torch.randn(*shape, IN, generator=generator)


def dense(made: tdn.SparseLinear, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What a dense layer computes; the weights placed one by one."""
    matrix = x.new_zeros(OUT, IN)
    for k, (source, place) in enumerate(zip(made.sources().tolist(), made.place.tolist(), strict=True)):
        matrix = matrix + nn.functional.pad(weight[k].reshape(1, 1), (source, IN - 1 - source, place, OUT - 1 - place))
    return functional.linear(x, matrix, made.bias)


def test_values_and_gradients_are_those_of_a_dense_layer():
    made, x = layer(), spikes(7, 3).requires_grad_()
    probe = torch.randn(7, 3, OUT, dtype=torch.float64)
    found = torch.autograd.grad((made(x) * probe).sum(), [x, made.weight, made.bias])
    wanted = torch.autograd.grad((dense(made, x, made.weight) * probe).sum(), [x, made.weight, made.bias])
    torch.testing.assert_close(made(x), dense(made, x, made.weight), rtol=1e-12, atol=1e-12)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_second_derivatives():
    made, x = layer(bias=False), spikes(4).requires_grad_()
    torch.autograd.gradcheck(lambda x, w: made_with(made, x, w), (x, made.weight))
    torch.autograd.gradgradcheck(lambda x, w: made_with(made, x, w), (x, made.weight))


def made_with(made: tdn.SparseLinear, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(made, {"weight": weight}, (x,))


def test_transforms_take_the_way_of_torch():
    made, x = layer(bias=False), spikes(3)
    rows = torch.func.jacrev(made)(x[0])
    torch.testing.assert_close(rows, made.to_dense())
    _, forward = torch.func.jvp(made, (x,), (torch.ones_like(x),))
    torch.testing.assert_close(forward, made(torch.ones_like(x)))
    torch.testing.assert_close(torch.func.vmap(made)(x), made(x))


def test_threads_change_nothing():
    made, x = layer(), spikes(40, 5).requires_grad_()

    def run() -> list[torch.Tensor]:
        y = made(x)
        return [y, *torch.autograd.grad(y.square().sum(), [x, made.weight])]

    one, *others = on_threads(run)
    assert all(torch.equal(a, b) for other in others for a, b in zip(one, other, strict=True))


def test_from_dense_and_scipy():
    sparse = pytest.importorskip("scipy.sparse")
    weight = torch.randn(OUT, IN) * (torch.rand(OUT, IN) < 0.2)
    made = tdn.SparseLinear.from_dense(weight, torch.ones(OUT))
    assert torch.equal(made.to_dense(), weight)
    x = torch.randn(4, IN)
    torch.testing.assert_close(made(x), functional.linear(x, weight, torch.ones(OUT)))
    for kind in (sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array):
        assert torch.equal(tdn.SparseLinear.from_scipy(kind(weight.numpy())).to_dense(), weight)


def test_in_a_chain_and_as_recurrence():
    forward, back = (tdn.SparseLinear(n, OUT, FixedProbability(0.3), 4.0) for n in (IN, OUT))
    net = tdn.Chain(forward, tdn.Network(tdn.LIF(), back, delay=2.0))
    plain = tdn.Chain(
        nn.Linear(IN, OUT, bias=False), tdn.Network(tdn.LIF(), nn.Linear(OUT, OUT, bias=False), delay=2.0)
    )
    plain[0].weight.data = forward.to_dense().detach()
    plain[1].connection.weight.data = back.to_dense().detach()
    x = (spikes(20, 2) != 0).float()
    with torch.no_grad(), tdn.backend("eager"):
        y, wanted = net(x), plain(x)
    assert y.sum() > 20
    assert torch.equal(y, wanted)


def test_memory_is_that_of_the_synapses():
    made = tdn.SparseLinear(2000, 60_000, FixedOutDegree(100), 1.0)
    held = sum(x.numel() * x.element_size() for x in (*made.parameters(), *made.buffers()))
    assert held / made.weight.numel() < 6.1
    wide = tdn.SparseLinear(3, 70_000, FixedOutDegree(1000), 1.0)
    assert wide.place.dtype == torch.int32
    assert wide(torch.ones(1, 3)).sum() == 3000


def test_infinite_weights_meet_zeros_as_in_a_dense_layer():
    made = tdn.SparseLinear.from_dense(torch.tensor([[torch.inf, 1.0]]))
    assert made(torch.tensor([[0.0, 1.0]])).isnan().all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="SparseLinear: expected weight= or the weights of a Given wiring, got none"):
        tdn.SparseLinear(4, 3, FixedProbability(0.5))
    with pytest.raises(TypeError, match="expected a rule of connectivity as wiring, got float; pass"):
        tdn.SparseLinear(4, 3, 0.5, 1.0)
    with pytest.raises(ValueError, match=r"expected an input \[..., 30\], got shape \(5, 4\)"):
        layer()(torch.ones(5, 4, dtype=torch.float64))
    narrow = tdn.SparseLinear(OUT, OUT - 1, FixedOutDegree(3), 1.0)
    with pytest.raises(ValueError, match=f"expected a connection to {OUT} neurons, .* got {OUT - 1} outputs of Sparse"):
        tdn.Network(tdn.LIF(), narrow)(torch.ones(2, 1, OUT))
    delayed = Given(torch.tensor([0]), torch.tensor([0]), weight=torch.ones(1), delay=torch.ones(1))
    with pytest.raises(ValueError, match="expected synapses without delays"):
        tdn.SparseLinear(4, 3, delayed)


def test_a_layer_is_pickled():
    one, x = layer(), torch.eye(IN)
    other = pickle.loads(pickle.dumps(one))
    assert other.place.dtype == torch.uint16
    assert torch.equal(other(x), one(x))
