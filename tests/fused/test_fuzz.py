"""A short search for differences, the same every time; :mod:`.fuzz` searches longer by hand."""

import ast
import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from .fuzz.generate import KINDS, generate
from .fuzz.minimise import minimise
from .fuzz.program import Program
from .fuzz.rounding import Rounded
from .fuzz.run import _compared, difference, fuses, run
from .fuzz.search import search

# Programs that depend on more than numbers are recorded anew after each change, which takes longer: one of each below.
BESIDES = ("attributes", "hooks", "shapes", "modes", "second")
NUMBERS = tuple(kind for kind in KINDS if kind not in BESIDES)


@pytest.fixture(autouse=True)
def _compiled_in_a_moment(monkeypatch):
    monkeypatch.setenv("TORCHDYN_NEURO_CXXFLAGS", "-O0")


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_random_programs_do_not_differ(dtype):
    report = search(range(12), dtype, NUMBERS, shrink=5.0)
    assert not report.found, "\n".join(found.describe() for found in report.found)
    assert report.fused >= 4


# Programs that once differed, one for each kind.
MENDED_SEEDS = {"attributes": 2, "hooks": 40, "modes": 2, "second": 5}


@pytest.mark.parametrize("kind", MENDED_SEEDS)
def test_random_programs_that_depend_on_more_do_not_differ(kind):
    report = search([MENDED_SEEDS[kind]], "float64", (kind,), shrink=0.0)
    assert not report.found, "\n".join(found.describe() for found in report.found)


def test_a_seed_gives_one_program():
    for seed in range(5):
        program = generate(seed, "float32")
        assert program == generate(seed, "float32")
        ast.parse(program.module_source())
        for event in program.events:
            ast.parse(event)


def test_a_search_may_do_without_what_is_refused():
    kinds = tuple(kind for kind in KINDS if kind not in ("refused", "shapes"))
    program = generate(0, "bfloat16", kinds)
    assert len(program.statements) >= 6
    assert fuses(program)
    assert not fuses(replace(program, statements=(*program.statements, "w0 = x0.cumsum(0)")))


SUSPECT = Program(
    frame=(2, 3),
    inputs=("float64", "float32"),
    states=(("s0", "float64", "torch.tanh(v2 * 1.0).to(torch.float64)"),),
    before=("LIST = [2.0]",),
    setup=("self.a0 = 1.5",),
    statements=("v0 = torch.exp(x0)", "v1 = v0 * LIST[0]", "v2 = v1 + s0", "v3 = x1 > 0.3"),
    outputs=("v2", "v3"),
    events=("call(3, seed=1, state=True)", "LIST.append(1.0)", "call(2, seed=2, grad=False)"),
)


def test_a_difference_is_made_small():
    def differs(program):
        return "torch.exp" in program.module_source() and any("call" in event for event in program.events)

    small = minimise(SUSPECT, differs)
    assert small.statements == ("v0 = torch.exp(x0)",)
    assert small.events == ("call(1)",)
    assert not small.before
    assert not small.setup
    assert len(small.outputs) == 1


def test_a_wrong_kernel_is_found(monkeypatch):
    from torchdyn_neuro.fused.record import ops

    assert difference(SUSPECT) is None
    monkeypatch.setitem(ops.OPS, "exp", ops.Op("(EXP({0}) * (1.0 + 1e-13))".replace("1e-13", "0.0000000000001"), ""))
    found = difference(SUSPECT.__class__(**{**SUSPECT.__dict__, "outputs": ("v2", "v3", "v0")}))
    assert found is not None
    assert "eager" in found


def test_an_exception_in_one_of_them_is_found(monkeypatch):
    from torchdyn_neuro.fused.operators import runtime

    def failing(*arguments):
        raise ValueError("no kernel")

    monkeypatch.setattr(runtime, "_loop_forward", failing)
    assert difference(SUSPECT).startswith("raises in event 0: eager None, fused ValueError")


def test_a_gradient_whose_terms_overflow_alone_may_be_anything():
    # The chain rule is applied to each term (3 x g) or to their sum, and terms of both signs are infinite in float32.
    x, g = Fraction(3e38), [Fraction(math.sin(k)) for k in (5, 6, 7, 8)]
    largest = Fraction(torch.finfo(torch.float32).max)
    assert 3 * x * min(g) < -largest
    assert 3 * x * max(g) > largest
    assert 0 < x * sum(g) < largest
    program = Program(
        frame=(4,),
        inputs=("float64",),
        states=(),
        before=(),
        setup=("self.h0 = nn.Parameter(torch.tensor(0.7))", "self.h1 = Scale(3.0)"),
        statements=("v0 = x0 * self.h1(self.h0)",),
        outputs=("v0",),
        events=("call(2, seed=1, violent=True, layout='constant in a frame')",),
    )
    (exact,), (fused,) = run(program, "eager"), run(program, "auto")
    assert dict(exact.results)["gradient 1"] == math.inf
    assert dict(fused.results)["gradient 1"].isnan()
    assert difference(program) is None


def test_a_product_may_overflow_that_a_multiply_add_does_not_round():
    start, end, largest = Fraction(-3.0), Fraction(2**126), Fraction(torch.finfo(torch.float32).max)
    product = (end - start) * (1 - start)
    assert product > largest  # rounded by itself it is infinite
    assert -largest < end - product < 0
    program = Program(
        frame=(1,),
        inputs=("float32",),
        states=(),
        before=(),
        setup=(),
        statements=("v0 = torch.full_like(x0, -3.0)", "v1 = torch.lerp(v0, torch.full_like(x0, 2.0**126), v0)"),
        outputs=("v1",),
        events=("call(1)",),
    )
    (fused,), (moved,) = run(program, "auto"), run(program, "eager", Rounded(0))
    assert dict(fused.results)["result 0"] == dict(moved.results)["result 0"] == -math.inf
    assert difference(program) is None


def test_erf_of_a_small_narrow_number_may_be_zero():
    # erf(x) is 2 x / sqrt(pi) to within x^3; torch gives 0 where the error of its formula, 2^-24, is larger.
    x = torch.full((32,), 2.0**-60, dtype=torch.bfloat16)
    true = 2.0**-60 * 2 / math.sqrt(math.pi)
    program = Program(
        frame=(32,),
        inputs=("bfloat16",),
        states=(),
        before=(),
        setup=(),
        statements=("v0 = torch.erf(torch.full_like(x0, 2.0**-60))",),
        outputs=("v0",),
        events=("call(1, grad=False)",),
    )
    (fused,) = run(program, "auto")
    assert torch.equal(dict(fused.results)["result 0"][0], torch.full_like(x, true))
    assert difference(program) is None


@pytest.mark.parametrize(
    "between", ["f0.__code__ = (lambda: 3.0).__code__", "parametrize.register_parametrization(m, 'h0', Scale(3.0))"]
)
def test_what_changes_before_a_backward_pass_may_be_refused(between):
    program = Program(
        frame=(4,),
        inputs=("float64",),
        states=(),
        before=("def f0():\n    return 2.0",),
        setup=("self.h0 = nn.Parameter(torch.tensor(0.7))",),
        statements=("v0 = x0 * x0", "v1 = v0 * self.h0", "v2 = v0 * f0()"),
        outputs=("v0", "v1", "v2"),
        events=(f"call(2, use=(0,), second=True, between={between!r})",),
    )
    (exact,), (fused,) = run(program, "eager"), run(program, "auto")
    assert exact.raised is None
    assert fused.raised.startswith("RuntimeError")
    assert difference(program) is None
    assert _compared([exact], [fused._replace(changed=False)], []).startswith("raises in event 0")


def test_rounding_moves_inexact_operations_only():
    program = Program(**{**SUSPECT.__dict__, "states": (), "statements": ("v0 = x0 * 3 + 1", "v1 = torch.exp(v0)")})
    program = Program(**{**program.__dict__, "outputs": ("v0", "v1"), "events": ("call(2)",)})
    (exact,), (moved,) = run(program, "eager"), run(program, "eager", Rounded(0))
    exact, moved = dict(exact.results), dict(moved.results)
    assert torch.equal(exact["result 0"], moved["result 0"])
    assert not torch.equal(exact["result 1"], moved["result 1"])
    torch.testing.assert_close(exact["result 1"], moved["result 1"], rtol=2e-15, atol=0)


# Seeds whose eager run failed with its operations moved, though it did not as it was: a sum with a mask in a backward
# pass, one weighed with a truth value; what inference mode leaves together, of an input of equal numbers.
@pytest.mark.parametrize(("dtype", "seed"), [("float64", 2623), ("float64", 2781), ("float32", 2645)])
def test_a_run_with_moved_operations_raises_what_the_exact_one_raises(dtype, seed):
    program = generate(seed, dtype)
    exact, moved = run(program, "eager"), run(program, "eager", Rounded(0))
    assert any(one.raised is None for one in exact)
    assert [one.raised for one in exact] == [one.raised for one in moved]
