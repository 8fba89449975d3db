"""The base: states, checks of what is passed in, the choice of the time loop."""

import sys
from typing import NamedTuple

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import first_frame, first_leaf, frames, leaves, map_state, stack_frames, widen
from torchdyn_neuro.core.time_loop import eager_loop, register_backend


class Pair(NamedTuple):
    """a, b"""

    a: tdn.State
    b: tdn.State = ()


def test_map_state_keeps_structure_and_what_is_absent():
    one, two = torch.ones(2), torch.full((2,), 2.0)
    mapped = map_state(torch.add, (Pair(one, ()), one), (Pair(two, two), ()))
    assert isinstance(mapped[0], Pair)
    assert_close(leaves(mapped), [one + two, one])
    assert mapped[0].b == ()
    with pytest.raises(ValueError, match="zip"):
        map_state(torch.add, (one, one), (one,))


def test_frames_and_stack_are_inverse():
    x = (torch.randn(4, 2, 3), (), Pair(torch.randn(4, 2), ()))
    steps = frames(x)
    assert len(steps) == 4
    assert_close(leaves(steps[0]), leaves(first_frame(x)))
    assert isinstance(steps[1][2], Pair)
    assert_close(leaves(stack_frames(steps)), leaves(x), rtol=0, atol=0)


def test_leaves_of_state_are_at_least_float32_and_carry_gradients():
    for dtype, wide in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ):
        frame = torch.ones(2, 3, dtype=dtype)
        assert tdn.zeros_state(frame).dtype == widen(frame).dtype == wide
    value = torch.tensor(2.0, requires_grad=True)
    full = tdn.full_state((torch.ones(2, 3), ()), value)
    full.sum().backward()
    assert value.grad == 6
    assert not first_leaf(tdn.detach_state((full,))).requires_grad


def test_a_base_without_its_methods_says_so():
    with pytest.raises(NotImplementedError, match=r"Dynamics does not define initial_state\(x_t\)"):
        tdn.Dynamics()(torch.ones(2, 1))
    with pytest.raises(ValueError, match="Dynamics: expected dt above 0 ms, got 0; pass"):
        tdn.Dynamics(dt=0)


def test_quantities_must_fit_the_neurons():
    with pytest.raises(ValueError, match=r"LIF: expected tau_mem to broadcast to the neurons \(4,\), got shape \(3,\)"):
        tdn.LIF(torch.ones(3))(torch.ones(5, 2, 4))
    with pytest.raises(ValueError, match=r"LIF: expected tau_mem to broadcast to the neurons \(\), got shape \(2,\)"):
        tdn.LIF(torch.ones(2))(torch.ones(5, 2))
    assert tdn.LIF(torch.ones(3, 1, 1))(torch.ones(5, 2, 3, 4, 4)).shape == (5, 2, 3, 4, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda state: tuple(state)[:1],
        lambda state: state.v,
        lambda state: state._replace(v=state.v.double()),
        lambda state: state._replace(v=state.v[:1]),
        lambda state: state._replace(refractory=state.v),
        lambda state: [state.v],
        lambda state: "state",
    ],
)
def test_a_wrong_state_is_refused(wrong):
    cell, x = tdn.LIF(), torch.ones(5, 2, 4)
    _, state = cell.scan(x)
    expected = cell.scan(x, state)
    # Plain tuples and lists are a state too.
    for plain in (tuple(state), list(state)):
        y, last = cell.scan(x, plain)
        assert type(last) is tdn.LIFState
        torch.testing.assert_close((y, last.v), (expected[0], expected[1].v), rtol=0, atol=0)
    with pytest.raises(
        ValueError, match=r"LIF: expected a state LIFState\(torch.float32 \(2, 4\), \(\), \(\), \(\)\) .*, got .*; pass"
    ):
        cell.scan(x, wrong(state))


def test_inputs_in_a_tuple_share_time_and_batch():
    cell = tdn.ExponentialSynapse()
    with pytest.raises(ValueError, match=r"expected inputs that share \[T, B\], got \(5, 2, 3\) and \(4, 2, 3\); give"):
        cell.check_input((torch.ones(5, 2, 3), torch.ones(4, 2, 3)))
    with pytest.raises(TypeError, match=r"expected a tensor \[T, B, \*\], got NoneType; pass"):
        cell(None)


def steps_taken(cell):
    """How often Python enters ``cell.step`` in a sequence of 60 steps that was run once before."""
    code, x, entered = type(cell).step.__code__, torch.ones(60, 2, 4), []
    cell(x)
    sys.setprofile(lambda frame, event, _: entered.append(event) if frame.f_code is code else None)
    try:
        cell(x)
    finally:
        sys.setprofile(None)
    return entered.count("call")


def test_backend_is_chosen_for_a_block():
    cell, eager, fused = tdn.LIF(), 60, 0
    assert {"auto", "eager", "cpp"} <= set(tdn.available_backends())
    assert steps_taken(cell) == fused
    with tdn.backend("eager"):
        assert steps_taken(cell) == eager
        with tdn.backend("cpp"):
            assert steps_taken(cell) == fused
        assert steps_taken(cell) == eager
        with pytest.raises(RuntimeError, match="inside"), tdn.backend("auto"):
            raise RuntimeError("inside")
        assert steps_taken(cell) == eager
    assert steps_taken(cell) == fused
    with pytest.raises(ValueError, match=r"backend: expected one of 'auto', 'eager'.*, got 'fast'; choose"):
        tdn.backend("fast").__enter__()


def test_every_sequence_runs_through_the_chosen_loop(monkeypatch):
    from torchdyn_neuro.core import time_loop

    calls = []

    def counting(module, x, state, output_dtype):
        calls.append(type(module).__name__)
        return eager_loop(module, x, state, output_dtype)

    monkeypatch.setattr(time_loop, "_backends", dict(time_loop._backends))
    register_backend("counting", counting)
    with tdn.backend("counting"):
        tdn.Chain(tdn.ExponentialSynapse(), tdn.Recurrent(tdn.LIF(), torch.nn.Linear(3, 3)))(torch.ones(4, 2, 3))
    assert calls == ["ExponentialSynapse", "Recurrent"]


class Decay(tdn.ODE):
    """tau dv/dt = x - v, with an observable of two parts."""

    def __init__(self, tau=10.0, **arguments):
        super().__init__(**arguments)
        self.tau = tdn.Positive(tau)

    def initial_state(self, x_t):
        return (tdn.zeros_state(x_t),)

    def relaxation(self, x_t, state):
        return (x_t,), (self.tau(),)

    def observe(self, state):
        return state[0], -state[0]


def test_an_equation_may_put_out_several_tensors():
    y, minus = Decay(integrator=tdn.ExponentialEuler())(torch.ones(3, 1, 2, dtype=torch.bfloat16))
    assert y.dtype == minus.dtype == torch.bfloat16
    assert_close(y, -minus)


@pytest.mark.parametrize("method", [tdn.Euler, tdn.Heun, tdn.Midpoint, tdn.RK4])
def test_a_long_step_of_an_explicit_integrator(method):
    with pytest.raises(
        ValueError, match=rf"Decay: expected a step below twice tau for {method.__name__}.*got .* 20 ms"
    ):
        Decay(integrator=method(), dt=20.0)
    with pytest.warns(UserWarning, match=r"Decay: a step of 6 ms is long for .* tau = 10 ms; lower dt") as caught:
        Decay(integrator=method(), dt=6.0)
    assert len(caught) == 1
    Decay(integrator=method(), dt=5.0)
    Decay(integrator=method(substeps=4), dt=20.0)
    Decay(integrator=tdn.ExponentialEuler(), dt=500.0)


def test_the_warning_points_at_the_line_that_builds_the_cell():
    with pytest.warns(UserWarning, match="is long for Euler") as caught:
        tdn.LIF(10.0, integrator=tdn.Euler(), dt=6.0)
    assert caught[0].filename == __file__


def test_stability_is_checked_again_after_learning():
    cell = Decay(tdn.Learned(10.0), integrator=tdn.Euler(), dt=1.0)
    cell.check_stability()
    with torch.no_grad():
        cell.tau.raw.fill_(-4.0)
    with pytest.raises(ValueError, match="Decay: expected a step below twice tau"):
        cell.check_stability()


def test_an_equation_without_a_right_hand_side_says_so():
    class Empty(tdn.ODE):
        """Nothing."""

        def initial_state(self, x_t):
            return (tdn.zeros_state(x_t),)

    with pytest.raises(
        ValueError, match=r"Empty: expected a differential equation \(.*relaxation\) for Euler, got none"
    ):
        Empty(integrator=tdn.Euler())
