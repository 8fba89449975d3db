"""What every equation of the package promises; the classes are found by themselves."""

import copy
import pickle

import pytest
import torch
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import torchdyn_neuro as tdn
from tests.contract_cases import EXAMPLES, NEURONS, build, concrete_dynamics, sequence
from torchdyn_neuro.core.quantities import Constrained
from torchdyn_neuro.core.state import first_frame, first_leaf, frames, leaves, map_state, stack_frames

CLASSES = concrete_dynamics()
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@pytest.fixture(autouse=True)
def eager():
    """The contract is that of the definition; the other backends are compared with it elsewhere."""
    with tdn.backend("eager"):
        yield


def seeded_scan(module, x, state=None):
    torch.manual_seed(7)
    return module.scan(x, state)


def floats(state):
    """The leaves of a state but for the keys of random numbers."""
    return [leaf for leaf in leaves(state) if leaf.dtype != torch.int64]


def assert_same(first, second):
    """Bit for bit, in the whole tree."""
    assert_close(leaves(first), leaves(second), rtol=0, atol=0)


def test_the_collection_finds_the_equations():
    names = {cls.__name__ for cls in CLASSES}
    assert {"LIF", "IF", "LeakyIntegrator", "SynapticLIF", "ExponentialSynapse", "Chain", "Recurrent"} <= names
    assert not names & {"Dynamics", "ODE", "SpikingODE"}
    assert set(EXAMPLES) <= names, "the table of examples names classes that do not exist"


@every_class
def test_is_built_and_driven_by_its_example(cls):
    try:
        module = build(cls)
    except TypeError as error:
        pytest.fail(f"{cls.__name__} needs default arguments or an entry in tests/contract_cases.py: {error}")
    y = first_leaf(seeded_scan(module, sequence(cls))[0])
    assert y.isfinite().all()
    assert len(y.unique()) > 1, f"{cls.__name__} is silent: give its entry in tests/contract_cases.py a drive"


@every_class
def test_two_pieces_are_the_whole(cls):
    module, x = build(cls), sequence(cls)
    whole, last = seeded_scan(module, x)
    first, state = seeded_scan(module, map_state(lambda leaf: leaf[:5], x))
    second, end = module.scan(map_state(lambda leaf: leaf[5:], x), state)
    assert_same(map_state(lambda a, b: torch.cat([a, b]), first, second), whole)
    assert_same(end, last)


@every_class
def test_steps_are_the_scan(cls):
    module, x = build(cls), sequence(cls)
    whole, last = seeded_scan(module, x)
    torch.manual_seed(7)
    state, outputs = module.initial_state(first_frame(x)), []
    for x_t in frames(x):
        y_t, state = module.step(x_t, state)
        outputs.append(y_t)
    assert_same(stack_frames(outputs), whole)
    assert_same(state, last)
    torch.manual_seed(7)
    assert_same(module(x), whole)


@every_class
def test_nothing_is_changed_or_kept(cls):
    module, x = build(cls), sequence(cls)
    _, state = module.scan(x)
    given = leaves(x) + leaves(state)
    before = [leaf.clone() for leaf in given]
    versions = [leaf._version for leaf in given]
    attributes = [dict(vars(child)) for child in module.modules()]
    entries = {name: value.clone() for name, value in module.state_dict().items()}
    module.scan(x, state)
    module.step(first_frame(x), state)
    assert_same(tuple(given), tuple(before))
    assert [leaf._version for leaf in given] == versions
    for child, kept in zip(module.modules(), attributes, strict=True):
        assert vars(child).keys() == kept.keys()
        assert all(vars(child)[name] is value for name, value in kept.items())
    assert module.state_dict().keys() == entries.keys()
    assert_close(dict(module.state_dict()), entries, rtol=0, atol=0)


@every_class
def test_state_is_at_least_float32_and_fits_the_batch(cls):
    module = build(cls)
    for dtype, wide in ((torch.bfloat16, torch.float32), (torch.float32, torch.float32)):
        x = sequence(cls, dtype=dtype)
        module = build(cls)
        # A coupling inside the step sees the state itself, which is not narrow.
        networks = [part for part in module.modules() if isinstance(part, tdn.Network) and not part.steps]
        within = {layer for network in networks for layer in network.connection.modules()}
        for layer in module.modules():
            if isinstance(layer, torch.nn.Linear) and layer not in within:
                layer.to(dtype)
        y, state = module.scan(x)
        assert {leaf.dtype for leaf in leaves(y)} == {dtype}
        assert {leaf.dtype for leaf in floats(state)} <= {wide}
        assert all(leaf.shape[0] == 3 for leaf in leaves(state))
    x = sequence(cls, dtype=torch.float64)
    y, state = build(cls).double().scan(x)
    assert {leaf.dtype for leaf in floats((y, state))} == {torch.float64}


@every_class
def test_rows_of_the_batch_are_independent(cls):
    module, x = build(cls), sequence(cls)
    start = module.initial_state(first_frame(x))
    y, state = module.scan(x, start)
    order = torch.tensor([2, 0, 1])
    permuted, last = module.scan(map_state(lambda leaf: leaf[:, order], x), map_state(lambda leaf: leaf[order], start))
    assert_close(leaves(permuted), [leaf[:, order] for leaf in leaves(y)])
    assert_close(leaves(last), [leaf[order] for leaf in leaves(state)])
    one = map_state(lambda leaf: leaf[:, 1:2], x)
    assert_close(floats(module.initial_state(first_frame(one))), [leaf[1:2] for leaf in floats(start)])
    alone, last = module.scan(one, map_state(lambda leaf: leaf[1:2], start))
    assert_close(leaves(alone), [leaf[:, 1:2] for leaf in leaves(y)])
    assert_close(leaves(last), [leaf[1:2] for leaf in leaves(state)])


@every_class
@pytest.mark.parametrize("shape", [(1, 3, NEURONS), (4, 1, NEURONS), (1, 1, NEURONS), (4, 2, 3, 2, NEURONS)])
def test_any_length_batch_and_neuron_shape(cls, shape):
    module, x = build(cls), sequence(cls, *shape)
    if cls is tdn.Plastic and len(shape) > 3:
        with pytest.raises(ValueError, match=r"Plastic: expected frames \[B, 5\], got .*; flatten"):
            module.scan(x)
        return
    if hasattr(module, "features") and len(shape) > 3:  # a norm, whose channels stand right behind the batch
        x = x.movedim(-1, 2)
    y, state = module.scan(x)
    assert first_leaf(y).shape[:2] == shape[:2]
    assert all(leaf.isfinite().all() for leaf in leaves((y, state)))
    again, last = module.scan(x, state)
    assert first_leaf(again).shape == first_leaf(y).shape
    assert [leaf.shape for leaf in leaves(last)] == [leaf.shape for leaf in leaves(state)]


@every_class
def test_one_value_per_neuron_is_as_good_as_one_for_all(cls):
    module, x = build(cls), sequence(cls)
    expected = seeded_scan(module, x)
    for child in module.modules():
        if isinstance(child, Constrained):
            for tensor in [*child.buffers(), *child.parameters()]:
                if tensor.ndim == 0:
                    tensor.data = tensor.detach().expand(NEURONS).clone()
    assert_close(seeded_scan(module, x), expected)


@every_class
def test_copies_behave_the_same(cls):
    module, x = build(cls), sequence(cls)
    expected = seeded_scan(module, x)
    assert_same(seeded_scan(copy.deepcopy(module), x), expected)
    assert_same(seeded_scan(pickle.loads(pickle.dumps(module)), x), expected)
    fresh = build(cls)
    entries = copy.deepcopy(module.state_dict())
    for tensor in fresh.state_dict().values():
        tensor.zero_()
    fresh.load_state_dict(entries)
    assert_same(seeded_scan(fresh, x), expected)
    assert cls.__name__ in repr(module)


def learning(cls):
    """The example of ``cls`` with every quantity learned that can be."""
    module = build(cls)
    for owner in list(module.modules()):
        for name, child in list(owner.named_children()):
            if isinstance(child, Constrained) and not child.learned:
                learned = type(child)(tdn.Learned(child.value), unit=child.unit)
                if learned.allows(learned.start).all():
                    setattr(owner, name, learned)
    return module


def outcome(run, module, x):
    """Output, gradients of the input and of every parameter."""
    torch.manual_seed(7)
    module.zero_grad()
    x = map_state(lambda leaf: leaf.detach().clone().requires_grad_(), x)
    y = first_leaf(run(x))
    weights = torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
    (y * weights).sum().backward()
    gradients = [leaf.grad for leaf in leaves(x)] + [parameter.grad for parameter in module.parameters()]
    return [y.detach(), *[torch.zeros(()) if gradient is None else gradient for gradient in gradients]]


@every_class
def test_gradients_flow_and_are_finite(cls):
    module, x = learning(cls), sequence(cls)
    _, *gradients = outcome(module, module, x)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


@every_class
def test_compiles_without_a_break(cls):
    # Two steps are the fewest that hand a state on, also in the backward pass; what is compiled grows with them.
    module, x = learning(cls), sequence(cls, 2, 2, NEURONS)
    plain = outcome(module, module, x)
    torch._dynamo.reset()
    # To compile the backward pass as well takes twice the time; how an operator of ours does so, a few classes show.
    through_aot = cls in (
        tdn.LIF,
        tdn.TsodyksMarkram,
        tdn.HodgkinHuxley,
        tdn.ConductanceLIF,
        tdn.Recurrent,
        tdn.Plastic,
    )
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager" if through_aot else "eager")
    result = outcome(compiled, module, x)
    assert_close(result, plain)


@every_class
def test_checkpointing_gives_the_same_gradients(cls):
    module, x = learning(cls), sequence(cls)
    plain = outcome(module, module, x)
    assert_close(outcome(lambda x: checkpoint(module, x, use_reentrant=False), module, x), plain)


@every_class
def test_errors_say_what_was_expected_what_came_and_how_to_mend_it(cls):
    module, x = build(cls), sequence(cls)
    name = type(module).__name__
    with pytest.raises(ValueError, match=rf"{name}: expected an input \[T, B, \*\].* got shape \(0, .*; put time"):
        module(map_state(lambda leaf: leaf[:0], x))
    with pytest.raises(ValueError, match=rf"{name}: expected an input \[T, B, \*\].* got shape \(12,\); put time"):
        module(map_state(lambda leaf: leaf.reshape(12, -1)[:, 0], x))
    with pytest.raises(TypeError, match=rf"{name}: expected a floating-point input, got torch.int64; call"):
        module(map_state(lambda leaf: leaf.long(), x))
    with pytest.raises(TypeError, match=rf"{name}: expected a tensor \[T, B, \*\], got list; pass"):
        module([[0.0]])
    if list(module.quantities()):
        with pytest.raises(TypeError, match=rf"{name}: expected .* in torch.float64 .*, got torch.float32; convert"):
            module(map_state(lambda leaf: leaf.double(), x))
    _, state = module.scan(x)
    with pytest.raises(ValueError, match=r": expected a (state|tuple) .*, got .*; pass the state"):
        module.scan(map_state(lambda leaf: leaf[:, :2], x), state)
    with pytest.raises(ValueError, match=rf"{name}: expected a (state|tuple) .*, got .*; pass the state"):
        module.scan(x, tuple(leaves(state))[:0])
