"""The table of the operations that fuse: what is not here does not.

Each entry gives one operation on one element as a C++ and as a Triton expression of its arguments ``{0}``, ``{1}``, ...
Numbers are written as decimals (``1.0``); an emitter gives them the type of the operands. In C++ an element is a vector
of several, and a mask has all bits of a lane set, or none. Expressions follow torch where an operand is NaN.

An operation of torch that is a combination of others is written as one in ``COMPOSITES``: a function of an emitting
callable ``emit(op, *args)`` and the arguments of the torch call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...core.torch_private import CLAMP_IGNORES_ONE_NAN


@dataclass(frozen=True)
class Op:
    """One row of the table.

    Args:
        cpp: the expression in C++.
        triton: the expression in Triton.
        mask: whether the result is a truth value.
    """

    cpp: str
    triton: str
    mask: bool = False


def _same(expression: str) -> Op:
    return Op(expression, expression)


def _call(cpp: str, triton: str) -> Op:
    return Op(f"{cpp}({{0}})", triton)


def _comparison(sign: str) -> Op:
    return Op(f"mask({{0}} {sign} {{1}})", f"({{0}} {sign} {{1}})", mask=True)


_TRITON_TRUNC = "tl.where({0} < 0.0, tl.ceil({0}), tl.floor({0}))"

OPS: dict[str, Op] = {
    "add": _same("({0} + {1})"),
    "sub": _same("({0} - {1})"),
    "mul": _same("({0} * {1})"),
    "div": _same("({0} / {1})"),
    "neg": Op("(-{0})", "({0} * -1.0)"),  # Triton's own is a difference from zero, which loses the sign of one
    "reciprocal": _same("(1.0 / {0})"),
    "exp": _call("EXP", "exp({0})"),
    "expm1": _call("EXPM1", "expm1({0})"),
    "log": _call("LOG", "tl.log({0})"),
    "log1p": _call("LOG1P", "log1p({0})"),
    "sqrt": _call("SQRT", "tl.sqrt({0})"),
    "rsqrt": Op("(1.0 / SQRT({0}))", "(1.0 / tl.sqrt({0}))"),
    "sin": _call("SIN", "tl.sin({0})"),
    "cos": _call("COS", "tl.cos({0})"),
    "tanh": _call("TANH", "tanh({0})"),
    "sinh": _call("SINH", "sinh({0})"),
    "cosh": _call("COSH", "cosh({0})"),
    "erf": _call("ERF", "tl.erf({0})"),
    "pow": Op("POW({0}, {1})", "power({0}, {1})"),
    "sigmoid": Op("(1.0 / (1.0 + EXP(-{0})))", "(1.0 / (1.0 + exp(-{0})))"),
    "abs": _call("ABS", "tl.abs({0})"),
    "sign": Op(
        "SIGN({0})",
        "(({0} > 0.0).to({0}.dtype) - ({0} < 0.0).to({0}.dtype))",
    ),
    "floor": _call("FLOOR", "tl.floor({0})"),
    "ceil": _call("CEIL", "tl.ceil({0})"),
    "trunc": _call("TRUNC", _TRITON_TRUNC),
    "maximum": Op("MAXIMUM({0}, {1})", "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"),
    "minimum": Op("MINIMUM({0}, {1})", "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"),
    "relu": Op("RELU({0})", "tl.where({0} < 0.0, 0.0, {0})"),
    "sigmoid_backward": _same("({0} * {1} * (1.0 - {1}))"),
    "tanh_backward": _same("({0} * (1.0 - {1} * {1}))"),
    "ge": _comparison(">="),
    "gt": _comparison(">"),
    "le": _comparison("<="),
    "lt": _comparison("<"),
    "eq": _comparison("=="),
    "ne": _comparison("!="),
    "and": Op("({0} & {1})", "({0} & {1})", mask=True),
    "or": Op("({0} | {1})", "({0} | {1})", mask=True),
    "xor": Op("({0} ^ {1})", "({0} ^ {1})", mask=True),
    "not": Op("(~{0})", "({0} == 0)", mask=True),
    "where": Op("select({0}, {1}, {2})", "tl.where({0}, {1}, {2})"),
    # A word of 32 bits: of a key, for a stream, the word of that number.
    "random_bits": _same("random_bits({0}, {1}, {2})"),
    # A normal number: of a key, for a stream; the emitters say where C++ keeps what it drew and which type is meant.
    "normal": Op("normal({0}, {1}, {draws})", "normal({0}, {1}, {dtype})"),
    # The cast is the emitter's: it rounds to a narrow type, and turns a mask into a number or back.
    "cast": _same("{0}"),
}

Emit = Callable[..., Any]


def _clamp(emit: Emit, x: Any, low: Any = None, high: Any = None) -> Any:
    for bound, compare, choose in ((low, "lt", "maximum"), (high, "gt", "minimum")):
        if isinstance(bound, (int, float)) and bound == bound:
            # A number that is below no bound, such as NaN, passes.
            x = emit("where", emit(compare, x, bound), bound, x)
        elif bound is not None:
            x = emit(choose, x, bound)  # a bound that is NaN makes NaN
    return x


def _clamp_any(emit: Emit, x: Any, low: Any, high: Any) -> Any:
    alone = low if high is None else high if low is None else None
    if CLAMP_IGNORES_ONE_NAN and isinstance(alone, float) and alone != alone:
        return x
    return _clamp(emit, x, low, high)


def _pow(emit: Emit, x: Any, exponent: Any) -> Any:
    if not isinstance(exponent, (int, float)):
        return emit("pow", x, exponent)
    if exponent == 0.5:
        return emit("sqrt", x)
    if exponent < 0 and -exponent in (0.5, 1, 2, 3):
        return emit("reciprocal", _pow(emit, x, -exponent))
    if exponent not in range(9):
        return emit("pow", x, float(exponent))
    if exponent == 0:
        return 1.0
    power = x
    for _ in range(int(exponent) - 1):
        power = emit("mul", power, x)
    return power


def _softplus(emit: Emit, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = emit("mul", x, beta)
    soft = emit("div", emit("log1p", emit("exp", scaled)), beta)
    return emit("where", emit("gt", scaled, threshold), x, soft)


def _softplus_backward(emit: Emit, g: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = emit("mul", x, beta)
    z = emit("exp", scaled)
    return emit("where", emit("gt", scaled, threshold), g, emit("div", emit("mul", g, z), emit("add", z, 1.0)))


def _leaky_relu(emit: Emit, x: Any, slope: float = 0.01) -> Any:
    return emit("where", emit("gt", x, 0.0), x, emit("mul", x, slope))


def _leaky_relu_backward(emit: Emit, g: Any, x: Any, slope: float, is_result: bool) -> Any:
    return emit("where", emit("gt", x, 0.0), g, emit("mul", g, slope))


def _hardtanh_backward(emit: Emit, g: Any, x: Any, low: float, high: float) -> Any:
    outside = emit("or", emit("le", x, low), emit("ge", x, high))
    return emit("where", outside, 0.0, g)


def _lerp(emit: Emit, start: Any, end: Any, weight: Any) -> Any:
    # Like torch, measured from the nearer end.
    span = emit("sub", end, start)
    near = emit("add", start, emit("mul", weight, span))
    far = emit("sub", end, emit("mul", span, emit("sub", 1.0, weight)))
    return emit("where", emit("lt", emit("abs", weight), 0.5), near, far)


def _scaled(op: str) -> Callable[..., Any]:
    def combine(emit: Emit, x: Any, y: Any, alpha: float = 1) -> Any:
        return emit(op, x, y if alpha == 1 else emit("mul", y, alpha))

    return combine


def _nested(outer: str, inner: str) -> Callable[..., Any]:
    def combine(emit: Emit, x: Any, a: Any, b: Any, value: float = 1) -> Any:
        product = emit(inner, a if value == 1 else emit("mul", a, value), b)
        return emit(outer, x, product)

    return combine


COMPOSITES: dict[str, Callable[..., Any]] = {
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "rsub": lambda emit, x, y, alpha=1: emit("sub", y, x if alpha == 1 else emit("mul", x, alpha)),
    "addcmul": _nested("add", "mul"),
    "addcdiv": _nested("add", "div"),
    "lerp": _lerp,
    "clamp": lambda emit, x, min=None, max=None: _clamp_any(emit, x, min, max),
    "clamp_min": lambda emit, x, min: _clamp(emit, x, min),
    "clamp_max": lambda emit, x, max: _clamp(emit, x, None, max),
    "hardtanh": lambda emit, x, min_val=-1.0, max_val=1.0: _clamp(emit, x, min_val, max_val),
    "hardtanh_backward": _hardtanh_backward,
    "pow": _pow,
    "softplus": _softplus,
    "softplus_backward": _softplus_backward,
    "leaky_relu": _leaky_relu,
    "leaky_relu_backward": _leaky_relu_backward,
    "threshold_backward": lambda emit, g, x, threshold: emit("where", emit("le", x, threshold), 0.0, g),
    "masked_fill": lambda emit, x, mask, value: emit("where", mask, value, x),
    "silu": lambda emit, x: emit("mul", x, emit("sigmoid", x)),
    "sgn": lambda emit, x: emit("sign", x),
    "logical_not": lambda emit, x: emit("not", x),
    "bitwise_not": lambda emit, x: emit("not", x),
    "logical_and": lambda emit, x, y: emit("and", x, y),
    "bitwise_and": lambda emit, x, y: emit("and", x, y),
    "logical_or": lambda emit, x, y: emit("or", x, y),
    "bitwise_or": lambda emit, x, y: emit("or", x, y),
    "logical_xor": lambda emit, x, y: emit("xor", x, y),
    "bitwise_xor": lambda emit, x, y: emit("xor", x, y),
}
