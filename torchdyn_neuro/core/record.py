"""Trajectories of state fields, of one module or anywhere in a model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .dynamics import Dynamics, intercepting
from .state import State, first_frame, frames, stack_frames


def record(module: nn.Module, x: State, fields: Sequence[str]) -> dict[str, Tensor]:
    """Run a model and return the trajectories of state fields.

    Args:
        module: a :class:`Dynamics`, or any model that holds some.
        x: input [T, B, *].
        fields: dotted paths: the name of the dynamics inside the model (nothing for the model itself), then the
            field of its state, e.g. ``"v"`` of a LIF, ``"1.v"`` of the second layer of an ``nn.Sequential`` or a
            :class:`Chain`, ``"neuron.v"`` of a :class:`Recurrent`; ``"output"`` last stands for what it puts out.

    Returns:
        For each path, its trajectory [T, B, *].

    Raises:
        ValueError: if a path leads nowhere.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> record(tdn.LIF(), torch.ones(50, 1, 2), ["v", "output"])["v"].shape
        torch.Size([50, 1, 2])
    """
    owners = {path: _owner(module, path) for path in fields}
    wanted: dict[Dynamics, list[str]] = {}
    for path, (owner, _) in owners.items():
        wanted.setdefault(owner, []).append(path)
    trajectories: dict[str, Tensor] = {}

    def watch(dynamics: Dynamics, x: State) -> State:
        if dynamics not in wanted:
            return dynamics.scan(x)[0]
        if wanted[dynamics][0] in trajectories:
            raise ValueError(
                f"record: expected the model to run {wanted[dynamics][0]!r} once, got a second pass through it; give "
                "each place in the model a module of its own"
            )
        dynamics.check_input(x)
        state = dynamics.initial_state(first_frame(x))
        outputs, seen = [], {path: [] for path in wanted[dynamics]}
        for x_t in frames(dynamics._read(x, axis=2)):
            y_t, state = dynamics.step(x_t, state)
            outputs.append(y_t)
            for path, values in seen.items():
                values.append(_follow(path, owners[path][1], y_t, state))
        trajectories.update({path: torch.stack(values) for path, values in seen.items()})
        return stack_frames(outputs)

    with intercepting(watch):
        module(x)
    missing = [path for path in fields if path not in trajectories]
    if missing:
        raise ValueError(f"record: expected the model to run {missing[0]!r}, got a pass that did not call it")
    return trajectories


def _owner(module: nn.Module, path: str) -> tuple[Dynamics, list[str]]:
    """The outermost dynamics on the path, and what is left of the path: where in its state the field is."""
    rest, current = path.split("."), module
    while not isinstance(current, Dynamics):
        child = dict(current.named_children()).get(rest[0])
        if child is None or len(rest) == 1:
            names = ", ".join(name for name, found in module.named_modules() if isinstance(found, Dynamics))
            raise ValueError(f"record: expected a path to a state field, got {path!r}; dynamics are at: {names}")
        current, rest = child, rest[1:]
    return current, rest


def _follow(path: str, steps: list[str], y_t: State, state: State) -> Tensor:
    if steps == ["output"]:
        return y_t
    for name in steps:
        parts = state if isinstance(state, tuple) else ()
        fields = getattr(parts, "_fields", tuple(str(index) for index in range(len(parts))))
        if name not in fields:
            known = ", ".join(fields) or "nothing further"
            raise ValueError(f"record: expected {known} in {path!r}, got {name!r}; name a field of the state")
        state = state[fields.index(name)]
    if not isinstance(state, Tensor):
        raise ValueError(f"record: expected {path!r} to name one tensor, got {type(state).__name__}; name its field")
    return state
