"""Whether all that a recording depends on still is as it was."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any

import torch

from ...core.torch_private import DeviceContext, any_global_hook, function_mode_count, function_modes
from .code import content
from .frozen import Frozen
from .places import ABSENT, Contents
from .reads import World


def ambient() -> tuple:
    """What of torch's own settings an operation depends on; part of the kind of a call."""
    cpu, cuda = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
    settings = torch.get_default_dtype(), cpu, cuda
    if cpu or cuda:
        settings += torch.get_autocast_dtype("cpu"), torch.get_autocast_dtype("cuda")
    return settings


@contextmanager
def under(settings: tuple) -> Iterator[None]:
    """Within a ``with`` block torch's settings are those that :func:`ambient` gave."""
    now = ambient()
    default, cpu, cuda, *dtypes = settings
    with ExitStack() as stack:
        if now[0] != default:
            stack.callback(torch.set_default_dtype, now[0])
            torch.set_default_dtype(default)
        if now[1:] != settings[1:]:
            for k, (device, enabled) in enumerate((("cpu", cpu), ("cuda", cuda))):
                if enabled or torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, dtypes[k] if dtypes else None, enabled=enabled))
        yield


def observed() -> str | None:
    """Who looks at every module or function, if anybody does, so that nothing may be recorded."""
    if any_global_hook():
        return "hooks on all modules, which a fused loop would not call"
    if function_mode_count() and not all(isinstance(mode, DeviceContext) for mode in function_modes()):
        return "a mode of torch functions at work"
    return None


class WorldGuard:
    """Whether globals, closures, functions and classes are as they were."""

    def __init__(self, world: World):
        self.places = _entries(world.places)
        self.keys = world.keys
        self.contents = world.contents
        self.cells = world.cells
        self.functions = world.functions

    def holds(self) -> bool:
        """Whether nothing has changed."""
        for get, name, value in self.places:
            now = get(name, ABSENT)
            if now is not value and not same(now, value):
                return False
        for members, names, number in self.keys:
            if len(members) != number or (names is not None and members.keys() != names):
                return False
        for cell, value in self.cells:
            now = content(cell)
            if now is not value and not same(now, value):
                return False
        for function, (code, defaults, keyword_defaults) in self.functions:
            if function.__code__ is not code or function.__kwdefaults__ is not keyword_defaults:
                return False
            if function.__defaults__ is not defaults:
                return False
        return unchanged(self.contents)


class ModuleGuard:
    """Whether a module and all that hangs on it are as they were.

    Args:
        frozen: what was found.
        world: the names that were read; if omitted, all count.
    """

    def __init__(self, frozen: Frozen, world: World | None = None):
        named = [place for place in frozen.places if world is None or world.reads(place.name)]
        self.places = _entries([*frozen.structure, *named])
        self.objects = [(value, type(value), held, frozenset(held)) for value, held in frozen.objects]
        self.orders = frozen.orders
        self.contents = frozen.contents
        self.hooks = frozen.hooks

    def holds(self) -> bool:
        """Whether nothing has changed."""
        if any(self.hooks):
            return False
        for value, kind, attributes, names in self.objects:
            if value.__class__ is not kind or value.__dict__ is not attributes or attributes.keys() != names:
                return False
        for get, name, value in self.places:
            now = get(name, ABSENT)
            if now is not value and not same(now, value):
                return False
        for entries, order in self.orders:
            if tuple(entries) != order:
                return False
        return unchanged(self.contents)


def unchanged(contents: list[Contents]) -> bool:
    """Whether lists, dicts and sets hold what they held."""
    for container, read, items in contents:
        now = read(container)
        if len(now) != len(items) or not all(a is b or same(a, b) for a, b in zip(now, items, strict=True)):
            return False
    return True


def same(now: Any, before: Any) -> bool:
    """Whether two values are one for a step: 1, 1.0 and True are three, 0.0 and -0.0 two."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    if type(now) in (tuple, frozenset):
        return len(now) == len(before) and all(map(same, *map(_in_order, (now, before))))
    if isinstance(now, Enum) or type(now) not in _BY_VALUE:
        return False
    return now == before and repr(now) == repr(before)


_BY_VALUE = (float, int, bool, str, bytes, complex, slice, torch.dtype, torch.device)


def _in_order(items: tuple | frozenset) -> list:
    return list(items) if type(items) is tuple else sorted(items, key=repr)


def _entries(places: list) -> list[tuple]:
    """How to look up each place, its name and its value; each once."""
    found = {(id(place.container), place.name): place for place in places}
    return [(place.container.get, place.name, place.value) for place in found.values()]
