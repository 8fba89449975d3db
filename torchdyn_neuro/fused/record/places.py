"""Where what a step depends on was found."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

ABSENT = object()
"""What is in a place where nothing is."""


class Source(NamedTuple):
    """Where an operand is: a quantity (no name), or a parameter or buffer of that name, of the module at ``path``."""

    path: str
    name: str | None = None

    def value(self, root: nn.Module) -> Tensor:
        owner = root.get_submodule(self.path)
        return owner() if self.name is None else getattr(owner, self.name)


class Place(NamedTuple):
    """An entry of a live dictionary, and what was found there.

    Args:
        container: attributes, members of a class, globals.
        name: of the entry.
        value: what was there.
        described: where that is, for messages.
    """

    container: Mapping[str, Any]
    name: str
    value: Any
    described: str


class Contents(NamedTuple):
    """A list, dict or set, and what it held."""

    container: Any
    read: Callable[[Any], tuple]
    items: tuple


class Attributes:
    """The attributes of a module as entries of a dictionary, those that are computed too."""

    def __init__(self, module: nn.Module):
        self.module = module

    def __getitem__(self, name: str) -> Tensor:
        return getattr(self.module, name)
