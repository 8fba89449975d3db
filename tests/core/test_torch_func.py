"""Steps and right-hand sides under the transforms of ``torch.func``; states that are saved, loaded and rebuilt."""

import io

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.contract_cases import build, concrete_dynamics, sequence
from torchdyn_neuro.core.state import first_frame, leaves, map_state

# Torch decomposes some operations of forward mode by scripts, which it warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")

CLASSES = {cls.__name__: cls for cls in concrete_dynamics()}


class Jittered(tdn.LIF):
    def diffusion(self, x_t, state):
        return tdn.LIFState(v=0.05)


VARIANTS = {
    "SpikeFrequencyAdaptation": lambda: tdn.LIF(adaptation=tdn.SpikeFrequencyAdaptation(), t_ref=2.0),
    "SubThresholdAdaptation": lambda: tdn.LIF(adaptation=tdn.SubThresholdAdaptation(), integrator=tdn.RK4()),
    "AdaptiveThreshold": lambda: tdn.LIF(adaptation=tdn.AdaptiveThreshold(), detach_reset=False),
    "WhiteNoise": lambda: tdn.LIF(noise=tdn.WhiteNoise()),
    "OrnsteinUhlenbeckNoise": lambda: tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise(), integrator=tdn.Heun()),
    "EscapeNoise": lambda: tdn.LIF(noise=tdn.EscapeNoise()),
    "EulerMaruyama": lambda: Jittered(integrator=tdn.EulerMaruyama()),
    "Interpolated": lambda: tdn.LIF(integrator=tdn.Interpolated(tdn.RK4()), t_ref=2.0),
    "Exact": lambda: tdn.SynapticLIF(integrator=tdn.Exact()),
    "Midpoint": lambda: tdn.QIF(integrator=tdn.Midpoint()),
}
"""Terms and integrators that no shipped class has by default, on a cell."""
every_module = pytest.mark.parametrize("name", [*CLASSES, *VARIANTS])


@pytest.fixture(autouse=True)
def eager():
    """The transforms are those of the definition."""
    with tdn.backend("eager"):
        yield


def under_way(name, rows=2):
    """A module, a frame and the state that it meets after seven others."""
    cls = CLASSES.get(name, tdn.LIF)
    module = VARIANTS[name]() if name in VARIANTS else build(cls)
    x = sequence(cls, 8, rows, 5, dtype=torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        _, state = module.double().scan(map_state(lambda leaf: leaf[:7], x))
    return module, map_state(lambda leaf: leaf[7], x), state


def floats(tree):
    return [leaf for leaf in leaves(tree) if leaf.is_floating_point()]


def of_floats(function, x_t, state):
    """``function(x_t, state)`` as one of the floating-point leaves of both, with those of the result."""

    def run(*operands):
        remaining = iter(operands)

        def given(leaf):
            return next(remaining) if leaf.is_floating_point() else leaf

        return tuple(floats(function(map_state(given, x_t), map_state(given, state))))

    return run, tuple(floats((x_t, state)))


def directions(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) for leaf in tensors)


def inner(first, second):
    return sum((a * b).sum() for a, b in zip(first, second, strict=True))


def assert_forward_is_backward(function, operands):
    """The product with a tangent, by ``jvp``, against that with a cotangent, by plain autograd."""
    tangents = directions(operands, 1)
    outputs, pushed = torch.func.jvp(function, operands, tangents)
    leaf = [operand.detach().clone().requires_grad_() for operand in operands]
    plain = function(*leaf)
    assert_close(outputs, tuple(value.detach() for value in plain), rtol=0, atol=0)
    cotangents = directions(plain, 2)
    pulled = torch.autograd.grad(inner(plain, cotangents), leaf, materialize_grads=True, allow_unused=True)
    assert_close(inner(pushed, cotangents), inner(pulled, tangents), rtol=1e-9, atol=1e-9)
    return pushed


@every_module
def test_forward_mode_of_a_step_is_its_backward(name):
    module, x_t, state = under_way(name)
    step, operands = of_floats(module.step, x_t, state)
    pushed = assert_forward_is_backward(step, operands)
    assert all(tangent.isfinite().all() for tangent in pushed)
    assert any(tangent.any() for tangent in pushed)


@every_module
def test_jacobians_of_a_step(name):
    """Column by column and row by row they are one; by both they are the products with a tangent."""
    module, x_t, state = under_way(name, rows=1)
    step, operands = of_floats(module.step, x_t, state)
    every = tuple(range(len(operands)))
    backward = torch.func.jacrev(step, argnums=every)(*operands)
    assert_close(torch.func.jacfwd(step, argnums=every)(*operands), backward, rtol=1e-9, atol=1e-9)
    tangents = directions(operands, 1)
    _, pushed = torch.func.jvp(step, operands, tangents)
    for blocks, expected in zip(backward, pushed, strict=True):
        found = sum(
            torch.tensordot(block, tangent, tangent.ndim) for block, tangent in zip(blocks, tangents, strict=True)
        )
        assert_close(found, expected, rtol=1e-9, atol=1e-9)


@every_module
def test_steps_are_mapped(name):
    """Over a new axis in front of input and state, that of a shared weight too."""
    module, x_t, state = under_way(name)
    frames = map_state(lambda leaf: torch.stack([leaf, 0.5 * leaf, 0 * leaf]), x_t)
    states = map_state(lambda leaf: torch.stack([leaf, leaf, leaf + leaf.new_ones(())]), state)
    mapped = torch.func.vmap(module.step)(frames, states)
    for k in range(3):
        expected = module.step(
            map_state(lambda leaf, k=k: leaf[k], frames), map_state(lambda leaf, k=k: leaf[k], states)
        )
        assert_close(leaves(map_state(lambda leaf, k=k: leaf[k], mapped)), leaves(expected), rtol=1e-12, atol=1e-12)


def has_a_field(cls):
    return issubclass(cls, tdn.ODE) and (cls.derivative is not None or cls.relaxation is not None)


EQUATIONS = [*(name for name, cls in CLASSES.items() if has_a_field(cls)), *VARIANTS]


@pytest.mark.parametrize("name", EQUATIONS)
def test_right_hand_sides(name):
    """All transforms, against autograd and against central differences."""
    module, x_t, state = under_way(name, rows=1)
    field, operands = of_floats(module.vector_field, x_t, state)
    assert_forward_is_backward(field, operands)
    # Relative to the size of each leaf, so that mV and nS move alike; a time that is left is a switch.
    switch = getattr(state, "refractory", None)
    tangents = tuple(
        torch.zeros_like(leaf) if leaf is switch else tangent * leaf.abs().max().clamp(min=1e-2)
        for leaf, tangent in zip(operands, directions(operands, 1), strict=True)
    )
    _, pushed = torch.func.jvp(field, operands, tangents)
    scale = 1e-6
    ahead = field(*(leaf + scale * tangent for leaf, tangent in zip(operands, tangents, strict=True)))
    behind = field(*(leaf - scale * tangent for leaf, tangent in zip(operands, tangents, strict=True)))
    for one, other, expected in zip(ahead, behind, pushed, strict=True):
        difference = (one - other) / (2 * scale)
        assert_close(difference, expected, rtol=1e-4, atol=1e-6 * max(1.0, expected.abs().max().item()))
    every = tuple(range(len(operands)))
    backward = torch.func.jacrev(field, argnums=every)(*operands)
    assert_close(torch.func.jacfwd(field, argnums=every)(*operands), backward, rtol=1e-9, atol=1e-9)
    stacked = tuple(torch.stack([leaf, leaf + 0.1 * tangent]) for leaf, tangent in zip(operands, tangents, strict=True))
    mapped = torch.func.vmap(field)(*stacked)
    for k in range(2):
        expected = field(*(leaf[k] for leaf in stacked))
        assert_close(tuple(leaf[k] for leaf in mapped), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(tdn.surrogates.__all__) - {"CustomSurrogate"}))
def test_forward_mode_of_a_surrogate_is_its_slope(name):
    surrogate = getattr(tdn.surrogates, name)()
    x = torch.linspace(-1.3, 1.3, 27, dtype=torch.float64)
    tangent = torch.sin(3 * x) + 2
    spikes, pushed = torch.func.jvp(surrogate, (x,), (tangent,))
    assert_close(spikes, (x >= 0).double())
    assert_close(pushed, tangent * surrogate.derivative(x))
    leaf = x.clone().requires_grad_()
    (pulled,) = torch.autograd.grad(surrogate(leaf).sum(), leaf)
    assert_close(torch.func.jacrev(surrogate)(x), torch.diag(pulled))
    assert_close(torch.func.jacfwd(surrogate)(x), torch.diag(pulled))
    each = torch.func.vmap(torch.func.grad(surrogate))(x)
    assert_close(each, pulled)


@pytest.mark.parametrize("order", ["forward over reverse", "reverse over reverse"])
def test_second_derivatives_of_a_step(order):
    """Twice by torch.func against twice by autograd."""
    module, x_t, state = under_way("AdEx", rows=1)
    step, operands = of_floats(module.vector_field, x_t, state)

    def summed(*operands):
        return sum(torch.sin(leaf).sum() for leaf in step(*operands))

    outer = torch.func.jacfwd if order == "forward over reverse" else torch.func.jacrev
    found = outer(torch.func.grad(summed, argnums=1), argnums=1)(*operands)
    expected = torch.autograd.functional.hessian(lambda v: summed(operands[0], v, *operands[2:]), operands[1])
    assert expected.any()
    assert_close(found, expected)


def classes_of(tree):
    return (type(tree), *map(classes_of, tree)) if isinstance(tree, tuple) else tree.dtype


def plain(tree, kind):
    """The same in plain tuples or lists."""
    return kind(plain(child, kind) for child in tree) if isinstance(tree, tuple) else tree


@every_module
def test_a_state_is_saved_loaded_and_rebuilt_from_plain_containers(name):
    module, x_t, state = under_way(name)
    x = map_state(lambda leaf: torch.stack([leaf, 0.5 * leaf, leaf]), x_t)
    y, last = module.scan(x, state)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert classes_of(loaded) == classes_of(state)
    assert all(torch.equal(a, b) for a, b in zip(leaves(loaded), leaves(state), strict=True))
    for given in (loaded, plain(state, tuple), plain(state, list)):
        again, end = module.scan(x, given)
        assert classes_of(end) == classes_of(last)
        for a, b in zip(leaves((again, end)), leaves((y, last)), strict=True):
            assert torch.equal(a, b)


def test_a_state_of_an_input_tree_begins_with_its_frame():
    """The cells that take several inputs are among those above."""
    assert sum(isinstance(first_frame(sequence(cls)), tuple) for cls in CLASSES.values()) >= 2
