"""Quantities: the parameters of an equation, fixed or learned, with their unit and their bounds."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Learned:
    """Marks the value of a parameter as the start of learning.

    Args:
        value: a float, or a tensor that broadcasts to the shape of the neurons.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> lif = tdn.LIF(tau_mem=tdn.Learned(20.0))
        >>> [name for name, _ in lif.named_parameters()]
        ['tau_mem.raw']
    """

    value: float | Tensor


Quantity: TypeAlias = float | Tensor | Learned
"""What a user gives for a parameter: a float, a tensor that broadcasts to the neurons, or ``Learned(value)``."""


class Constrained(nn.Module):
    """Base of the quantities: holds a value in its unit and keeps it within its bounds.

    A fixed value is the buffer ``value``. A learned one is the parameter ``raw``, which starts at zero, together
    with the buffer ``initial``; a smooth bijection maps the two onto the allowed range. Hence the value at the start
    is exact, weight decay pulls towards the initial value, and no gradient dies at a bound.

    Args:
        value: the value in its unit, see :data:`Quantity`.
        unit: the unit, for messages, ``repr`` and logs; empty for a pure number.
    """

    expected = "a real number"

    def __init__(self, value: Quantity, *, unit: str = ""):
        super().__init__()
        self.unit = unit
        self.learned = isinstance(value, Learned)
        number = value.value if isinstance(value, Learned) else value
        if isinstance(number, bool) or not isinstance(number, (int, float, Tensor)):
            raise TypeError(
                f"{type(self).__name__}: expected a number, a tensor or Learned(value), got {type(number).__name__}; "
                "pass one of them"
            )
        start = torch.as_tensor(number).detach().clone()
        start = start if start.is_floating_point() else start.to(torch.get_default_dtype())
        if self.learned:
            self.register_buffer("initial", start)
            self.raw = nn.Parameter(torch.zeros_like(start))
        else:
            self.register_buffer("value", start)
        self.bound: Tensor | None = None

    def forward(self) -> Tensor:
        """The value in its unit, float32 or wider."""
        if self.bound is not None:
            return self.bound
        # Widened first, so that a module in bfloat16 does not also compute in it.
        wide = torch.promote_types(self.start.dtype, torch.float32)
        return self.transform(self.initial.to(wide), self.raw.to(wide)) if self.learned else self.value.to(wide)

    def transform(self, initial: Tensor, raw: Tensor) -> Tensor:
        """Maps an unconstrained ``raw`` onto the allowed range; ``raw = 0`` gives ``initial``."""
        return initial + raw

    def allows(self, value: Tensor) -> Tensor:
        """Whether each entry lies within the bounds."""
        return torch.isfinite(value)

    @property
    def start(self) -> Tensor:
        """The value at the start of learning, or the fixed value."""
        return self.initial if self.learned else self.value

    def check(self, name: str) -> None:
        """Raise ``ValueError`` naming ``name`` if a value lies outside the bounds."""
        wrong = ~self.allows(self.start)
        if wrong.any():
            got = self.start[wrong].flatten()[0].item() if self.start.ndim else self.start.item()
            unit = f" {self.unit}" if self.unit else ""
            expected = self.expected + (" strictly inside its bounds, because it is learned" if self.learned else "")
            raise ValueError(f"{name}: expected {expected}, got {got:g}{unit}; pass a value within the bounds")

    def extra_repr(self) -> str:
        value = self().detach()
        text = f"{value.item():g}" if value.ndim == 0 else f"mean {value.mean().item():g}, shape {tuple(value.shape)}"
        return ", ".join(part for part in (f"{text} {self.unit}".strip(), "learned" if self.learned else "") if part)


class Real(Constrained):
    """Any finite number.

    Example:
        >>> Real(-50.0, unit="mV")
        Real(-50 mV)
    """


class Positive(Constrained):
    """A number above zero; a learned one is ``initial * exp(raw)``, so steps of the optimiser are relative.

    Example:
        >>> Positive(Learned(20.0), unit="ms")
        Positive(20 ms, learned)
    """

    expected = "a number above 0"

    def transform(self, initial: Tensor, raw: Tensor) -> Tensor:
        return initial * torch.exp(raw)

    def allows(self, value: Tensor) -> Tensor:
        return (value > 0) & torch.isfinite(value)


class NonNegative(Positive):
    """Zero or a number above it; a learned one starts above zero, for it could never leave it.

    Example:
        >>> NonNegative(0.0, unit="nS")
        NonNegative(0 nS)
    """

    expected = "0 or a number above it"

    def allows(self, value: Tensor) -> Tensor:
        return super().allows(value) if self.learned else (value >= 0) & torch.isfinite(value)


class UnitInterval(Constrained):
    """A number from 0 to 1; a learned one is ``sigmoid(logit(initial) + raw)``, written so that 0 gives ``initial``.

    Example:
        >>> UnitInterval(0.5)
        UnitInterval(0.5)
    """

    expected = "a number from 0 to 1"

    def transform(self, initial: Tensor, raw: Tensor) -> Tensor:
        rising = raw >= 0
        small = torch.exp(-torch.where(rising, raw, -raw))
        part, rest = torch.where(rising, initial, initial * small), torch.where(rising, small, 1.0) * (1 - initial)
        return part / (part + rest)

    def allows(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1) if self.learned else (value >= 0) & (value <= 1)


class Parametrised(nn.Module):
    """A module whose quantities are checked, under their names, at the moment they are assigned."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, Constrained):
            value.check(f"{type(self).__name__}.{name}")
            self.accept(name, value)
        super().__setattr__(name, value)

    def accept(self, name: str, quantity: Constrained) -> None:
        """Called with every new quantity; a subclass may raise here."""
