"""The step of a module as a function of flat lists of tensors: where its operands are, how others stand in for them."""

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.layers import has_hooks
from ..core.quantities import Constrained
from ..core.stand_in import stand_in
from ..core.state import State, fill, leaves, map_state
from .trace import NotPointwise

_INTERNALS = frozenset(nn.Module().__dict__) - {"training"}


class Source(NamedTuple):
    """Where an operand is: a quantity (no name), or a parameter or buffer of that name, of the module at ``path``."""

    path: str
    name: str | None = None

    def value(self, root: nn.Module) -> Tensor:
        owner = root.get_submodule(self.path)
        return owner() if self.name is None else getattr(owner, self.name)


class Survey(NamedTuple):
    """What a step may depend on.

    Args:
        sources: all quantities of a module and of its children, and all other parameters and buffers.
        values: the tensors there.
        fingerprint: the classes and plain attributes.
    """

    sources: list[Source]
    values: list[Tensor]
    fingerprint: tuple


def survey(root: nn.Module) -> Survey:
    """Everything that the step of a module may depend on; once for every call, so in one walk."""
    found, seen = Survey([], [], ()), set()
    parts: list[Any] = []
    _survey(root, "", found, parts, seen)
    return found._replace(fingerprint=tuple(parts))


def _survey(module: nn.Module, path: str, found: Survey, parts: list[Any], seen: set[nn.Module]) -> None:
    if module in seen:
        return
    seen.add(module)
    kind, attributes = module.__class__, module.__dict__
    children = attributes["_modules"]
    if path and isinstance(module, Dynamics) and has_hooks(module):
        raise NotPointwise(
            f"{type(module).__name__}: expected dynamics inside others to have no hooks where a loop is fused, got "
            "some; run it with backend('eager')"
        )
    parts += (kind, *children)
    if isinstance(module, Constrained):
        parts.append(module.bound is None)
        found.sources.append(Source(path))
        found.values.append(module())
    else:
        parts.append(getattr(kind, "step", None))
        for group in ("_parameters", "_buffers"):
            for name, tensor in attributes[group].items():
                if tensor is not None:
                    found.sources.append(Source(path, name))
                    found.values.append(tensor)
        for name, value in attributes.items():
            if name not in _INTERNALS:
                parts += (name, _print(value))
    for name, child in children.items():
        if child is not None:
            _survey(child, f"{path}.{name}" if path else name, found, parts, seen)


class ModuleStep:
    """``(inputs, states, parameters) -> (outputs, next_states)`` of one module, on lists of tensors.

    Args:
        module: the dynamics; only weakly referred to.
        sources: where the parameters are.
        x: an input, for its structure.
        state: a state, for its structure.
        output_dtype: type of the outputs, that of the step if omitted.
    """

    def __init__(
        self,
        module: Dynamics,
        sources: Sequence[Source],
        x: State,
        state: State,
        output_dtype: torch.dtype | None = None,
    ):
        self.module = weakref.ref(module)
        self.sources = tuple(sources)
        self.x = structure(x)
        self.state = structure(state)
        self.output_dtype = output_dtype
        self.output: State = None

    def __call__(
        self, inputs: Sequence[Tensor], states: Sequence[Tensor], parameters: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        module = self.module()
        if module is None:
            raise RuntimeError("torchdyn_neuro: expected the module of a fused loop to be alive, but it is gone")
        stand_in = substitute(module, dict(zip(self.sources, parameters, strict=True)))
        y, state = stand_in.step(fill(self.x, inputs), fill(self.state, states))
        if self.output_dtype is not None:
            y = map_state(lambda leaf: leaf.to(self.output_dtype), y)
        self.output = structure(y)
        return leaves(y), leaves(state)


def structure(tree: State) -> State:
    """A tree of the same structure that holds no tensor."""
    return map_state(lambda leaf: True, tree)


def substitute(root: nn.Module, values: dict[Source, Tensor]) -> nn.Module:
    """A module like ``root`` that reads ``values`` in the places of its operands; ``root`` itself is not touched."""
    replaced: dict[nn.Module, dict[str | None, Tensor]] = {}
    for source, value in values.items():
        replaced.setdefault(root.get_submodule(source.path), {})[source.name] = value
    return stand_in(root, replaced)


def _print(value: Any, depth: int = 0) -> Any:
    """A value that changes whenever the attribute does: by content where that is known, else by identity."""
    kind = value.__class__
    if kind in (float, int, bool, str, type(None), torch.dtype, torch.device):
        # 1, 1.0 and True are equal, 0.0 and -0.0 too: they are not the same.
        return (kind, repr(value)) if kind is float else (kind, value)
    if depth < 6:
        if isinstance(value, (tuple, list)):
            return (kind, *(_print(item, depth + 1) for item in value))
        if isinstance(value, (set, frozenset)):
            return (kind, *sorted(repr(_print(item, depth + 1)) for item in value))
        if isinstance(value, dict):
            return (kind, *((key, _print(item, depth + 1)) for key, item in value.items()))
        if hasattr(value, "__code__"):
            cells = tuple(_print(cell.cell_contents, depth + 1) for cell in value.__closure__ or ())
            return (value.__code__, cells, _print(value.__defaults__, depth + 1))
        if hasattr(value, "__dict__") and not isinstance(value, (type, Tensor, nn.Module)):
            return (kind, id(value) if kind.__hash__ is object.__hash__ else 0, _print(vars(value), depth + 1))
    return (kind, id(value))
