"""States are clean trees: what torch does with trees works with them."""

import io

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.contract_cases import build, concrete_dynamics, sequence
from torchdyn_neuro.core.state import (
    describe,
    first_frame,
    leaves,
    like_state,
    map_state,
    replaced,
    shared_fields,
    stack_frames,
)

# Trees are the same whatever runs a module.
pytestmark = pytest.mark.usefixtures("eager")
every_class = pytest.mark.parametrize("cls", concrete_dynamics(), ids=lambda cls: cls.__name__)


def parts(state):
    """Every node of a tree."""
    yield state
    if isinstance(state, tuple):
        for child in state:
            yield from parts(child)


@every_class
def test_a_state_holds_tensors_and_nothing_else(cls):
    x_t = first_frame(sequence(cls))
    for part in parts(build(cls).initial_state(x_t)):
        assert isinstance(part, (torch.Tensor, tuple)), part
        assert part is not None


@every_class
def test_a_state_is_loaded_without_trusting_the_file(cls):
    module, x = build(cls), sequence(cls)
    _, state = module.scan(x)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert describe(loaded) == describe(state)
    y, last = module.scan(x, loaded)
    expected, end = module.scan(x, state)
    assert_close(leaves((y, last)), leaves((expected, end)), rtol=0, atol=0)


@every_class
def test_plain_tuples_and_lists_are_a_state(cls):
    module, x = build(cls), sequence(cls)
    _, state = module.scan(x)

    def plain(tree, kind):
        return kind(plain(child, kind) for child in tree) if isinstance(tree, tuple) else tree

    expected = module.scan(x, state)
    for kind in (tuple, list):
        y, last = module.scan(x, plain(state, kind))
        assert describe(last) == describe(expected[1])
        assert_close(leaves((y, last)), leaves(expected), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch below 2.14, at loading
@pytest.mark.parametrize("cls", [tdn.LIF, tdn.AdEx, tdn.HodgkinHuxley, tdn.TsodyksMarkram, tdn.EscapeLIF, tdn.Network])
def test_a_step_is_exported_and_saved(cls):
    """With its state as an explicit input and output, under its own class."""

    class Step(torch.nn.Module):
        def __init__(self, dynamics):
            super().__init__()
            self.dynamics = dynamics

        def forward(self, x_t, state):
            return self.dynamics.step(x_t, state)

    module = build(cls)
    x_t = first_frame(sequence(cls))
    state = module.initial_state(x_t)
    program = torch.export.export(Step(module), (x_t, state))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    y_t, after = loaded(x_t, state)
    expected, end = module.step(x_t, state)
    assert type(after) is type(end)
    assert_close(leaves((y_t, after)), leaves((expected, end)))


def test_what_is_absent_stays_as_it_is():
    state = tdn.LIFState(torch.ones(2), (), torch.ones(2))
    moved = map_state(lambda a, b: a + b, state, tdn.LIFState(torch.ones(2)))
    assert torch.equal(moved.v, state.v + 1)
    assert moved.adaptation is state.adaptation
    assert moved.refractory == ()
    with pytest.raises(ValueError, match="another structure"):
        like_state(state, (torch.ones(2),))
    assert shared_fields(tdn.SharedPlasticState) == ("weight",)
    assert shared_fields(tdn.LIFState) == ()


def test_frames_of_any_type_are_stacked_under_autocast():
    frames = [torch.full((2,), float(k), dtype=torch.float16) for k in range(3)]
    with torch.autocast("cpu", torch.bfloat16):
        stacked = stack_frames(frames)
    assert torch.equal(stacked, torch.stack(frames))


def test_our_replace_is_that_of_named_tuples():
    """It stands in for theirs where the compiler of torch does not understand that."""
    state = tdn.LIF().initial_state(torch.ones(1, 2))
    v = torch.ones(1, 2)
    assert replaced(state, v=v).v is v
    assert type(replaced(state)) is type(state)
    assert replaced(state, v=v)[1:] == state[1:]
    for function in (replaced, type(state)._replace):
        with pytest.raises((ValueError, TypeError), match=r"Got unexpected field names: \['u', 'w'\]"):
            function(state, u=v, w=v)

    def step(v):
        return replaced(type(state)(v, (), (), ()), refractory=v + 1)

    torch._dynamo.reset()
    assert torch.compile(step, fullgraph=True, backend="eager")(v).refractory.sum() == 4
