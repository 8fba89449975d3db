"""How far rounding alone may move a result: the eager loop, run again with its inexact operations off by a little."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_NAMES = """
add sub rsub mul div neg abs reciprocal maximum minimum relu hardtanh threshold_backward
hardtanh_backward leaky_relu leaky_relu_backward clamp clamp_min clamp_max where sign sgn floor ceil trunc
ge gt le lt eq ne bitwise_and bitwise_or bitwise_xor bitwise_not logical_and logical_or logical_xor logical_not
masked_fill copy _to_copy fill zero zeros_like ones_like full_like new_zeros new_ones new_full zeros ones full
empty empty_like new_empty scalar_tensor detach alias clone expand view _unsafe_view lift_fresh lift_fresh_copy
select unbind stack unsqueeze squeeze transpose permute slice as_strided _reshape_alias
to type_as expand_as view_as reshape contiguous resolve_conj resolve_neg
"""
EXACT = frozenset(_NAMES.split())
"""What both loops compute alike to the last bit (of sums without a factor)."""

_UNITS = 4.0
"""Units in the last place by which two libraries of functions differ at most."""

_LARGE = 2.0**120
"""A sum of terms of which multiples have no place in float32."""


class Rounded(TorchDispatchMode):
    """Moves the results of inexact operations at random.

    Args:
        seed: of the moves.
    """

    backward = False
    """In the backward pass the order of sums is free."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name, kwargs = func._schema.name.removeprefix("aten::"), kwargs or {}
        in_steps = _in_steps(name.rstrip("_"), args, kwargs)  # before an operation in place
        result = func(*args, **kwargs)
        if name == "_efficientzerotensor":
            return torch.zeros(result.shape, dtype=result.dtype)  # one without memory is met by odd operations
        if isinstance(result, Tensor) and _has_numbers(result):
            scale = self._scale(name, args, kwargs, result)
            if in_steps is not None:
                result.copy_(torch.where(result.isfinite() & ~in_steps.isfinite(), in_steps, result))
            if name == "sum" and self.backward:
                self._overflow(result, args[0].double().abs().sum())
            if scale is not None:
                self._move(result, scale)
        return result

    def _scale(self, name: str, args: tuple, kwargs: dict, result: Tensor) -> Tensor | None:
        name = name.removesuffix("_") if not name.endswith("__") else name
        if name in ("sum", "mean"):
            return args[0].abs().nan_to_num(0, 0, 0).sum().to(result.dtype)
        if name in ("add", "sub", "rsub"):
            if kwargs.get("alpha", 1) == 1 and not self.backward:
                return None
            one, other = (_size(arg, result) for arg in args[:2])
            return one + other * abs(kwargs.get("alpha", 1))
        if name in ("addcmul", "addcdiv", "lerp"):
            # A product and a sum, rounded once or twice: the sum may cancel.
            return sum(_size(arg, result) for arg in args[:3]) + result.abs()
        if name == "pow" and not isinstance(args[1], Tensor) and args[1] in (0, 1, 2, 3, -1, -2):
            return None
        if name in EXACT:
            return None
        if name == "erf" and result.dtype == torch.bfloat16:
            # Torch's vectors of this type take it from a formula with an error of 2^-24, small results or not.
            return result.abs() + 2.0**-24 / torch.finfo(result.dtype).eps
        special = (result == 0) | (result.abs() == 1) | (result == 0.5)
        return torch.where(special, 0, result.abs())

    def _overflow(self, result: Tensor, terms: Tensor) -> None:
        # What a gradient passes on its way from what is summed to its operand the fused loop applies to each term.
        if _LARGE < terms < float("inf"):
            negative = torch.randint(2, result.shape, generator=self.generator) == 1
            result.fill_(float("inf")).masked_fill_(negative, -float("inf"))

    def _move(self, result: Tensor, scale: Tensor) -> None:
        narrow = result.dtype in (torch.bfloat16, torch.float16)
        size = torch.finfo(result.dtype).eps * scale.double()
        if narrow:  # rounded the other way, or not
            moves = torch.randint(-1, 2, result.shape, generator=self.generator).double()
        else:
            moves = _UNITS * (2 * torch.rand(result.shape, generator=self.generator, dtype=torch.float64) - 1)
        moved = (result.double() + size * moves).to(result.dtype)
        # Some libraries know no numbers below the normal ones.
        dropped = (result.abs() < torch.finfo(result.dtype).tiny) & (moves > 0)
        moved = torch.where(dropped, torch.zeros_like(moved), moved)
        result.copy_(torch.where(result.isfinite() & moved.isfinite(), moved, result))


def _in_steps(name: str, args: tuple, kwargs: dict) -> Tensor | None:
    """What comes of a product that is rounded before it is added: it may be infinite where a multiply-add is not."""
    if name not in ("lerp", "addcmul", "add", "sub"):
        return None
    dtype = torch.float32
    for arg in args:
        dtype = torch.promote_types(dtype, arg.dtype) if isinstance(arg, Tensor) else dtype
    x, y, *rest = (torch.as_tensor(arg).to(dtype) for arg in args)
    if name == "lerp":
        (weight,) = rest
        return torch.where(weight.abs() < 0.5, x + weight * (y - x), y - (y - x) * (1 - weight))
    if name == "addcmul":
        return x + y * kwargs.get("value", 1) * rest[0]
    return x + y * kwargs.get("alpha", 1) * (-1 if name == "sub" else 1)


def _size(arg: Any, result: Tensor) -> Tensor:
    """Absolute values, also of a mask, which has none."""
    return torch.as_tensor(arg).to(result.dtype).abs()


def _has_numbers(x: Tensor) -> bool:
    return x.is_floating_point() and x.numel() > 0 and not x.is_meta
