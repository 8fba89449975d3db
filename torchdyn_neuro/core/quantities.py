"""Quantities: the parameters of an equation, fixed or learned, with their unit and their bounds."""

import math

from torch import nn

from .constrained import Constrained, Learned, Quantity
from .tensors import readable

__all__ = [
    "Alias",
    "Constrained",
    "Learned",
    "NonNegative",
    "Parametrized",
    "Positive",
    "Quantity",
    "Real",
    "UnitInterval",
    "readable",
]


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

    bounds = (0.0, math.inf)
    closed = False
    expected = "a number above 0"


class NonNegative(Positive):
    """Zero or a number above it; a learned one starts above zero, for it could never leave it.

    Example:
        >>> NonNegative(0.0, unit="nS")
        NonNegative(0 nS)
    """

    closed = True
    expected = "0 or a number above it"


class UnitInterval(Constrained):
    """A number from 0 to 1; a learned one is ``sigmoid(logit(initial) + raw)``, written so that 0 gives ``initial``.

    Example:
        >>> UnitInterval(0.5)
        UnitInterval(0.5)
    """

    bounds = (0.0, 1.0)
    expected = "a number from 0 to 1"


class Alias:
    """A quantity under the name that the source of an equation has for it: an argument is an attribute.

    Args:
        path: where the quantity is, such as ``"v_th"`` or ``"adaptation.tau"``.
    """

    def __init__(self, path: str):
        self.owner, _, self.name = path.rpartition(".")

    def __get__(self, module: nn.Module | None, kind: type) -> object:
        return self if module is None else getattr(self._holder(module), self.name)

    def __set__(self, module: nn.Module, value: object) -> None:
        setattr(self._holder(module), self.name, value)

    def _holder(self, module: nn.Module) -> nn.Module:
        return module.get_submodule(self.owner)


class Parametrized(nn.Module):
    """A module whose quantities are checked, under their names, at the moment they are assigned."""

    def __setattr__(self, name: str, value: object) -> None:
        alias = getattr(type(self), name, None)
        if isinstance(alias, Alias):
            alias.__set__(self, value)
            return
        if isinstance(value, Constrained):
            value.check(f"{type(self).__name__}.{name}")
            self.accept(name, value)
        elif value is not None and isinstance(self.__dict__.get("_modules", {}).get(name), Constrained):
            kind = type(getattr(self, name)).__name__
            raise TypeError(
                f"{type(self).__name__}.{name}: expected a quantity such as {kind}(...), got {type(value).__name__}; "
                "assign a quantity"
            )
        super().__setattr__(name, value)

    def accept(self, name: str, quantity: Constrained) -> None:
        """Called with every new quantity; a subclass may raise here."""
