"""Plain numbers of a step are arguments of its kernel: another one is no new kernel, and the same bits."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees
from tests.fused.cells import composed, shipped
from torchdyn_neuro.core.state import first_frame, zeros_state
from torchdyn_neuro.fused import dispatch
from torchdyn_neuro.fused.cpp.kernels import CppKernels
from torchdyn_neuro.fused.operators.registry import get_loop
from torchdyn_neuro.fused.triton import source as triton
from torchdyn_neuro.native import compiler

EXAMPLES = {**shipped(torch.float32), **composed(torch.float32)}
WITHOUT = {"Delay", "noise that a user wrote"}
"""What has no plain number."""


def numbers(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def fused(module, x, language="cpp"):
    return dispatch.find_fused(module, x, module.initial_state(first_frame(x)), language)[0]


def compiled(monkeypatch):
    """The libraries that are compiled or read from disk from now on."""
    libraries, load = [], compiler._open
    monkeypatch.setattr(compiler, "_open", lambda path: libraries.append(path) or load(path))
    return libraries


class Scaled(tdn.Dynamics):
    """A state moved by ``change(x, s, gain)``."""

    def __init__(self, change, gain, *, dt=1.0):
        super().__init__(dt=dt)
        self.change, self.gain = change, gain

    def initial_state(self, x_t):
        return (zeros_state(x_t),)

    def step(self, x_t, state):
        s = self.change(x_t, state[0], self.gain)
        return s.to(x_t.dtype), (s,)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_cell_has_one_kernel_whatever_dt(name, monkeypatch):
    monkeypatch.setattr(CppKernels, "compile", lambda self, training: None)
    module, x = EXAMPLES[name]
    found = []
    for dt in (module.dt, module.dt / 2, module.dt / 5):
        tdn.set_dt(module, dt)
        found.append(fused(module, module._read(x, axis=2)))
    assert len({each.key or each.cut.key for each in found}) == 1
    assert name in WITHOUT or len({each.numbers for each in found}) == 3


@pytest.mark.parametrize("options", [{}, {"integrator": tdn.RK4()}, {"noise": tdn.WhiteNoise(sigma=0.5)}])
def test_other_plain_numbers_compile_nothing(options, monkeypatch):
    x = 3 * numbers(20, 2, 8)
    assert_agrees(tdn.LIF(dt=1.0, **options), x)
    libraries = compiled(monkeypatch)
    for cell in (
        tdn.LIF(dt=0.5, **options),
        tdn.LIF(tau_mem=7.0, R=2.0, dt=0.1, **options),
        tdn.LIF(surrogate=tdn.ATan(3.0), dt=0.3, **options),
        tdn.LIF(t_ref=0.0, v_th=0.5, **options),
    ):
        assert_agrees(cell, x)
    assert not libraries


def test_other_plain_numbers_are_the_same_triton():
    texts = []
    for dt in (1.0, 0.5, 0.1):
        kernels = get_loop(fused(tdn.LIF(dt=dt, integrator=tdn.RK4()), numbers(9, 2, 3), "triton").key).kernels
        texts.append((triton.emit_forward(kernels.forward_plan, 8), triton.emit_backward(kernels.backward_plan, 8)))
    assert len(set(texts)) == 1


FREE = {
    "times": lambda x, s, g: s * 0.5 + x * g,
    "over": lambda x, s, g: (s + x) / (g or 1.0),
    "derived": lambda x, s, g: s * math.exp(-abs(g)) + x * (1 - math.exp(-g / 3)) + g / 3,
    "one less, which may be zero": lambda x, s, g: 0.5 * s * (1 - g) + x,
    "compared": lambda x, s, g: torch.where(x > g, 0.5 * s, x + 0.25),
    "bound": lambda x, s, g: torch.clamp(s + x, -g, g),
    "alpha": lambda x, s, g: torch.add(0.5 * s, x, alpha=g),
    "filled": lambda x, s, g: 0.5 * s + torch.full_like(x, g) * x,
    "made": lambda x, s, g: 0.5 * s + torch.tensor(g) * x,
    "lerp": lambda x, s, g: torch.lerp(0.5 * s, x, g),
    "slope": lambda x, s, g: torch.nn.functional.leaky_relu(0.1 * s - x, g),
    "wide": lambda x, s, g: (s.double() * 0.5 + x.double() * g).float(),
    "narrow": lambda x, s, g: (s.bfloat16() * g).to(s.dtype) * 0.25 + x,
    "twice": lambda x, s, g: s * g * 0.25 + x * g * 0.25 + g,
    "beside numbers of its own": lambda x, s, g: (s * 0.25 + x * 1.0) * g + 0.5,
}
"""What is done with a number that may be any other."""
DECIDING = {
    "exponent": lambda x, s, g: 0.1 * s + (x + 0.5) ** (g or 0.5),
    "base": lambda x, s, g: 0.1 * s + abs(g) ** x,
    "branch": lambda x, s, g: torch.tanh(s + x) if g > 1.0 else torch.sin(s + x),
    "count": lambda x, s, g: 0.1 * sum((torch.tanh(s + x) for _ in range(int(4 * g))), s),
    "rounded": lambda x, s, g: 0.1 * s + x * round(g),
    "a mask": lambda x, s, g: torch.where(torch.full_like(x, g - 1.0).bool(), x, s + x),
    "a byte": lambda x, s, g: 0.5 * s + torch.full_like(x, abs(g), dtype=torch.uint8).to(x.dtype) * x,
}
"""What depends on which number it is."""


class Several(Scaled):
    """A state for each of many changes."""

    def initial_state(self, x_t):
        return tuple(zeros_state(x_t) for _ in self.change)

    def step(self, x_t, state):
        after = tuple(change(x_t, s, self.gain) for change, s in zip(self.change, state, strict=True))
        return after, after


@pytest.mark.parametrize("gain", [0.3, 0.5, 1.0, 2.0, 3.0, -0.7, 0.0])
@pytest.mark.parametrize("changes", [FREE, DECIDING], ids=["free", "deciding"])
def test_what_a_step_does_with_a_number(changes, gain, monkeypatch):
    monkeypatch.setenv("TORCHDYN_NEURO_CXXFLAGS", "-O0")
    module, x = Several(tuple(changes.values()), gain), numbers(9, 2, 3) - 0.25
    assert_agrees(module, x)
    assert bool(fused(module, x).numbers) is (changes is FREE and gain != 0)


def test_numbers_within_rounds():
    x, keys = 300 * numbers(9, 2, 3), set()
    for dt, alpha in ((0.1, 2.0), (0.05, 0.5), (0.25, 1.0)):
        cell = tdn.AdEx(dt=dt, integrator=tdn.RK4(substeps=5), surrogate=tdn.ATan(alpha))
        assert_agrees(cell, x)
        keys.add(fused(cell, x).key)
    assert len(keys) == 1


def test_a_step_that_knows_only_its_own_numbers_still_fuses():
    def change(x, s, gain):
        if gain not in (1.0, 2.0):
            raise ValueError("never heard of")
        return s * 0.5 + x * gain

    for gain in (1.0, 2.0):
        assert_agrees(Scaled(change, gain), numbers(9, 2, 3))


def test_dt_is_an_argument_where_another_number_decides(monkeypatch):
    class Both(Scaled):
        def step(self, x_t, state):
            s = state[0] * math.exp(-self.dt / 7.0) + torch.sin(x_t if self.gain == 2.5 else -x_t)
            return s, (s,)

    monkeypatch.setattr(CppKernels, "compile", lambda self, training: None)
    x = numbers(9, 2, 3)
    found = [fused(Both(None, 2.5, dt=dt), x) for dt in (1.0, 0.5)]
    assert found[0].key == found[1].key
    assert [each.numbers for each in found] == [pytest.approx((math.exp(-dt / 7.0),)) for dt in (1.0, 0.5)]


def test_a_change_after_a_call_is_seen():
    cell, x = Scaled(FREE["times"], 2.0), numbers(9, 2, 3)
    first = cell(x)
    cell.gain = 3.0
    with tdn.backend("eager"):
        expected = cell(x)
    assert torch.equal(cell(x), expected)
    assert not torch.equal(first, expected)
