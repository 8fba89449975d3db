"""Trajectories of state fields, of one module or anywhere in a model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .chain import Chain
from .context import handing_over, intercepting, observing_steps
from .dynamics import Dynamics
from .fits import check_model_input
from .state import State, first_frame

_OUTPUT = "output"


def record(
    module: nn.Module,
    x: State,
    fields: Sequence[str],
    state: State | Mapping[str, State] | None = None,
    *,
    return_state: bool = False,
) -> dict[str, Tensor] | tuple[dict[str, Tensor], Any]:
    """Run a model and return the trajectories of state fields.

    The time loops run as they do without recording, fused where they fuse; a loop of a :class:`Recurrent` whose inner
    fields are recorded runs step by step.

    Args:
        module: a :class:`Dynamics`, or any model that holds some.
        x: input [T, B, *].
        fields: dotted paths: the name of the dynamics inside the model (nothing for the model itself), then the
            field of its state, e.g. ``"v"`` of a LIF, ``"1.v"`` of the second layer of an ``nn.Sequential`` or a
            :class:`Chain`, ``"neuron.v"`` of a :class:`Recurrent`; ``"output"`` last stands for what it puts out.
        state: state to start from: of a :class:`Dynamics`, its state; of another model, states by the names of its
            dynamics, such as :meth:`Streaming.states` gives. What is not named starts from its initial state.
        return_state: whether to return the last state too, in the form that ``state`` has.

    Returns:
        For each path, its trajectory [T, B, *]; with ``return_state``, these and the last state.

    Raises:
        ValueError: if a path or a name of a state leads nowhere, or if a recorded module runs twice.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> record(tdn.LIF(), torch.ones(50, 1, 2), ["v", "output"])["v"].shape
        torch.Size([50, 1, 2])
        >>> chain = tdn.Chain(nn.Linear(2, 4), tdn.LIF())
        >>> seen, last = record(chain, torch.ones(50, 1, 2), ["1.output"], return_state=True)
        >>> seen["1.output"].shape
        torch.Size([50, 1, 4])
    """
    check_model_input("record", module, x)
    recording = _Recording(module, fields, state, keeps_last=return_state or state is not None)
    with intercepting(recording.forward), handing_over(recording.scan, recording.inside):
        module(x)
    trajectories = recording.result()
    if not return_state:
        return trajectories
    return trajectories, recording.last[module] if isinstance(module, Dynamics) else recording.last_by_name()


class _Recording:
    """What is wanted of which dynamics, and what has been seen."""

    def __init__(self, model: nn.Module, paths: Sequence[str], state: Any, *, keeps_last: bool):
        self.model, self.paths, self.keeps_last = model, tuple(paths), keeps_last
        self.wanted: dict[Dynamics, list[tuple[str, tuple[str, ...]]]] = {}
        self.inside: set[nn.Module] = set()
        for path in self.paths:
            *outer, owner, rest = _route(model, path)
            self.wanted.setdefault(owner, []).append((path, rest))
            self.inside.update((*outer, owner))
        self.first = _first_states(model, state)
        self.last: dict[Dynamics, State] = {}
        self.seen: dict[str, Tensor] = {}

    def forward(self, dynamics: Dynamics, x: State) -> State:
        if self.keeps_last and dynamics in self.last:
            raise ValueError(
                f"record: expected each dynamics to run once where states are given or returned, got a second pass "
                f"through {type(dynamics).__name__}; give each place in the model a module of its own"
            )
        y, self.last[dynamics] = self.scan(dynamics, x, self.first.get(dynamics), None)
        return y

    def scan(self, dynamics: Dynamics, x: State, state: State, output_dtype: torch.dtype | None) -> tuple[State, State]:
        wanted = self.wanted.get(dynamics, [])
        again = [path for path, _ in wanted if path in self.seen]
        if again:
            raise ValueError(
                f"record: expected the model to run {again[0]!r} once, got a second pass through it; give "
                "each place in the model a module of its own"
            )
        fields = [(path, names) for path, names in wanted if names != (_OUTPUT,)]
        if fields:
            paths = tuple(names for _, names in fields)
            watched = dynamics.around((_Watched, paths), lambda dynamics: _Watched(dynamics, paths))
            x = dynamics._read(x, axis=2)
            watched.check_input(x)
            x_0 = first_frame(x)
            start = dynamics.initial_state(x_0) if state is None else dynamics.take_state(x_0, state)
            for path, names in fields:
                _follow(dynamics, names, start, None, path)
            (y, *values), last = watched.scan(x, start)
            self.seen.update({path: value for (path, _), value in zip(fields, values, strict=True)})
        else:
            y, last = dynamics.scan(x, state)
        self.seen.update(dict.fromkeys([path for path, names in wanted if names == (_OUTPUT,)], y))
        return (y if output_dtype is None else y.to(output_dtype)), last

    def result(self) -> dict[str, Tensor]:
        missing = [path for path in self.paths if path not in self.seen]
        if missing:
            raise ValueError(f"record: expected the model to run {missing[0]!r}, got a pass that did not call it")
        unused = [type(dynamics).__name__ for dynamics in self.first if dynamics not in self.last]
        if unused:
            raise ValueError(f"record: expected the model to run all that has a state, got none of {unused[0]}")
        return {path: self.seen[path] for path in self.paths}

    def last_by_name(self) -> dict[str, State]:
        names = {module: name for name, module in self.model.named_modules()}
        return {names[dynamics]: state for dynamics, state in self.last.items()}


class _Watched(Dynamics):
    """Dynamics whose step puts out fields of its state, and outputs of parts inside, beside its own output.

    Args:
        module: the dynamics.
        paths: of the fields, from the dynamics on.
    """

    def __init__(self, module: Dynamics, paths: tuple[tuple[str, ...], ...]):
        super().__init__(dt=module.dt)
        self.module = module
        self.paths = paths
        # Nobody is to be warned that a recording does not fuse.
        self.pointwise = None if module.pointwise else module.pointwise

    def initial_state(self, x_t: State) -> State:
        return self.module.initial_state(x_t)

    def step(self, x_t: State, state: State) -> tuple[tuple[State, ...], State]:
        outputs: dict[nn.Module, State] = {}
        with observing_steps(outputs.__setitem__):
            y_t, state = self.module.step(x_t, state)
        return (y_t, *(_follow(self.module, names, state, outputs) for names in self.paths)), state

    def check_input(self, x: State) -> None:
        self.module.check_input(x)

    def take_state(self, x_t: State, state: State) -> State:
        return self.module.take_state(x_t, state)


def _route(model: nn.Module, path: str) -> Iterator[Any]:
    """The chains on the path whose layers run apart, the dynamics to be watched, and the path from it on."""
    rest, current = path.split("."), model
    while True:
        if isinstance(current, Dynamics):
            apart = isinstance(current, Chain) and not current.learns and len(rest) > 1
            inner = current._modules.get(rest[0]) if apart else None
            yield current
            if not isinstance(inner, Dynamics):
                yield tuple(rest)
                return
            current, rest = inner, rest[1:]
            continue
        child = dict(current.named_children()).get(rest[0])
        if child is None or len(rest) == 1:
            names = ", ".join(name for name, found in model.named_modules() if isinstance(found, Dynamics))
            raise ValueError(f"record: expected a path to a state field, got {path!r}; dynamics are at: {names}")
        current, rest = child, rest[1:]


def _first_states(model: nn.Module, state: Any) -> dict[Dynamics, State]:
    if state is None:
        return {}
    if isinstance(model, Dynamics):
        return {model: state}
    modules = dict(model.named_modules())
    known = [name for name, module in modules.items() if isinstance(module, Dynamics)]
    if not isinstance(state, Mapping) or not set(state) <= set(known):
        got = sorted(set(state) - set(known)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"record: expected states by the names of dynamics, which are {', '.join(known)}, got {got}; pass what "
            "Streaming.states() gives"
        )
    return {modules[name]: value for name, value in state.items()}


def _follow(
    module: nn.Module | None,
    names: tuple[str, ...],
    state: State,
    outputs: dict[nn.Module, State] | None,
    path: str | None = None,
) -> Tensor:
    """What the names lead to; without ``outputs`` only a check that they lead somewhere, with errors for ``path``."""
    part: nn.Module | None = module
    for position, name in enumerate(names):
        child = None if part is None else part._modules.get(name)
        if name == _OUTPUT and position == len(names) - 1 and isinstance(part, Dynamics) and part is not module:
            return torch.empty(0) if outputs is None else outputs[part]
        parts = state if isinstance(state, tuple) else ()
        known = tuple(part._modules) if isinstance(part, Chain) else getattr(parts, "_fields", None)
        known = tuple(str(index) for index in range(len(parts))) if known is None else known
        if name not in known:
            listed = ", ".join(known) or "nothing further"
            raise ValueError(f"record: expected {listed} in {path!r}, got {name!r}; name a field of the state")
        state, part = state[known.index(name)], child
    if not isinstance(state, Tensor):
        raise ValueError(f"record: expected {path!r} to name one tensor, got {type(state).__name__}; name its field")
    return state
