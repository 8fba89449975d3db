"""Noisy cells and layers: a state holds all that is random, so pieces are the whole and a replay is exact."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees
from tests.random_numbers import normal_of
from torchdyn_neuro.core.state import leaves, map_state

STEPS = 100


CELLS = {
    "white": lambda: tdn.LIF(tdn.Learned(10.0), noise=tdn.WhiteNoise(tdn.Learned(2.0))),
    "coloured": lambda: tdn.LIF(
        tdn.Learned(10.0), noise=tdn.OrnsteinUhlenbeckNoise(tdn.Learned(4.0), sigma=tdn.Learned(3.0))
    ),
    "escape": lambda: tdn.LIF(tdn.Learned(10.0), noise=tdn.EscapeNoise(Delta_u=tdn.Learned(0.2))),
    "four states": lambda: tdn.SynapticLIF(
        tdn.Learned(10.0), adaptation=tdn.SpikeFrequencyAdaptation(), noise=tdn.OrnsteinUhlenbeckNoise(4.0)
    ),
    "stochastic integrator": lambda: Diffusing(tdn.Learned(10.0), integrator=tdn.EulerMaruyama()),
    "two layers": lambda: tdn.Chain(CELLS["coloured"](), CELLS["escape"](), CELLS["white"]()),
}


class Diffusing(tdn.LIF):
    def diffusion(self, x_t, state):
        return state._replace(v=self.R() / self.tau_mem())


def inputs(steps=STEPS):
    return torch.linspace(0, 3, steps * 2 * 40).reshape(steps, 2, 40).requires_grad_()


def gradients(module, x, y, **options):
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    return torch.autograd.grad((y * weights).sum(), [x, *module.parameters()], **options)


@pytest.mark.parametrize("name", CELLS)
def test_the_backward_pass_takes_the_numbers_of_the_forward_pass(name):
    module, x = CELLS[name](), inputs()
    (y, *_), found = assert_agrees(module.double(), x.detach().double(), relative=1e-12, backend="auto")
    assert y.sum() > 0
    assert all(gradient.any() for gradient in found)


@pytest.mark.parametrize("name", CELLS)
def test_the_backward_pass_may_be_repeated_and_leaves_the_generator_alone(name):
    module, x = CELLS[name](), inputs()
    torch.manual_seed(3)
    y = module(x)
    torch.rand(5)
    state = torch.get_rng_state()
    first = gradients(module, x, y, retain_graph=True)
    for got, wanted in zip(gradients(module, x, y, retain_graph=True), first, strict=True):
        assert torch.equal(got, wanted)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(3)
    again = module(x)
    assert torch.equal(again, y)
    for got, wanted in zip(gradients(module, x, again), first, strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("name", CELLS)
def test_memory_kept_for_the_backward_pass(name):
    """With one input, no more than 1.4 tensors [T, B, N] for a layer, as without noise."""
    module, x = CELLS[name](), inputs()
    kept = {}

    def pack(tensor):
        if tensor.numel() > 1:  # the quantities apart
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(x)
    layers = len(module) if isinstance(module, tdn.Chain) else 1
    assert sum(kept.values()) <= (1 + 0.4 * layers) * x.numel() * x.element_size()


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing(reentrant):
    module, x = CELLS["coloured"](), inputs(30)
    torch.manual_seed(3)
    expected = gradients(module, x, module(x))
    torch.manual_seed(3)
    y = checkpoint(module, x, use_reentrant=reentrant)
    torch.rand(3)
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    (y * weights).sum().backward()
    for got, wanted in zip([x.grad, *(p.grad for p in module.parameters())], expected, strict=True):
        assert_close(got, wanted)


def test_second_derivatives():
    module, x = CELLS["coloured"]().double(), inputs(12).detach().double().requires_grad_()

    def penalty(name):
        with tdn.backend(name):
            torch.manual_seed(3)
            (first,) = gradients(module, x, module(x), create_graph=True)[1:2]
            return torch.autograd.grad(first, [x, *module.parameters()])

    for got, expected in zip(penalty("cpp"), penalty("eager"), strict=True):
        assert got.any()
        assert_close(got, expected)


@pytest.mark.parametrize("name", ["coloured", "two layers"])
def test_compiles_as_one_graph(name):
    torch._dynamo.reset()
    module, x = CELLS[name](), inputs(2)
    torch.manual_seed(3)
    expected = module(x)
    torch.manual_seed(3)
    y = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
    assert_close(y, expected)
    for gradient in gradients(module, x, y):
        assert gradient.isfinite().all()


@pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")
def test_a_state_may_be_started_and_given_inside_a_compiled_function():
    """Looking at it draws nothing there either, so the run is the one that is not compiled."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    cell = tdn.LIF(noise=tdn.WhiteNoise(20.0))
    for module in (tdn.LIF(), tdn.Chain(cell, nn.Linear(4, 3), tdn.LIF(noise=tdn.WhiteNoise(20.0)))):
        x = 4 * torch.rand(2, 2, 4)

        def run(x, module=module):
            _, state = module.scan(x, module.initial_state(x[0]))
            return module.scan(x, state)[0]

        with tdn.backend("eager"):
            torch.manual_seed(1)
            expected = run(x)
            torch.manual_seed(1)
            y = torch.compile(run, fullgraph=True, backend="aot_eager")(x)
        assert_close(y, expected)


def recurrent(**noise):
    connection = tdn.Chain(tdn.ExponentialSynapse(), tdn.LeakyIntegrator(), nn.Linear(4, 4), tdn.LIF(**noise))
    return tdn.Recurrent(tdn.LIF(**noise), connection)


CONTAINERS = {
    "chain": lambda: tdn.Chain(
        tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise(sigma=20.0)),
        nn.Linear(4, 3),
        tdn.LIF(noise=tdn.EscapeNoise(0.5, Delta_u=1.0)),
    ),
    "chain in a chain": lambda: tdn.Chain(
        tdn.LIF(noise=tdn.WhiteNoise(20.0)),
        tdn.Chain(nn.Linear(4, 4), tdn.LIF(noise=tdn.WhiteNoise(20.0)), tdn.LIF()),
        tdn.Network(tdn.LIF(noise=tdn.WhiteNoise(20.0)), tdn.GapJunction(4), source="v"),
        tdn.LIF(noise=tdn.WhiteNoise(20.0)),
    ),
    "neighbours": lambda: tdn.Chain(*(tdn.LIF(tau, noise=tdn.WhiteNoise(10.0)) for tau in (5.0, 10.0, 20.0))),
    "recurrent": lambda: recurrent(noise=tdn.WhiteNoise(20.0)),
    "recurrent in a chain": lambda: tdn.Chain(
        tdn.LIF(noise=tdn.WhiteNoise(20.0)),
        recurrent(noise=tdn.WhiteNoise(20.0)),
        Diffusing(v_th=0.3, integrator=tdn.EulerMaruyama()),
    ),
    "receptors": lambda: tdn.Chain(
        tdn.ConductanceLIF([tdn.AMPA()], noise=tdn.WhiteNoise(400.0)), tdn.LIF(noise=tdn.WhiteNoise(20.0))
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_noisy_layers_in_pieces_and_step_by_step_are_the_whole(name):
    torch.manual_seed(0)
    module = CONTAINERS[name]()
    x = 4 * torch.rand(20, 2, 4)
    # Bit for bit is a promise of the definition; a compiled loop rounds otherwise than a step.
    with tdn.backend("eager"), torch.no_grad():
        torch.manual_seed(1)
        whole, last = module.scan(x)
        torch.manual_seed(1)
        first, state = module.scan(x[:7])
        second, end = module.scan(x[7:], state)
        torch.manual_seed(1)
        state, rows = module.initial_state(x[0]), []
        for x_t in x:
            y_t, state = module.step(x_t, state)
            rows.append(y_t)
    assert whole.any()
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(torch.stack(rows), whole)
    for a, b, c in zip(leaves(last), leaves(end), leaves(state), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_run_is_a_pure_function_of_its_state(name):
    """Again, and with rows in another order."""
    torch.manual_seed(0)
    module = CONTAINERS[name]()
    x, order = 4 * torch.rand(20, 3, 4), torch.tensor([2, 0, 1])
    with tdn.backend("eager"), torch.no_grad():
        start = module.initial_state(x[0])
        y, last = module.scan(x, start)
        again, _ = module.scan(x, start)
        permuted, end = module.scan(x[:, order], map_state(lambda leaf: leaf[order], start))
        other, _ = module.scan(x)
    assert torch.equal(again, y)
    assert not torch.equal(other, y), "another start, other numbers"
    assert_close(permuted, y[:, order])
    assert_close(leaves(end), [leaf[order] for leaf in leaves(last)])


def sequential(name):
    """The layers of a chain, or the one module, in torch's own container, whose layers know nothing of each other."""
    module = CONTAINERS[name]()
    return nn.Sequential(*module) if isinstance(module, tdn.Chain) else nn.Sequential(module, nn.Linear(4, 2))


@pytest.mark.parametrize("name", CONTAINERS)
def test_halves_and_frames_of_a_stream_give_the_whole(name):
    torch.manual_seed(0)
    net = sequential(name)
    x = 4 * torch.rand(20, 2, 4)
    with tdn.backend("eager"), torch.no_grad():
        torch.manual_seed(1)
        whole = net(x)
        torch.manual_seed(1)
        live = tdn.Streaming(net)
        halves = torch.cat([live(x[:10]), live(x[10:])])
        torch.manual_seed(1)
        live = tdn.Streaming(net)
        frames = torch.stack([live.step(x_t) for x_t in x])
    assert len(whole.unique()) > 1
    assert torch.equal(halves, whole)
    assert_close(frames, whole)


def test_a_record_sees_the_numbers_of_the_run():
    net, x = sequential("chain"), 4 * torch.rand(20, 2, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    y = net(x)
    torch.manual_seed(1)
    seen = tdn.record(net, x, ["0.noise.current", "0.output", "2.output"])
    assert y.any()
    assert_close(seen["2.output"], y)
    assert_close(net[1](seen["0.output"]).shape, y.shape)
    assert seen["0.noise.current"].std() > 0


def test_noisy_neighbours_run_as_one_kernel():
    module, x = CONTAINERS["neighbours"](), 4 * torch.rand(20, 2, 4)
    state = module.initial_state(x[0])
    with tdn.backend("eager"):
        expected, _ = module.scan(x, state)
    with tdn.backend("cpp"):
        assert tdn.why_eager(module, x, state) is None
        assert torch.equal(module.scan(x, state)[0], expected)


def test_layers_of_a_chain_have_numbers_of_their_own():
    cells = [tdn.IF(v_th=1e9, noise=tdn.WhiteNoise()) for _ in range(2)]
    chain = tdn.Chain(cells[0], nn.Identity(), cells[1])
    torch.manual_seed(0)
    states = chain.initial_state(torch.zeros(1, 20))
    assert states[1] == ()
    first, second = (normal_of(state.noise.key, 500) for state in (states[0], states[2]))
    assert abs((first * second).mean()) < 5 / 100  # five standard errors of 10000 products


def test_a_noise_of_another_shape_or_kind_is_refused():
    x = torch.zeros(5, 2, 3)
    cell = tdn.LIF(noise=tdn.WhiteNoise())
    start = cell.initial_state(x[0])
    coloured = tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise()).initial_state(x[0])
    with tdn.backend("eager"):
        cell.scan(x, start)
        for noise in (
            start.noise._replace(key=start.noise.key[:, :1]),
            start.noise._replace(key=start.noise.key.float()),
            coloured.noise,
            (),
        ):
            with pytest.raises(ValueError, match=r"LIF: expected a state .* for this input, got .*; pass the state"):
                cell.scan(x, start._replace(noise=noise))
        with pytest.raises(ValueError, match=r"LIF: expected a state .* for this input, got .*; pass the state"):
            tdn.LIF().scan(x, start)


def test_looking_at_a_state_draws_nothing():
    """To check a state, the one that was expected is built; the generator stays where it is."""
    x = torch.ones(5, 2, 4)
    for name, build in CONTAINERS.items():
        module = build()
        with tdn.backend("eager"), torch.no_grad():
            start = module.initial_state(x[0])
            before = torch.get_rng_state()
            module.scan(x, start)
        assert torch.equal(torch.get_rng_state(), before), name


def test_looking_for_a_potential_draws_nothing():
    pictures = pytest.importorskip("torchdyn_neuro.training.callbacks.pictures")
    cell = tdn.AdEx(noise=tdn.WhiteNoise())
    before = torch.get_rng_state()
    assert pictures.potential(cell) == "v"
    assert torch.equal(torch.get_rng_state(), before)
