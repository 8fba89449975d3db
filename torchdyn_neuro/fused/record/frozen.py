"""A copy of a module in which everything that a step could change is its own, and a list of what it was made of.

The step is recorded on the copy, and replayed on it for second derivatives, so that nothing that happens to the module
later can reach either. The list says where each attribute of the module was found and what it was, which is what the
guards of a recording compare.
"""

import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...core.layers import has_hooks
from ...core.plastic import Plastic
from ...core.quantities import Constrained
from .builder import Refusal
from .lines import LineStandIn, is_plain_line
from .places import ABSENT, Attributes, Contents, Place, Source
from .products import ProductStandIn, is_plain_linear
from .values import CONTAINERS, is_atom, is_plain_object

RECORDINGS = "_recordings"
"""The attribute in which a module keeps what was recorded of it."""
_KEPT = frozenset((RECORDINGS, "_around"))
"""What a module only keeps to find it again."""
INTERNALS = (frozenset(nn.Module().__dict__) | _KEPT) - {"training"}
_GROUPS = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Frozen:
    """A frozen copy of a module.

    Args:
        root: the module.

    Attributes:
        module: the copy.
        objects: each module and plain object that was copied, with its attributes.
        places: their attributes.
        structure: the dictionaries of children, parameters and buffers, and the children.
        orders: these dictionaries, with the order of their names.
        contents: the containers among the attributes.
        hooks: the dictionaries of hooks, all empty.
        unfollowed: attributes whose content cannot be compared: the places where they are.
        functions: the functions among the attributes, with their names.
        numbers: the plain numbers among the attributes of the copy: where they are, and their names.
        sources: all quantities, and all other parameters and buffers.
        live: the owner of each source (of a quantity) or the dictionary that it is in.
        matrices: the weights of linear layers, which are the matrices of products.
        live_matrices: these layers, and the names of their weights.
        taps: with which lags and shares delays read their lines of frames.
        live_taps: these delays.

    Raises:
        Refusal: if a module inside has hooks.
    """

    def __init__(self, root: nn.Module):
        self.objects: list[tuple[Any, dict[str, Any]]] = []
        self.places: list[Place] = []
        self.structure: list[Place] = []
        self.orders: list[tuple[Mapping[str, Any], tuple[str, ...]]] = []
        self.contents: list[Contents] = []
        self.hooks: list[Mapping] = []
        self.unfollowed: list[Place] = []
        self.functions: list[tuple[types.FunctionType, str]] = []
        self.numbers: list[tuple[dict[str, Any], str]] = []
        self.sources: list[Source] = []
        self.matrices: list[Source] = []
        self.live_matrices: list[tuple[nn.Module, str]] = []
        self.taps: list[Source] = []
        self.live_taps: list[nn.Module] = []
        self.live: list[Any] = []
        self._made: dict[int, Any] = {}
        self._before: list[tuple[Any, Any]] = []
        self._delays: list[LineStandIn] = []
        self.module = self._module(root, "")
        for k, new in enumerate(self._delays):
            new.taps = len(self.matrices) + 2 * k  # behind the matrices

    def _module(self, module: nn.Module, path: str | None, given: bool = False) -> nn.Module:
        """The copy of a module.

        Args:
            module: what is copied.
            path: ``None`` for one that is in an attribute, whose tensors are no operands.
            given: whether it is a layer whose weight somebody gives it, so that it reads none of its own.
        """
        made = self._made.get(id(module))
        if made is not None:
            return made
        if path and is_plain_linear(module) and not given:
            matrix, narrow = self._matrix(module, path, "weight"), module.weight.dtype.itemsize < 4
            return self._stand_in(module, path, ProductStandIn(matrix, module.bias, narrow))
        if path and is_plain_line(module):
            return self._line(module, path)
        new = self._made[id(module)] = module.__class__.__new__(module.__class__)
        attributes, own, name = vars(module), new.__dict__, type(module).__name__
        own.update(attributes)
        for kept in _KEPT:
            own.pop(kept, None)
        for group in _GROUPS:
            own[group] = dict(attributes[group])
        if isinstance(module, Constrained):
            # Its value, with whatever goes into it, is an operand; only its attributes can be read beside.
            if path is not None:
                self.sources.append(Source(path))
                self.live.append(module)
        else:
            self._parts(module, path, attributes, own)
        for key, value in attributes.items():
            if key not in INTERNALS:
                own[key] = self._entry(attributes, key, value, f"{name}.{key}")
        if not isinstance(module, Constrained):
            self._find_numbers(own)
        self._before.append((own, dict(own)))
        return new

    def _parts(self, module: nn.Module, path: str | None, attributes: dict[str, Any], own: dict[str, Any]) -> None:
        """Go through the children, parameters and buffers of a module."""
        name = type(module).__name__
        if path != "":
            if has_hooks(module):
                raise Refusal(f"hooks on {name} inside it, which a fused loop would not call")
            self.hooks += [attributes[hooks] for hooks in _HOOKS]
        self.objects.append((module, attributes))
        for group in _GROUPS:
            self.structure.append(Place(attributes, group, attributes[group], f"{name}.{group}"))
            self.orders.append((attributes[group], tuple(attributes[group])))
        for group in ("_parameters", "_buffers"):
            for key, tensor in attributes[group].items():
                if tensor is None:
                    self.structure.append(Place(attributes[group], key, None, f"{name}.{key}"))
                elif path is not None:
                    self.sources.append(Source(path, key))
                    self.live.append(attributes[group])
        for key, child in attributes["_modules"].items():
            self.structure.append(Place(attributes["_modules"], key, child, f"{name}.{key}"))
            if child is not None:
                inner = None if path is None else f"{path}.{key}" if path else key
                own["_modules"][key] = self._module(child, inner, isinstance(module, Plastic))

    def _matrix(self, module: nn.Module, path: str, name: str) -> int:
        """The number of the matrix that an attribute of a module is."""
        self.matrices.append(Source(path, "weight"))
        self.live_matrices.append((module, name))
        return len(self.matrices) - 1

    def _line(self, module: nn.Module, path: str) -> nn.Module:
        """What stands in for a delay: of its parts, all but a bias are computed before the loop."""
        name = module.line_weight
        matrix = None if name is None else self._matrix(module, path, name)
        new = LineStandIn(module.dt, matrix, getattr(module, "bias", None))
        if module.reads_by_taps:
            self.taps += [Source(path, "lags"), Source(path, "shares")]
            self.live_taps.append(module)
            self._delays.append(new)
        return self._stand_in(module, path, new)

    def _stand_in(self, module: nn.Module, path: str, new: nn.Module) -> nn.Module:
        """A stand-in for a layer, whose bias is an operand."""
        attributes, bias = vars(module), getattr(module, "bias", None)
        self._made[id(module)] = new
        self.objects.append((module, attributes))
        self.hooks += [attributes[hooks] for hooks in _HOOKS]
        for group in _GROUPS:
            self.structure.append(Place(attributes, group, attributes[group], f"{type(module).__name__}.{group}"))
            self.orders.append((attributes[group], tuple(attributes[group])))
        if bias is None:
            absent = attributes["_parameters"].get("bias", ABSENT)
            self.structure.append(Place(attributes["_parameters"], "bias", absent, f"{type(module).__name__}.bias"))
        else:
            self.sources.append(Source(path, "bias"))
            self.live.append(Attributes(module))
        return new

    def _entry(self, container: Mapping[str, Any], key: str, value: Any, described: str) -> Any:
        place = Place(container, key, value, described)
        self.places.append(place)
        return self._value(value, place)

    def _value(self, value: Any, place: Place) -> Any:
        """The copy of a value that was found at a place."""
        kind = type(value)
        if is_atom(value) or isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType, Tensor)):
            return value  # a tensor is no operand: the recorder refuses it
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, nn.Module):
            return self._module(value, None)
        if kind is types.FunctionType:
            self.functions.append((value, place.described))
            return value
        if kind is types.MethodType:
            self.functions.append((value.__func__, place.described))
            return types.MethodType(value.__func__, self._value(value.__self__, place))
        if kind is tuple or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            items = [self._value(item, place) for item in value]
            return kind(*items) if hasattr(kind, "_fields") else tuple(items)
        if kind in CONTAINERS:
            return self._container(value, place)
        if is_plain_object(value):
            return self._object(value, vars(value))
        self.unfollowed.append(place)
        return value

    def _container(self, value: Any, place: Place) -> Any:
        kind, read = type(value), CONTAINERS[type(value)]
        self.contents.append(Contents(value, read, read(value)))
        new = self._made[id(value)] = kind()
        if kind is dict:
            new.update((key, self._value(item, place)) for key, item in value.items())
            if not all(map(is_atom, value)):
                self.unfollowed.append(place)
        elif kind is list:
            new.extend(self._value(item, place) for item in value)
        else:
            new.update(value)
            if not all(map(is_atom, value)):
                self.unfollowed.append(place)
        self._before.append((new, kind(new)))
        return new

    def _object(self, value: Any, attributes: dict[str, Any]) -> Any:
        kind = type(value)
        new = self._made[id(value)] = kind.__new__(kind)
        self.objects.append((value, attributes))
        for key, item in attributes.items():
            new.__dict__[key] = self._entry(attributes, key, item, f"{kind.__name__}.{key}")
        self._find_numbers(new.__dict__)
        self._before.append((new.__dict__, dict(new.__dict__)))
        return new

    def _find_numbers(self, attributes: dict[str, Any]) -> None:
        self.numbers += [(attributes, name) for name, value in attributes.items() if type(value) is float]

    def forget_tensors(self) -> None:
        """Let go of parameters and buffers, in whose places a step is given others."""
        for module in self.module.modules():
            for group in (module._parameters, module._buffers):
                group.update((name, torch.zeros((), dtype=t.dtype)) for name, t in group.items() if t is not None)

    def holds(self, value: Any) -> bool:
        """Whether the module holds that very object, of which the copy has another."""
        return id(value) in self._made

    def check_unchanged(self, changes: list[tuple[Any, Any]]) -> None:
        """Raise ``Refusal`` if the step has changed the copy: it remembers something that is not its state.

        Args:
            changes: further pairs of what there is now and what there was before.
        """
        for now, before in (*self._before, *changes):
            if isinstance(now, dict):
                same = now.keys() == before.keys() and all(now[key] is before[key] for key in before)
                if not same:
                    changed = sorted(str(k) for k in {*now, *before} if now.get(k) is not before.get(k))
                    raise Refusal(f"a step that changes {', '.join(changed)}, which is not part of its state")
            elif len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                raise Refusal(f"a step that changes a {type(now).__name__}, which is not part of its state")
