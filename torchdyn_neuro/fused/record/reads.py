"""What the code that ran may have read beside the module: globals, closures, classes, functions.

A name counts as read if the code mentions it. That is more than was read, never less: a name that is computed makes
every name count.
"""

import collections
import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...core import constrained
from .audit import Audit, kind_of
from .builder import Refusal
from .code import code_of, code_reads, content
from .frozen import Frozen
from .places import ABSENT, Contents, Place
from .values import CONTAINERS, is_atom, is_plain_object

_TRUSTED = ("torch", "torchdyn_neuro", "builtins", "math", "cmath", "operator", "_operator", "typing", "abc", "enum")
_NUMBERS_AND_TEXTS = (bool, int, float, complex, str, bytes, range, slice)
_COLLECTIONS = (tuple, list, dict, set, frozenset, enumerate, zip, map, filter, reversed)
_TRUSTED_TYPES = frozenset(
    (*_NUMBERS_AND_TEXTS, *_COLLECTIONS, object, type, super, property, staticmethod, classmethod, BaseException)
)
_COMPUTED = frozenset(("getattr", "hasattr"))
_HEAP_TYPE = 1 << 9
_CONSTANTS = (
    torch.Size,
    torch.finfo,
    torch.iinfo,
    torch.memory_format,
    torch.layout,
    types.GenericAlias,
    types.UnionType,
)
_DESCRIPTORS = (
    type(collections.namedtuple("_", "field").field),
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


class World:
    """Everything outside the module that a recording depends on.

    Args:
        audit: the code that ran.
        frozen: the module.

    Attributes:
        names: the names that the code mentions.
        places: entries of globals and classes.
        keys: members of classes, with their names where these are compared, and their number.
        contents: lists, dicts and sets.
        cells: closures, and what they held.
        functions: functions, with their code and defaults.

    Raises:
        Refusal: naming what cannot be followed.
    """

    def __init__(self, audit: Audit, frozen: Frozen):
        self.names: set[str] = set()
        self.computed = False
        self.places: list[Place] = []
        self.keys: list[tuple[Mapping, frozenset[str] | None, int]] = []
        self.contents: list[Contents] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.functions: list[tuple[types.FunctionType, tuple]] = []
        self._ran, self._frozen, self._seen = audit.ran, frozen, set()
        self._user_names: set[str] = set()
        for code, (_, kind) in audit.ran.items():
            if code.co_filename == constrained.__file__:
                continue  # the value of a quantity is an operand
            self.names.update(code.co_names)
            if kind == "own":
                # Our own code also reads fields by names that it is given.
                self.names.update(text for text in code.co_consts if isinstance(text, str))
            elif kind == "user":
                self._user_names.update(code.co_names)
                self.computed |= not _COMPUTED.isdisjoint(code.co_names)
                forbidden = code_reads(code).forbidden
                if forbidden:
                    raise Refusal(f"code in {code.co_qualname} that {forbidden}")
        self._followed: set[types.CodeType] = set()
        for value, _ in frozen.objects:
            self._class(type(value))
        for function, described in frozen.functions:
            if self.reads(described.rpartition(".")[2]):
                self._function(function, described)
        for place in frozen.unfollowed:
            if self.reads(place.name):
                raise Refusal(
                    f"{place.described}, a {type(place.value).__name__}, whose changes cannot be seen (a plain number "
                    "or a buffer can)"
                )
        for place in frozen.places:
            if isinstance(place.value, (type, types.ModuleType)) and self.reads(place.name):
                self._value(place.value, place.described)
        self._check_all_followed()

    def reads(self, name: str) -> bool:
        """Whether the code may have read something of that name."""
        return self.computed or name in self.names

    def _check_all_followed(self) -> None:
        for code, (_, kind) in self._ran.items():
            if kind == "user" and code not in self._followed:
                raise Refusal(f"a call of {code.co_qualname}, which was reached in a way that cannot be followed")

    def _value(self, value: Any, described: str) -> None:
        """Follow a value that was found outside the module."""
        if is_atom(value) or isinstance(value, (Tensor, *_DESCRIPTORS, types.BuiltinFunctionType)):
            return  # functions of C are seen when they are called, tensors when they are used
        if type(value) is tuple:
            for item in value:
                self._value(item, described)
        elif self._frozen.holds(value):
            raise Refusal(f"{described}, which is an attribute of the module too")
        elif type(value) in CONTAINERS:
            self._container(value, described)
        elif isinstance(value, types.FunctionType):
            self._function(value, described)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, (staticmethod, classmethod)):
            self._value(value.__func__, described)
        elif isinstance(value, property):
            for function in (value.fget, value.fset, value.fdel):
                self._value(function, described)
        elif isinstance(value, types.MethodType) and isinstance(value.__self__, type):
            self._class(value.__self__)
            self._function(value.__func__, described)
        elif is_plain_object(value) and not isinstance(value, nn.Module):
            self._object(value)
        elif type(value).__module__ != "typing" and not isinstance(value, _CONSTANTS):
            raise Refusal(
                f"{described}, a {type(value).__name__} outside the module, whose changes cannot be seen; make it an "
                "attribute of the module"
            )

    def _container(self, value: Any, described: str) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        read = CONTAINERS[type(value)]
        self.contents.append(Contents(value, read, read(value)))
        for item in read(value):
            self._value(item, described)

    def _object(self, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        kind, attributes = type(value), vars(value)
        self._class(kind)
        self.places.append(Place(_Attribute(value, "__class__"), "", kind, kind.__name__))
        self.keys.append((attributes, frozenset(attributes), len(attributes)))
        for name, item in attributes.items():
            if self.reads(name):
                self.places.append(Place(attributes, name, item, f"{kind.__name__}.{name}"))
                self._value(item, f"{kind.__name__}.{name}")

    def _function(self, function: types.FunctionType, described: str) -> None:
        code = function.__code__
        if id(function) in self._seen or kind_of(code, function.__globals__) in ("torch", "own", "recorder"):
            return
        self._seen.add(id(function))
        self.functions.append((function, (code, function.__defaults__, function.__kwdefaults__)))
        if code not in self._ran:
            return
        if not self.names.isdisjoint(function.__dict__):
            raise Refusal(f"{described}, a function with attributes, whose changes cannot be seen")
        self._follow(code)
        for name in code_reads(code).globals:
            value = function.__globals__.get(name, ABSENT)
            self.places.append(Place(function.__globals__, name, value, name))
            if value is not ABSENT:
                self._value(value, name)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            value = content(cell)
            self.cells.append((cell, value))
            if value is not ABSENT:
                self._value(value, name)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._value(value, f"a default of {described}")
        if function.__kwdefaults__:
            self.places += [
                Place(function.__kwdefaults__, name, value, name) for name, value in function.__kwdefaults__.items()
            ]

    def _follow(self, code: types.CodeType) -> None:
        """What is written inside a function is born when it runs."""
        self._followed.add(code)
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                self._follow(inner)

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            package = base.__module__.partition(".")[0]
            if base in self._seen or package == "torch" or base in _TRUSTED_TYPES:
                continue
            self._seen.add(base)
            if package != "torchdyn_neuro" and package in _TRUSTED:
                continue
            if not base.__flags__ & _HEAP_TYPE:
                raise Refusal(f"{base.__name__}, a type written in C, whose changes cannot be seen")
            if type(base).__module__.partition(".")[0] not in _TRUSTED:
                raise Refusal(f"{base.__name__}, a class of a class of its own, whose changes cannot be seen")
            members = vars(base)
            # Of our own classes the number of members: nobody exchanges one for another there.
            self.keys.append((members, None if package == "torchdyn_neuro" else frozenset(members), len(members)))
            self.places.append(Place(_Attribute(base, "__mro__"), "", base.__mro__, base.__name__))
            for name, member in members.items():
                if self.reads(name) or code_of(member) in self._ran:
                    described = f"{base.__name__}.{name}"
                    self.places.append(Place(members, name, member, described))
                    # Of our own classes only what a user has put there.
                    if package != "torchdyn_neuro" or isinstance(member, types.FunctionType):
                        self._value(member, described)

    def _module(self, module: types.ModuleType) -> None:
        if module.__name__.partition(".")[0] in _TRUSTED:
            return
        for name in sorted(self._user_names & vars(module).keys()):
            value = vars(module)[name]
            self.places.append(Place(vars(module), name, value, f"{module.__name__}.{name}"))
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._value(value, f"{module.__name__}.{name}")


class _Attribute:
    """An attribute that is in no dictionary, looked up like an entry of one."""

    def __init__(self, owner: Any, name: str):
        self.owner, self.name = owner, name

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self.owner, self.name, default)
