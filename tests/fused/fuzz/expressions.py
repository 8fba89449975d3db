"""Random lines of a step: operations of the table, casts, fills and changes in place.

In a template ``{f}`` is a number, ``{b}`` a mask, ``{t}`` either, ``{c}`` a constant, ``{p}`` an operand of the module.
"""

import random

_CONSTANTS = """
0.0 -0.0 1.0 -1.0 2 0.5 0.1 -3 1 0 True 0.3 1.7 -0.7 7.25 255.7 2.7 -2.5 1e-38 1e38 1e-45 3.1e-8 65504.0 1e5
16777217.0 -0.0078 inf -inf nan
"""
CONSTANTS = _CONSTANTS.split()
DTYPES = ["float64", "float32", "bfloat16", "float16", "bool", "uint8"]

UNARY = """
-{f}|torch.exp({f})|torch.expm1({f})|torch.log({f})|torch.log({f}.abs() + {c})|torch.log1p({f} * {f})|torch.sqrt({f})
torch.sqrt({f}.abs())|torch.rsqrt({f} * {f} + 0.5)|torch.sin({f})|torch.cos({f})|torch.tanh({f})|torch.tanh({f})
torch.sinh({f})|torch.cosh({f})|torch.erf({f})|torch.sigmoid({f})|torch.sigmoid({f})|torch.abs({f})|torch.sign({f})
torch.sgn({f})|torch.floor({f})|torch.ceil({f})|torch.trunc({f})|torch.relu({f})|F.silu({f})|torch.reciprocal({f})
{f} ** 2|{f} ** 3|{f} ** -1|{f} ** 0.5|{f} ** {c}|{c} ** {f}|{f}.square()|{f}.detach()|{f}.clone()|1 / {f}|{c} / {f}
F.softplus({f}, beta=1.5, threshold=2.0)|F.softplus({f}, beta={c}, threshold={c})|F.leaky_relu({f}, {c})
F.hardtanh({f}.detach(), -0.5, 0.7)|torch.clamp({f}, {c}, {c})|{f}.clamp(min={c})|{f}.clamp(max={c})|{f}.clamp_min({c})
torch.rsub({f}, {c}, alpha=2)|Surrogate.apply({f}, {c})|{f} + ({t} - {f}).detach()|{f}.contiguous()
{f}.expand_as({f})|{f}.view({f}.shape)
"""
BINARY = """
{f} + {f}|{f} - {f}|{f} * {f}|{f} * {f}|{f} / {f}|{f} + {c}|{f} - {c}|{f} * {c}|{f} / {c}|{c} - {f}|{c} * {f}|{c} + {f}
{p} * {f}|{f} + {p}|{f} / {p}|{p} - {f}|torch.maximum({f}, {f})|torch.minimum({f}, {p})|torch.pow({f}.abs(), {p})
torch.pow({f}, {f})|torch.add({f}, {f}, alpha={c})|torch.sub({f}, {p}, alpha={c})|torch.lerp({f}, {f}, {c})
torch.lerp({f}, {f}, {f})|torch.addcmul({f}, {f}, {p}, value={c})|torch.addcdiv({f}, {f}, {f}, value={c})
torch.where({b}, {f}, {f})|torch.where({b}, {f}, {c})|torch.where({b}, {c}, {c})|torch.where({b}, {c}, {t})
torch.where({b}, {t}, {p})|{f}.masked_fill({b}, {c})|{f}.clamp({c}, {p})|torch.clamp({f}, {f}, {p})|{t} + {t}|{t} * {t}
torch.clamp({f}, min={f})|torch.clamp({p}, max={f})|{b} * {f}|{b} + {f}|{b} * {c}|{f} * {b} + {f}|{t} - {c}|{t} / {t}
torch.true_divide({f}, {f})
"""
MASKS = """
{f} > {c}|{f} >= {c}|{f} < {f}|{f} <= {p}|{f} == {c}|{f} != {f}|{f} == {f}|{f} > {f}|{b} & {b}
torch.bitwise_or({b}, {b})|{b} ^ {b}|~{b}
torch.logical_or({t}, {t})|torch.logical_and({t}, {b})|torch.logical_not({t})|torch.logical_xor({t}, {t})|{b} == {b}
{b} < {b}|{b} != {f}|{f}.bool()|{t} > {c}|{t} >= {t}|{t}.to(torch.bool)|{b} == {c}|{b} > {c}
torch.full_like({f}, {c}).bool()|torch.ones_like({b})|torch.zeros_like({f}, dtype=torch.bool)|{b} * {b}
"""
CASTS = """
{t}.to(torch.{d})|{t}.to(torch.{d})|{t}.float()|{t}.double()|{t}.bfloat16()|{t}.half()|{t}.to({f}.dtype)
{t}.type_as({f})
{t}.to(torch.{d}).to({f}.dtype)|{t}.to(torch.uint8).to({f}.dtype)|{t}.bool().to({f}.dtype)
"""
FILLS = """
torch.full_like({t}, {c})|torch.full_like({t}, {c}, dtype=torch.{d})|torch.zeros_like({t})|torch.ones_like({t})
torch.ones_like({t}, dtype=torch.{d})|torch.zeros_like({t}, dtype=torch.{d})|{t}.new_full({t}.shape, {c})
{t}.new_zeros({t}.shape)|{t}.new_ones({t}.shape, dtype=torch.{d})|torch.tensor({c}) * {f}
torch.tensor({c}, dtype=torch.{d})
{f} + torch.tensor({c}, dtype=torch.{d})|{f} * torch.full_like({f}, {c}).to(torch.{d})|torch.scalar_tensor({c}) - {f}
{f} + torch.full_like({f}, {c}, dtype=torch.uint8)|{t}.new_tensor({c}) * {f}|torch.empty_like({f}).fill_({c})
torch.empty_like({f}).copy_({t})|torch.full((), {c}) + {f}
"""
IN_PLACE = """
{v} = {f}.clone(); {v}.add_({t})|{v} = {f} * 1.0; {v}.mul_({f})|{v} = {f}.clone(); {v}.sub_({c}).mul_({c})
{v} = {f} + 0; {v}.clamp_({c}, {c})|{v} = {f}.clone(); {v}.masked_fill_({b}, {c})|{v} = {f} - 0.5; {v}.fill_({c})
{v} = {f}.clone(); {v}.copy_({t})|{v} = {f} * 2; {v}.zero_()|{v} = {f}.clone(); {v}.div_({f})
{v} = {t}.clone(); {v} += {f}
{v} = torch.zeros_like({f}); {v} += {f}|{v} = {t}.clone(); {v} *= {b}
{v} = {f}.clone(); w = {v}.view_as({v}); w.add_({c})
{v} = {f} * 1; {v}.exp_()|{v} = {f} + 1; {v}.tanh_()|{v} = torch.relu_({f} - 0.1)
{v} = {f}.clone(); {v}.detach().mul_(2)
{v} = {f} * 1; {v}.sigmoid_()|{v} = torch.full_like({t}, {c}, dtype=torch.{d}); {v}.add_({b})
{v} = {b}.clone(); {v}.__ior__({b})
{v} = {f}.to(torch.{d}); {v}.mul_({c})|{v} = {b}.clone(); {v}.logical_not_()|{v} = {b}.clone(); {v}.bitwise_not_()
{v} = {f} * 1; {v}.addcmul_({f}, {f}, value={c})|{v} = {f} * 1; {v}.lerp_({f}, {c})|{v} = {f} * 1; {v}.neg_().abs_()
"""
STRANGE = """
{f}.frac()|{f} - {f}.round()|torch.nn.functional.elu({f})|{f}.nan_to_num()|torch.fmax({f}, {f})|torch.atan2({f}, {f})
torch.logaddexp({f}, {f})|torch.where({f}.isnan(), {c}, {f})|{f}.masked_fill({f}.isinf(), {c})|{t}.long()|{t}.int()
torch.full_like({f}, {c}, dtype=torch.int64).to({f}.dtype)|{f} + {f}.isfinite()|{f}.sum(-1, keepdim=True)|{f}.flip(-1)
{f} % 2|{f} // 2|{f} + torch.arange({f}.shape[-1])|{t}[..., :1] + {f}|{f}.cumsum(0)|torch.stack([{f}, {f}]).sum(0)
{v} = {f}.clone(); {v}[0] = {c}|{t}.to(torch.uint8) + 1|~{t}.to(torch.uint8)|{f}.view(torch.int32).to({f}.dtype)
{b}.to(torch.uint8) & 1|torch.where({b}.to(torch.uint8) > 0, {f}, {c})|{f}.half().view(torch.bfloat16)|{f}.T.T
"""
GROUPS = ((UNARY, 5), (BINARY, 7), (MASKS, 3), (CASTS, 3), (FILLS, 2), (IN_PLACE, 2), (STRANGE, 0.1))
_TEMPLATES = [[t.strip() for t in text.replace("\n", "|").split("|") if t.strip()] for text, _ in GROUPS]


def template(choose: random.Random) -> str:
    """A random template."""
    (group,) = choose.choices(_TEMPLATES, [weight for _, weight in GROUPS])
    return choose.choice(group)


def constant(choose: random.Random) -> str:
    """A constant, ordinary more often than special."""
    if choose.random() < 0.4:
        return repr(round(choose.uniform(-3, 3), choose.choice([1, 2, 6])))
    return choose.choice(CONSTANTS)
