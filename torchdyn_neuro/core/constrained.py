"""What all quantities share: the exact value, its bounds, how it is read, and how it is found in a checkpoint."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from . import torch_private
from .bounds import bounded, in_words
from .tensors import expanded, readable


@dataclass(frozen=True)
class Learned:
    """Marks the value of a parameter as the start of learning.

    Args:
        value: a float, or a tensor that broadcasts to the shape of the neurons.
        low: what learning stays above; the bound of the quantity if omitted.
        high: what learning stays below; the bound of the quantity if omitted.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> lif = tdn.LIF(tau_mem=tdn.Learned(20.0, low=5.0))
        >>> [name for name, _ in lif.named_parameters()]
        ['tau_mem.raw']
        >>> lif.tau_mem
        Positive(20 ms, learned above 5)
    """

    value: float | Tensor
    low: float | None = None
    high: float | None = None


Quantity: TypeAlias = float | Tensor | Learned
"""What a user gives for a parameter: a float, a tensor that broadcasts to the neurons, or ``Learned(value)``."""


class Constrained(nn.Module):
    """Base of the quantities: holds a value in its unit and keeps it within its bounds.

    A fixed value is the buffer ``value``. A learned one is the parameter ``raw``, which starts at zero, together
    with the buffer ``initial``; a smooth bijection maps the two onto the allowed range. Hence the value at the start
    is exact, weight decay pulls towards the initial value, and no gradient dies at a bound.

    A cast of the module keeps the value as it was given: ``Real(0.1).double()`` and ``Real(0.1).half().double()`` are
    0.1 in float64. What is loaded or written into the buffer later counts instead.

    The checkpoint of a fixed quantity loads into a learned one and the other way round, that of one value into one per
    neuron; a range of its own is saved beside a learned value, as ``range``.

    Args:
        value: the value in its unit, see :data:`Quantity`.
        unit: the unit, for messages, ``repr`` and logs; empty for a pure number.
        low: the lower bound, where that of the kind is not tight enough.
        high: the upper bound, likewise.

    Raises:
        TypeError: if the value is no real number or tensor of them, or carries a gradient, which its copy would lose.
        ValueError: if a range is empty or reaches beyond the bounds.
    """

    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    closed: ClassVar[bool] = True
    """Whether a fixed value may lie on a bound; a learned one could never leave it."""
    expected = "a real number"

    _given: float | Tensor | None = None
    """The start as it was given, where the buffer may hold less of it."""

    def __init__(self, value: Quantity, *, unit: str = "", low: float | None = None, high: float | None = None):
        super().__init__()
        self.unit = unit
        self.learned = isinstance(value, Learned)
        self._own_bounds = self._narrowed(self.bounds, low, high)
        self.low, self.high = self._own_bounds
        number = value
        if isinstance(value, Learned):
            self.low, self.high = self._narrowed(self._own_bounds, value.low, value.high)
            number = value.value
        self._check_type(number)
        if isinstance(number, Tensor):
            start = number.detach().clone()
            start = start if start.is_floating_point() else start.to(torch.get_default_dtype())
        else:
            self._given = float(number)
            start = torch.as_tensor(self._given, dtype=torch.get_default_dtype())
        self.register_buffer(self._start_name, start)
        if self.learned:
            self.raw = nn.Parameter(torch.zeros_like(start))
        self.bound: Tensor | None = None

    def _narrowed(self, bounds: tuple[float, float], low: float | None, high: float | None) -> tuple[float, float]:
        for bound in (low, high):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
                raise TypeError(
                    f"{type(self).__name__}: expected low and high to be numbers, got {bound!r}; pass floats, which "
                    "hold for all neurons"
                )
        low, high = bounds[0] if low is None else float(low), bounds[1] if high is None else float(high)
        if not bounds[0] <= low <= high <= bounds[1]:
            raise ValueError(
                f"{type(self).__name__}: expected low below high within {bounds[0]:g} to {bounds[1]:g}, got "
                f"{low:g} to {high:g}; narrow the range"
            )
        return low, high

    def _check_type(self, number: object) -> None:
        wanted = f"{type(self).__name__}: expected a number, a tensor or Learned(value)"
        if isinstance(number, bool) or not isinstance(number, (int, float, Tensor)):
            raise TypeError(f"{wanted}, got {type(number).__name__}; pass one of them")
        if not isinstance(number, Tensor):
            return
        if number.is_complex() or number.dtype == torch.bool:
            raise TypeError(f"{wanted}, got a tensor of {number.dtype}; pass one of real numbers")
        carries_gradient = number.requires_grad or forward_ad.unpack_dual(number).tangent is not None
        if carries_gradient or isinstance(number, nn.Parameter):
            got = "an nn.Parameter" if isinstance(number, nn.Parameter) else "a tensor with a gradient"
            raise TypeError(
                f"{wanted}, got {got}, which is copied, so that no gradient would reach it; pass "
                "Learned(value.detach()) to train the quantity itself, or value.detach() to keep it fixed"
            )

    def __call__(self) -> Tensor:
        """The value in its unit, float32 or wider."""
        # Read in every stage of every step: the call of torch is made only for who listens.
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or torch_private.global_forward_hooks
            or torch_private.global_forward_pre_hooks
            or torch_private.global_backward_hooks
            or torch_private.global_backward_pre_hooks
        ):
            return super().__call__()
        if self.bound is not None:
            return self.bound
        # Not there if the quantity is parametrized or replicated.
        start = self._buffers.get("initial" if self.learned else "value")
        if start is None or (start.dtype is not torch.float32 and start.dtype is not torch.float64):
            return self.forward()
        if not self.learned:
            return start
        # Not from the dictionary of parameters: torch.fx puts its proxies in the way of attributes.
        raw = self.raw
        return bounded(start, raw, self.low, self.high) if raw.dtype is start.dtype else self.forward()

    def forward(self) -> Tensor:
        """The value in its unit, float32 or wider."""
        if self.bound is not None:
            return self.bound
        # Widened first, so that a module in bfloat16 does not also compute in it.
        wide = torch.promote_types(self.start.dtype, torch.float32)
        if not self.learned:
            return self.value.to(wide)
        return bounded(self.initial.to(wide), self.raw.to(wide), self.low, self.high)

    @property
    def _start_name(self) -> str:
        return "initial" if self.learned else "value"

    @property
    def start(self) -> Tensor:
        """The value at the start of learning, or the fixed value."""
        return self.initial if self.learned else self.value

    def allows(self, value: Tensor) -> Tensor:
        """Whether each entry lies within the bounds."""
        if self.closed and not self.learned:
            return torch.isfinite(value) & (value >= self.low) & (value <= self.high)
        return torch.isfinite(value) & (value > self.low) & (value < self.high)

    def check(self, name: str) -> None:
        """Raise ``ValueError`` naming ``name`` if a value lies outside the bounds."""
        wrong = self._outside(self.start)
        if wrong:
            raise ValueError(f"{name}: {wrong}; pass a value within the bounds")

    def _outside(self, start: Tensor) -> str:
        """What is wrong with a start, empty if nothing is or its values cannot be looked at."""
        if not readable(start):
            return ""
        wrong = ~self.allows(start)
        if not wrong.any():
            return ""
        expected = self.expected
        if (self.low, self.high) != self._own_bounds:
            expected = f"a number {in_words(self.low, self.high)}"
        if self.learned:
            expected += " strictly inside its bounds, because it is learned"
        return f"expected {expected}, got {start[wrong].flatten()[0].item():g}{f' {self.unit}' if self.unit else ''}"

    def reset_parameters(self) -> None:
        """Back to the start of learning, as after building."""
        if self.learned:
            nn.init.zeros_(self.raw)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Constrained":
        name = self._start_name
        before = self._buffers.get(name)
        if before is None:
            return super()._apply(fn, recurse)
        given = self._given if self._stands(before) else None
        super()._apply(fn, recurse)
        after = self._buffers[name]
        if readable(after):
            if readable(before):
                is_cast = after.dtype != before.dtype and torch.equal(after, before.to(after))
                given = before if is_cast and given is None else given
            else:
                is_cast = True  # of memory that was never written
            if is_cast and given is not None:
                self._buffers[name] = torch.as_tensor(given, dtype=after.dtype, device=after.device)
        self._given = given
        return self

    def _stands(self, start: Tensor) -> bool:
        """Whether the buffer still is the given value, as far as its dtype can tell."""
        if self._given is None:
            return False
        if not readable(start):
            return True
        return torch.equal(start, torch.as_tensor(self._given, dtype=start.dtype, device=start.device))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.learned and (self.low, self.high) != self.bounds:
            destination[prefix + "range"] = torch.tensor((self.low, self.high), dtype=torch.float64, device="cpu")

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        entries, found = dict(state_dict), {}
        for name in ("value", "initial", "raw", "range"):
            if isinstance(entries.get(prefix + name), Tensor):
                found[name] = entries.pop(prefix + name)
        translated = self._translated(found)
        for name, entry in translated.items():
            wrong, entries[prefix + name] = self._fitted(name, entry, entry is found.get(name))
            if wrong:
                error_msgs.append(f"{prefix}{name}: {wrong}; build the module as the saved one was built")
                return
        super()._load_from_state_dict(
            entries, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        start, loaded = self._buffers.get(self._start_name), entries.get(prefix + self._start_name)
        # More than the buffer can hold.
        if start is not None and loaded is not None and torch.promote_types(start.dtype, loaded.dtype) != start.dtype:
            self._given = loaded.detach().clone() if readable(loaded) else None

    def _translated(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The entries of a checkpoint under the names they have here, for the value that was saved."""
        low, high = (float(bound) for bound in found.get("range", self._own_bounds))
        names = found.keys() - {"range"}
        if self.learned and names == {"value"}:
            return {"initial": found["value"], "raw": torch.zeros_like(found["value"])}
        if names != {"initial", "raw"} or (self.learned and (low, high) == (self.low, self.high)):
            return {name: found[name] for name in names}
        initial, raw = found["initial"].detach(), found["raw"].detach()
        wide = torch.promote_types(initial.dtype, torch.float32)
        value = bounded(initial.to(wide), raw.to(wide), low, high)
        return {"initial": value, "raw": torch.zeros_like(value)} if self.learned else {"value": value}

    def _fitted(self, name: str, entry: Tensor, as_saved: bool) -> tuple[str, Tensor]:
        """What is wrong with an entry, empty if nothing is; and the entry in the shape of this quantity."""
        own = self._buffers.get(name, self._parameters.get(name))
        if own is None:
            return "", entry
        fitted = expanded(entry, own.shape)
        if fitted is None:
            expected = f"shape {tuple(own.shape)}" if own.ndim else "one value"
            return f"expected {expected}, got shape {tuple(entry.shape)} in the checkpoint", entry
        is_new_start = name == self._start_name and not as_saved
        return self._outside(fitted.to(own.dtype)) if is_new_start else "", fitted

    def extra_repr(self) -> str:
        value = self().detach()
        if not readable(value):
            text = f"shape {tuple(value.shape)}, not yet loaded"
        elif value.ndim == 0:
            text = f"{value.item():g}"
        else:
            text = f"mean {value.mean().item():g}, shape {tuple(value.shape)}"
        own_range = (self.low, self.high) != self._own_bounds
        learned = f"learned {in_words(self.low, self.high) if own_range else ''}".strip() if self.learned else ""
        return ", ".join(part for part in (f"{text} {self.unit}".strip(), learned) if part)
