"""Steps with matrix products inside run as one call each way, and agree with the eager loop."""

from typing import NamedTuple

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

import torchdyn_neuro as tdn
from torchdyn_neuro.core.ode import ODE
from torchdyn_neuro.core.quantities import Positive
from torchdyn_neuro.core.state import map_state, register_state, zeros_state
from torchdyn_neuro.fused.recurrent import cut_runtime

from .agreement import assert_agrees


@register_state
class RateState(NamedTuple):
    """v: the potential."""

    v: Tensor


class Rate(ODE):
    """tau dv/dt = x - v, put out as tanh(v)."""

    def __init__(self, tau=10.0, **options):
        super().__init__(**options)
        self.tau = Positive(tau, unit="ms")

    def initial_state(self, x_t):
        return RateState(zeros_state(x_t) + 0.1)

    def derivative(self, x_t, state):
        return RateState((x_t - state.v) / self.tau())

    def observe(self, state):
        return torch.tanh(state.v)


class TwoLayers(tdn.Dynamics):
    """A step of a user's own: two products in a row, one of them used twice, and the state of the step before."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def initial_state(self, x_t):
        return zeros_state(x_t), zeros_state(x_t)

    def step(self, x_t, state):
        v, old = state
        h = torch.relu(self.first(v) + x_t)
        new = 0.5 * torch.sin(self.second(h)) + self.second(torch.tanh(old)) * 0.1
        return new * h, (new, v)


class Gated(tdn.Dynamics):
    """A gated recurrent unit with linear maps of its own."""

    def __init__(self, width):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(width, width) for _ in range(6))

    def initial_state(self, x_t):
        return (zeros_state(x_t),)

    def step(self, x_t, state):
        (h,) = state
        r = torch.sigmoid(self.maps[0](x_t) + self.maps[1](h))
        z = torch.sigmoid(self.maps[2](x_t) + self.maps[3](h))
        n = torch.tanh(self.maps[4](x_t) + r * self.maps[5](h))
        h = (1 - z) * n + z * h
        return h, (h,)


class Elman(tdn.Dynamics):
    """Input, hidden state and output of three widths, with a time constant for each hidden unit."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.hidden = hidden
        self.enter, self.within = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden, bias=False)
        self.leave = nn.Linear(hidden, outputs)
        self.rate = nn.Parameter(torch.rand(hidden))
        self.gain = Positive(2.0)

    def initial_state(self, x_t):
        return (zeros_state(x_t[..., :1]).expand(*x_t.shape[:-1], self.hidden),)

    def step(self, x_t, state):
        (h,) = state
        h = h + (torch.tanh(self.gain() * self.enter(x_t) + self.within(h)) - h) * self.rate
        return self.gain() * torch.sigmoid(self.leave(h)), (h,)


def linear(width, bias=True, gain=1.0):
    layer = nn.Linear(width, width, bias=bias)
    with torch.no_grad():
        layer.weight *= gain
    return layer


def learned_rate(integrator, **options):
    return Rate(tdn.Learned(torch.rand(13) * 5 + 5), integrator=integrator, **options)


CASES = {
    "rate, euler": lambda: tdn.Network(learned_rate(tdn.Euler()), linear(13)),
    "rate, heun": lambda: tdn.Network(learned_rate(tdn.Heun()), linear(13, bias=False)),
    "rate, rk4": lambda: tdn.Network(learned_rate(tdn.RK4()), linear(13)),
    "rate, rk4 substeps": lambda: tdn.Network(learned_rate(tdn.RK4(substeps=2)), linear(13)),
    "potential, rk4": lambda: tdn.Network(tdn.LIF(tdn.Learned(8.0), integrator=tdn.RK4()), linear(13), source="v"),
    "spikes": lambda: tdn.Network(tdn.LIF(tdn.Learned(8.0)), linear(13, gain=5.0), delay=2.0),
    "conductance": lambda: tdn.Network(tdn.ConductanceLIF(), linear(13, gain=10.0), input=0),
    "noise": lambda: tdn.Network(tdn.LIF(noise=tdn.WhiteNoise(tdn.Learned(0.3))), linear(13), source="v"),
    "dale": lambda: tdn.Network(learned_rate(tdn.Heun()), tdn.dale(linear(13))),
    "event-driven": lambda: tdn.Network(learned_rate(tdn.Heun()), tdn.EventLinear(13, 13)),
    "gap junctions": lambda: tdn.Network(
        tdn.LIF(integrator=tdn.RK4()), tdn.GapJunction(13, tdn.Learned(torch.rand(13) + 0.1)), source="v"
    ),
    "one gap junction": lambda: tdn.Network(
        tdn.LIF(integrator=tdn.Heun()), tdn.GapJunction(13, tdn.Learned(0.01)), source="v"
    ),
    "two layers": lambda: TwoLayers(13),
    "gated": lambda: Gated(13),
    "bottleneck": lambda: tdn.Network(learned_rate(tdn.Heun()), nn.Sequential(nn.Linear(13, 4), nn.Linear(4, 13))),
    "bent bottleneck": lambda: tdn.Network(
        learned_rate(tdn.RK4()), nn.Sequential(nn.Linear(13, 40), nn.Tanh(), nn.Linear(40, 13, bias=False))
    ),
    "spikes through a bottleneck": lambda: tdn.Network(
        tdn.LIF(tdn.Learned(8.0)), nn.Sequential(nn.Linear(13, 4), nn.Linear(4, 13)), delay=2.0
    ),
    "elman": lambda: Elman(13, 5, 7),
}


def numbers(*shape, scale=1.0):
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def drive(name, *shape):
    if name == "conductance":
        return 20 * numbers(*shape).abs(), 5 * numbers(*shape).abs()
    return numbers(*shape, scale=8.0 if name.startswith("spikes") else 2.0)


@pytest.mark.parametrize("steps", [1, 21])
@pytest.mark.parametrize("name", CASES)
def test_products_agree(name, steps):
    torch.manual_seed(0)
    module = CASES[name]().double()
    _, gradients = assert_agrees(module, drive(name, steps, 9, 13), relative=1e-10)
    if steps > 1:
        assert all(gradient is not None and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("shape", [(5, 1, 13), (12, 70, 13), (9, 3, 2, 13)])
def test_any_batch(shape):
    torch.manual_seed(0)
    assert_agrees(CASES["rate, heun"]().double(), numbers(*shape), relative=1e-10)


def test_in_float32_and_in_pieces():
    torch.manual_seed(0)
    module, x = tdn.Network(Rate(integrator=tdn.RK4()), linear(32)), numbers(40, 4, 32).float()
    with tdn.backend("cpp"):
        whole, end = module.scan(x)
        first, state = module.scan(x[:17])
        second, last = module.scan(x[17:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(last.neuron.v, end.neuron.v)
    with tdn.backend("eager"):
        torch.testing.assert_close(whole, module(x))


def test_threads_change_no_bit():
    torch.manual_seed(0)
    module, x = tdn.Network(Rate(integrator=tdn.Heun()), linear(32)), numbers(12, 30, 32).float().requires_grad_()
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with tdn.backend("cpp"):
                y = module(x)
            found.append((y.detach(), *torch.autograd.grad(y.square().sum(), [x, module.connection.bias])))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_second_derivatives():
    torch.manual_seed(0)
    module, x = CASES["rate, heun"]().double(), numbers(3, 2, 13).requires_grad_()

    def twice():
        (g,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), [x, *module.parameters()])

    with tdn.backend("cpp"):
        found = twice()
    with tdn.backend("eager"):
        torch.testing.assert_close(found, twice())


def test_a_changed_weight_is_seen_and_frozen_weights_have_no_gradient():
    torch.manual_seed(0)
    module, x = CASES["rate, heun"]().double(), numbers(4, 2, 13)
    with tdn.backend("cpp"):
        module(x)
        with torch.no_grad():
            module.connection.weight *= -1
        found = module(x)
    with tdn.backend("eager"):
        torch.testing.assert_close(found, module(x))
    module.connection.weight.requires_grad_(False)
    _, _gradients = assert_agrees(module, x, relative=1e-10)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda: tdn.Network(Rate(integrator=tdn.Heun()), nn.Softmax(-1)), "softmax"),
    ],
)
def test_what_is_no_product_of_a_frame_is_left_to_the_eager_loop(module, reason):
    module, x = module().double(), numbers(4, 2, 13)
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match=reason):
        module(x)
    found = module(x)
    with tdn.backend("eager"):
        torch.testing.assert_close(found, module(x))


def test_the_state_of_a_network_goes_on():
    torch.manual_seed(0)
    module, x = CASES["two layers"]().double(), numbers(6, 2, 13)
    _, state = module.scan(x)
    with tdn.backend("eager"):
        _, expected = module.scan(x)
    torch.testing.assert_close(map_state(lambda leaf: leaf, state), expected)


@pytest.mark.parametrize("name", ["rate, heun", "spikes"])
def test_a_compiler_of_graphs_meets_one_operator_each_way(name):
    torch.manual_seed(0)
    module, x, seen = CASES[name]().double(), drive(name, 5, 2, 13).requires_grad_(), []

    def listing(graph, inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return make_boxed_func(graph.forward)

    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend=aot_autograd(fw_compiler=listing))
    results = [(y := run(x), *torch.autograd.grad(y.sum(), [x, *module.parameters()])) for run in (compiled, module)]
    torch.testing.assert_close(*results)
    assert {f"torchdyn_neuro.cut_{way}.default" for way in ("forward", "backward")} <= {*seen}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of copies that torch makes
def test_the_operator_passes_the_checks_of_torch(monkeypatch):
    torch.manual_seed(0)
    calls, run = [], cut_runtime.cut_forward

    def spy(*arguments):
        calls.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(cut_runtime, "cut_forward", spy)
    with tdn.backend("cpp"):
        for name in ("rate, heun", "bottleneck"):
            CASES[name]().double()(drive(name, 10, 2, 13))
    monkeypatch.undo()
    for arguments in calls:
        fresh = [
            [leaf.detach().requires_grad_(leaf.is_floating_point()) for leaf in given]
            if isinstance(given, list) and isinstance(given[0], Tensor)
            else given
            for given in arguments
        ]
        torch.library.opcheck(torch.ops.torchdyn_neuro.cut_forward, tuple(fresh))
