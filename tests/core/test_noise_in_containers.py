"""Random numbers: one order for a whole and its pieces, and nothing kept of them for the backward pass."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import torchdyn_neuro as tdn
from torchdyn_neuro.core.randomness import Draw, draw_frame, draw_sequence, drawn_again
from torchdyn_neuro.core.state import leaves, map_state

STEPS = 100


def draw(law, *shape, dtype=torch.float32):
    return Draw(law, torch.Size(shape), dtype, torch.device("cpu"))


TREES = {
    "one": draw("normal", 2, 3),
    "a single number": draw("normal", 1, 1),
    "aligned": (draw("normal", 4, 8), draw("normal", 2, 8)),
    "two sizes": (draw("normal", 2, 3), (draw("normal", 1, 37), None)),
    "uniform": (draw("uniform", 5, 7), draw("uniform", 1, 1)),
    "two laws": (draw("normal", 2, 3), draw("uniform", 2, 3), draw("normal", 40, 5)),
    "two types": (draw("normal", 2, 3), draw("normal", 2, 3, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", TREES)
def test_a_sequence_draws_what_its_frames_and_its_pieces_draw(name):
    tree = TREES[name]
    torch.manual_seed(0)
    whole = draw_sequence(tree, 7)
    after = torch.rand(1)
    torch.manual_seed(0)
    singly = [draw_frame(tree) for _ in range(7)]
    assert torch.equal(torch.rand(1), after), "both leave the generator at the same place"
    torch.manual_seed(0)
    pieces = map_state(lambda a, b: torch.cat([a, b]), draw_sequence(tree, 3), draw_sequence(tree, 4))
    stacked = map_state(lambda *frames: torch.stack(frames), *singly)
    for one, two, three in zip(leaves(whole), leaves(stacked), leaves(pieces), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
        assert len(one.unique()) == one.numel(), "no number twice"


def test_laws():
    normal, uniform = draw_sequence((draw("normal", 100, 10), draw("uniform", 100, 10)), 40)
    # Five standard errors of 40000 numbers.
    assert abs(normal.mean()) < 0.025
    assert normal.var().item() == pytest.approx(1, abs=0.036)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.0073)
    assert 0 <= uniform.min() < uniform.max() < 1


@pytest.mark.parametrize("name", TREES)
def test_drawn_again_bit_for_bit_without_the_global_generator(name):
    torch.manual_seed(0)
    numbers = leaves(draw_sequence(TREES[name], 7))
    torch.rand(11)
    state = torch.get_rng_state()
    again = [drawn_again(tensor)() for tensor in numbers]
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(numbers, again, strict=True):
        assert torch.equal(one, two)
        assert one.data_ptr() != two.data_ptr()


def test_numbers_that_were_changed_are_kept():
    numbers = draw_sequence(draw("normal", 2, 3), 7)
    numbers.zero_()
    assert drawn_again(numbers) is None
    with torch.no_grad():
        assert drawn_again(draw_sequence(draw("normal", 2, 3), 7)) is None


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
def test_gradients_are_those_with_the_numbers_kept(name):
    module, x = CELLS[name](), inputs()
    torch.manual_seed(3)
    prepared = module.prepare(x)
    kept = module.scan(map_state(lambda leaf: leaf if leaf is x else leaf.clone(), prepared))[0]
    torch.manual_seed(3)
    y = module(x)
    torch.rand(5)
    state = torch.get_rng_state()
    assert y.sum() > 0
    assert torch.equal(y, kept)
    expected = gradients(module, x, kept)
    for _ in range(2):
        for got, wanted in zip(gradients(module, x, y, retain_graph=True), expected, strict=True):
            assert torch.equal(got, wanted)
    assert torch.equal(torch.get_rng_state(), state), "the backward pass leaves the generator alone"


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
    y = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
    for gradient in gradients(module, x, y):
        assert gradient.isfinite().all()


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
        tdn.Coupled(tdn.LIF(noise=tdn.WhiteNoise(20.0)), tdn.GapJunction(4)),
        tdn.LIF(noise=tdn.WhiteNoise(20.0)),
    ),
    "neighbours": lambda: tdn.Chain(*(tdn.LIF(tau, noise=tdn.WhiteNoise(5.0)) for tau in (5.0, 10.0, 20.0))),
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


def test_noisy_neighbours_run_as_one_kernel():
    module, x = CONTAINERS["neighbours"](), 4 * torch.rand(20, 2, 4)
    torch.manual_seed(1)
    with tdn.backend("eager"):
        expected = module(x)
    torch.manual_seed(1)
    prepared = module.prepare(x)
    state = module.initial_state(x[0])
    with tdn.backend("cpp"):
        assert tdn.core.time_loop.fuses(module, prepared, state)
        assert torch.equal(module.scan(prepared)[0], expected)


def test_layers_of_a_chain_draw_numbers_of_their_own():
    cells = [tdn.IF(v_th=1e9, noise=tdn.WhiteNoise()) for _ in range(2)]
    chain = tdn.Chain(cells[0], nn.Identity(), cells[1])
    numbers = chain.prepare(torch.zeros(500, 1, 20)).part
    assert numbers[1] is None
    correlation = (numbers[0].part * numbers[2].part).mean()
    assert abs(correlation) < 5 / 100  # five standard errors of 10000 products


def test_numbers_of_another_shape_are_refused():
    x = torch.zeros(5, 2, 3)
    for cell, part in (
        (tdn.LIF(noise=tdn.WhiteNoise()), torch.zeros(5, 2, 1)),
        (tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise()), torch.zeros(5, 2, 3)),
        (tdn.LIF(), torch.zeros(5, 2, 3)),
    ):
        with pytest.raises(ValueError, match=r"LIF: expected random numbers of the shapes .* got .*; pass the input"):
            cell(tdn.Noisy(x, part=part))
