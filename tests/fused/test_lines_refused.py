"""Delays inside a loop whose lines take another way than a fused loop knows run eagerly, or end as in eager."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state

from .agreement import assert_agrees, run
from .line_cases import CASES, N, TwoLines, delayed, drive, learned, loop, numbers, rate


@pytest.mark.parametrize("shape", [(), (N,), (N, N)])
def test_a_delay_without_a_value_ends_as_in_eager(shape):
    module = loop(delayed(learned(*shape)))
    with torch.no_grad():
        module.connection.delay.raw.fill_(torch.nan)
    outcomes = []
    for backend in ("eager", "auto"):
        with tdn.backend(backend):
            try:
                outcomes.append(module(drive(dtype=torch.float32)).isnan())
            except (RuntimeError, IndexError) as error:
                outcomes.append(type(error))
    assert outcomes[0] is outcomes[1] or torch.equal(*outcomes)


class Twice(TwoLines):
    """Gives a line two frames in a step."""

    def step(self, x_t, state):
        v, first, second = state
        _, first = self.delay.step(v, first)
        return super().step(x_t, (v, first, second))


class Untouched(TwoLines):
    """Leaves a line as it is."""

    def step(self, x_t, state):
        y, (v, first, _) = super().step(x_t, state)
        return y, (v, first, state[2])


class Fading(TwoLines):
    """Changes what is in a line."""

    def step(self, x_t, state):
        y, (v, first, second) = super().step(x_t, state)
        return y, (v, first._replace(history=0.9 * first.history), second)


class LooksBeside(TwoLines):
    """Looks at frames beside the delay."""

    def step(self, x_t, state):
        y, after = super().step(x_t, state)
        return y + 0.1 * state[1].history.mean(), after


class Older(TwoLines):
    """Gives a delay other frames than those of its state."""

    def step(self, x_t, state):
        return super().step(x_t, (state[0], state[1]._replace(history=state[1].history.tanh()), state[2]))


class Exchanged(TwoLines):
    """Exchanges two lines."""

    def step(self, x_t, state):
        v, first, second = state
        y, (v, first, second) = super().step(x_t, (v + x_t, first, second))
        return y, (v, second, first)


@pytest.mark.parametrize("kind", [Twice, Untouched, Fading, LooksBeside, Older, Exchanged])
def test_a_line_that_takes_another_way_runs_eagerly(kind):
    torch.manual_seed(0)
    module = kind().double()
    assert tdn.why_eager(module, drive()) is not None
    state = map_state(lambda leaf: numbers(*leaf.shape), module.initial_state(drive()[0]))
    state = state[0], state[1], state[2]._replace(history=state[2].history.flip(0))
    results = [run(module, drive(), backend, state) for backend in ("eager", "auto")]
    for expected, got in zip(*((*values, *gradients) for values, gradients in results), strict=True):
        assert torch.equal(got, expected)


def test_hooks_on_a_delay_run_eagerly():
    module, seen = CASES["learned"]().double(), []
    module.connection[0].register_forward_hook(lambda *_: seen.append(1))
    assert "hooks on Delay" in tdn.why_eager(module, drive())
    module(drive(9))
    assert len(seen) == 9


def test_a_subclass_is_not_taken_for_a_delay():
    class Other(tdn.Delay):
        def read(self, line):
            return super().read(line).square()

    module = loop(tdn.Chain(Other(3.0), nn.Linear(N, N)), rate()).double()
    assert tdn.why_eager(module, drive()) is not None
    assert_agrees(module, drive(), relative=1e-10, backend="auto")


def test_it_compiles_and_runs():
    torch.manual_seed(0)
    module, x = CASES["learned"](), drive(4, dtype=torch.float32)
    compiled = torch.compile(module, backend="eager")
    torch.testing.assert_close(compiled(x), module(x))
