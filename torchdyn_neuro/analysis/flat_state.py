"""The state of dynamics as a vector, and back."""

from typing import Any

import torch
from torch import Tensor

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.network import Network
from ..core.state import State, leaves, map_state


class FlatState:
    """All that flows in a state, field by field, as vectors [..., n].

    Args:
        module: the dynamics.
        template: a state of theirs.
        change: its rate of change, ``()`` for what does not flow.
    """

    def __init__(self, module: Dynamics, template: State, change: State):
        self.owner, self.template = type(module).__name__, template
        self.flows = [isinstance(leaf, Tensor) for leaf in _all_leaves(template, change)]
        given = [(name, leaf) for name, leaf in _named(module, template, "") if isinstance(leaf, Tensor)]
        self.parts = [(name, leaf) for (name, leaf), flows in zip(given, self.flows, strict=True) if flows]
        self.size = sum(leaf[0].numel() for _, leaf in self.parts)
        self.rows = leaves(template)[0].shape[0]

    def flat(self, state: State) -> Tensor:
        """A state, or vectors [..., n], as vectors."""
        if (isinstance(state, Tensor) and len(leaves(self.template)) != 1) or (
            isinstance(state, Tensor) and state.shape[-1] == self.size
        ):
            tensor = state
        else:
            given = leaves(state)
            if len(given) != len(self.flows):
                raise ValueError(
                    f"{self.owner}: expected a state of {len(self.flows)} tensors or one [..., {self.size}], got "
                    f"{len(given)}; pass the state that scan() returned"
                )
            moving = [leaf for leaf, flows in zip(given, self.flows, strict=True) if flows]
            tensor = torch.cat([leaf.reshape(leaf.shape[0], -1) for leaf in moving], -1)
        if not tensor.is_floating_point() or not tensor.ndim or tensor.shape[-1] != self.size:
            raise ValueError(
                f"{self.owner}: expected states [..., {self.size}] ({', '.join(self.names())}), got "
                f"{tensor.dtype} {tuple(tensor.shape)}; pass such a tensor, or a state of the dynamics"
            )
        return tensor

    def tree(self, state: Tensor) -> State:
        """Vectors [B, n] as a state of B rows."""
        pieces = iter(state.split([leaf[0].numel() for _, leaf in self.parts], -1))
        flows = iter(self.flows)

        def filled(leaf: Tensor) -> Tensor:
            if next(flows):
                return next(pieces).reshape(-1, *leaf.shape[1:])
            return leaf[:1].expand(state.shape[0], *leaf.shape[1:])

        return map_state(filled, self.template)

    def moving(self, change: State, rows: int) -> Tensor:
        """What flows of a state, or of its rate of change, as vectors [B, n]."""
        given = _all_leaves(self.template, change)
        kept = [leaf for leaf, flows in zip(given, self.flows, strict=True) if flows]
        return torch.cat([leaf.expand(rows, *leaf.shape[1:]).reshape(rows, -1) for leaf in kept], -1)

    def names(self) -> tuple[str, ...]:
        """The names of the components."""
        names = []
        for name, leaf in self.parts:
            one = leaf[0]
            if one.numel() == 1:
                names.append(name)
            else:
                indices = torch.cartesian_prod(*(torch.arange(extent) for extent in one.shape)).reshape(-1, one.ndim)
                names += [f"{name}[{', '.join(str(int(i)) for i in index)}]" for index in indices]
        return tuple(names)


def _all_leaves(state: State, change: State) -> list[Any]:
    """The rates of change of all leaves of a state, () for those that have none."""
    if not isinstance(state, tuple):
        return [change]
    if isinstance(change, tuple) and not change:
        return [()] * len(leaves(state))
    return [leaf for part, moved in zip(state, change, strict=True) for leaf in _all_leaves(part, moved)]


def _named(module: Any, state: State, name: str) -> list[tuple[str, Any]]:
    """The leaves of a state with their names; that of the neuron of a network needs no name of its own."""
    if isinstance(module, Network):
        return _named(module.neuron, state.neuron, name)
    if not isinstance(state, tuple):
        return [(name or "x", state)]
    if isinstance(module, Chain):
        layers = module._modules.items()
    else:
        fields = getattr(state, "_fields", tuple(f"x{k}" for k in range(len(state))))
        layers = [(field, None) for field in fields]
    found = []
    for (field, layer), part in zip(layers, state, strict=True):
        found += _named(layer, part, f"{name}.{field}" if name else field)
    return found
