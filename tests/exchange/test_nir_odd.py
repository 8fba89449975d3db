"""Graphs of NIR from elsewhere and models that are no plain ones: what is odd is read right, or refused."""

import numpy as np
import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import quantize
from torchdyn_neuro.exchange import from_nir, to_nir
from torchdyn_neuro.exchange.nir_library import make_graph

nir = pytest.importorskip("nir", reason="the extra nir")


def spikes_in(*shape: int) -> torch.Tensor:
    return (torch.rand(40, 2, *shape, generator=torch.Generator().manual_seed(3)) < 0.4).float()


def graph(nodes: dict, *edges: tuple[str, str]) -> "nir.NIRGraph":
    return make_graph(nir, {"i": port(nir.Input), **nodes, "o": port(nir.Output)}, list(edges), {})


def port(kind: type) -> object:
    return kind(**{f"{kind.__name__.lower()}_type": {kind.__name__.lower(): np.array([3])}})


def leaky() -> object:
    return nir.LI(tau=np.full(3, 0.02), r=np.full(3, 2.0), v_leak=np.zeros(3))


def test_quantized_weights_are_written_as_they_are():
    torch.manual_seed(0)
    net = tdn.Chain(nn.Conv2d(1, 2, 3), tdn.LIF(R=30.0), nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3), tdn.LIF())
    net.eval()[4].running_mean.fill_(-3.0)
    quantize(net)
    x = spikes_in(1, 4, 4)
    back = from_nir(to_nir(net, (1, 4, 4), metadata=True))
    assert torch.equal(back(x), net(x))
    assert 0.02 < net(x).mean() < 0.98


def test_bfloat16_is_written_as_float32():
    net = tdn.Chain(nn.Linear(3, 2), tdn.OneToOne(2, 0.3), tdn.LIF()).bfloat16()
    nodes = to_nir(net, metadata=True).nodes
    np.testing.assert_array_equal(nodes["0"].weight, net[0].weight.detach().float().numpy())
    np.testing.assert_array_equal(nodes["1"].scale, net[1].weight.detach().float().numpy())


def test_a_convolution_without_a_bias_has_none():
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    conv = nir.Conv1d(input_shape=3, weight=np.ones((2, 3, 1)), bias=None, **settings)
    made = graph({"c": conv}, ("i", "c"), ("c", "o"))
    made.nodes["i"].input_type["input"], made.nodes["o"].output_type["output"] = np.array([3, 3]), np.array([2, 3])
    assert from_nir(made)[0].bias is None
    conv.bias = np.ones(1)
    with pytest.raises(ValueError, match=r"'c', Conv1d: expected a bias of shape \(2,\), got \(1,\)"):
        from_nir(made)


def test_a_graph_with_branches_may_stand_in_a_graph():
    inner = graph({"a": leaky(), "b": leaky()}, ("i", "a"), ("i", "b"), ("a", "o"), ("b", "o"))
    flat, x = from_nir(inner, 1.0), spikes_in(3)
    alone = from_nir(graph({"g": inner}, ("i", "g"), ("g", "o")), 1.0)
    assert torch.equal(alone(x), flat(x))
    identity = nir.Linear(weight=np.eye(3))
    beside = graph({"g": inner, "w": identity}, ("i", "g"), ("i", "w"), ("g", "o"), ("w", "o"))
    torch.testing.assert_close(from_nir(beside, 1.0)(x), flat(x) + x)
    around = graph({"g": inner, "w": identity}, ("i", "g"), ("g", "w"), ("w", "g"), ("g", "o"))
    with pytest.raises(ValueError, match="loop through g, w: Recurrent: expected a Dynamics as neuron"):
        from_nir(around, 1.0)


def test_edges_that_leave_the_output_are_refused():
    for edge in (("o", "b"), ("a", "i")):
        with pytest.raises(ValueError, match=f"expected no edge to the Input.* got one from '{edge[0]}'"):
            from_nir(graph({"a": leaky(), "b": leaky()}, ("i", "a"), ("a", "o"), edge), 1.0)
    assert torch.equal(from_nir(graph({}, ("i", "o")))(spikes_in(3)), spikes_in(3))


def layer_of(neurons: int, kind: str = "LI") -> object:
    more = {"LI": {}, "LIF": {"v_threshold": np.ones(neurons)}}[kind]
    return getattr(nir, kind)(tau=np.full(neurons, 0.02), r=np.full(neurons, 2.0), v_leak=np.zeros(neurons), **more)


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        (
            lambda: {"w": nir.Linear(weight=np.ones((5, 3))), "n": layer_of(20)},
            [("i", "w"), ("w", "n"), ("n", "o")],
            r"node 'n', LI: expected values for frames of shape \(5,\), .* got tau of shape \(20,\)",
        ),
        (lambda: {"n": layer_of(4)}, [("i", "n"), ("n", "o")], r"frames of shape \(3,\), .* got tau of shape \(4,\)"),
        (
            lambda: {"w": nir.Linear(weight=np.ones((5, 4)))},
            [("i", "w"), ("w", "o")],
            "from_nir: 'w': expected an input of width 4 for Linear, got 3",
        ),
        (
            lambda: {"w": nir.Linear(weight=np.ones((5, 3)))},
            [("i", "w"), ("w", "o")],
            r"expected frames of shape \(3,\) at 'o', as the node says, got \(5,\)",
        ),
        (
            lambda: {"w": nir.Linear(weight=np.ones((1, 3))), "n": layer_of(3)},
            [("i", "w"), ("i", "n"), ("w", "o"), ("n", "o")],
            r"frames of one shape to be added in front of 'o', got \(1,\) and \(3,\)",
        ),
        (
            lambda: {"n": layer_of(3, "LIF"), "w": nir.Linear(weight=np.ones((2, 3)))},
            [("i", "n"), ("n", "w"), ("w", "n"), ("n", "o")],
            r"'n', 'w': expected .* got shape \(3,\) from the nodes in front",
        ),
    ],
)
def test_nodes_for_other_frames_are_refused(nodes, edges, words):
    made = graph({}, ("i", "o"))
    # The library itself may look at shapes when a graph is built.
    made.nodes, made.edges = made.nodes | nodes(), edges
    with pytest.raises(ValueError, match=words):
        from_nir(made, 1.0)


def test_quantities_that_are_to_be_learned():
    nodes = {"w": nir.Linear(weight=np.ones((3, 3))), "n": layer_of(3, "LIF"), "m": leaky()}
    made = graph(nodes, ("i", "w"), ("w", "n"), ("n", "m"), ("m", "o"))
    model = from_nir(made, 1.0, learned=["tau_mem", "v_th"], dtype=torch.float64)
    assert sorted(name for name, _ in model.named_parameters()) == [
        "m.tau_mem.raw",
        "n.tau_mem.raw",
        "n.v_th.raw",
        "w.weight",
    ]
    assert repr(model.n.tau_mem) == "Positive(20 ms, learned)"
    x = spikes_in(3).double()
    assert torch.equal(model(x), from_nir(made, 1.0, dtype=torch.float64)(x))
    model(x).sum().backward()
    assert model.n.tau_mem.raw.grad.abs() > 0
    with pytest.raises(ValueError, match=r"learned to name quantities of the layers, R, tau_mem, v_\w+, .* got 'beta'"):
        from_nir(made, 1.0, learned=["beta"])
