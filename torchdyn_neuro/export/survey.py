"""What states a model has, found by one step of a batch of two rows and one of three."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.context import intercepting, without_drawing
from ..core.dynamics import Dynamics
from ..core.fits import check_model, check_model_input
from ..core.state import State, describe, first_frame, leaves, map_state
from ..core.streaming import Streaming
from .layout import Layout, Port, StateLeaf, alike, first_keys, name_of, smallest
from .refusal import NotExportable
from .soundness import check_frames, check_reached, check_repeatable, drawn, seeded

Pattern = dict[str, State]
"""The states of dynamics by their name in the model, in the order in which they run."""


class Survey(NamedTuple):
    """x_t: a frame; states: before it; y_t: what it gives; layout: the names and shapes of all that goes in and out."""

    x_t: State
    states: Pattern
    y_t: State
    layout: Layout


class _Seen(NamedTuple):
    x_t: State
    states: Pattern
    y_t: State


def survey(owner: str, model: nn.Module, x_t: State) -> Survey:
    """Run ``model`` for one step and look at what it takes, keeps and gives.

    Args:
        owner: who asks, for messages.
        model: any model with dynamics.
        x_t: one frame [B, \\*], or a tuple of frames.
    """
    check_model(owner, model)
    check_model_input(owner, model, x_t)
    if not any(isinstance(part, Dynamics) for part in model.modules()):
        raise ValueError(
            f"{owner}: expected a model with dynamics, got none in {type(model).__name__}; torch.export.export takes it"
        )
    stream = next((name for name, part in model.named_modules() if isinstance(part, Streaming)), None)
    if stream is not None:
        raise ValueError(
            f"{owner}: expected a model whose states go in and out, got {f'{stream!r}, a ' if stream else ''}"
            "Streaming, which keeps them; export the model inside, its .model"
        )
    training = next((name for name, part in model.named_modules() if part.training), None)
    if training is not None:
        place = f"layer {training!r}" if training else type(model).__name__
        raise ValueError(
            f"{owner}: expected a model for inference, got {place} in training mode; call model.eval() first"
        )
    two = _one_step(owner, model, map_state(partial(_same_rows, 2), x_t))
    _check_steps(owner, model, two)
    three = _one_step(owner, model, map_state(partial(_same_rows, 3), x_t))
    inputs = _ports(owner, "x", two.x_t, three.x_t)
    outputs = _ports(owner, "y", two.y_t, three.y_t)
    state = []
    for name, pattern in three.states.items():
        names = leaf_names(model.get_submodule(name), pattern, name)
        state += map(_state_leaf, names, leaves(two.states[name]), leaves(pattern))
    if not state:
        raise ValueError(
            f"{owner}: expected dynamics with a state, got none in {type(model).__name__}; torch.export.export takes it"
        )
    return Survey(*three, Layout("step", inputs, outputs, state))


def check_tensors(owner: str, x: State, wanted: str, axes: int) -> None:
    """Raise if ``x`` is neither a tensor of so many axes at least nor a tuple of such."""
    found = leaves(x)
    for leaf in found or [x]:
        if not isinstance(leaf, Tensor) or leaf.ndim < axes or 0 in leaf.shape[:axes]:
            got = f"shape {tuple(leaf.shape)}" if isinstance(leaf, Tensor) else type(leaf).__name__
            raise TypeError(f"{owner}: expected {wanted}, or a tuple of such, got {got}; pass an example of the input")


def leaf_names(module: nn.Module | None, state: State, path: str = "") -> list[str]:
    """The dotted paths of the tensors of a state, as ``record`` takes them."""
    if not isinstance(state, tuple):
        return [path]
    parts = tuple(module._modules) if isinstance(module, Chain) else getattr(state, "_fields", range(len(state)))
    children = [module._modules.get(str(part)) if module is not None else None for part in parts]
    joined = [f"{path}.{part}" if path else str(part) for part in parts]
    return [name for each in zip(children, state, joined, strict=True) for name in leaf_names(*each)]


def over_one_step(model: nn.Module, x_t: State, step: Callable[[Dynamics, State], State]) -> State:
    """``model`` on one frame, with ``step(dynamics, x_t) -> y_t`` for its dynamics; what has no time runs as it is."""

    def stand_in(module: Dynamics, x: State) -> State:
        y_t = step(module, first_frame(module._read(x, axis=2)))
        return map_state(lambda leaf: leaf.unsqueeze(0), y_t)

    with intercepting(stand_in):
        y = model(map_state(lambda leaf: leaf.unsqueeze(0), x_t))
    return map_state(lambda leaf: leaf.squeeze(0), y)


def _same_rows(rows: int, leaf: Tensor) -> Tensor:
    return leaf[:1].repeat(rows, *[1] * (leaf.ndim - 1))


def _one_step(owner: str, model: nn.Module, x_t: State) -> _Seen:
    names = {module: name for name, module in model.named_modules()}
    states: Pattern = {}

    def step(module: Dynamics, x_t: State) -> State:
        if names[module] in states:
            raise ValueError(
                f"{owner}: expected each dynamics to be called once per step, got a second call of "
                f"{type(module).__name__} at {names[module]!r}; give each place in the model a module of its own"
            )
        module.check_input(map_state(lambda leaf: leaf.unsqueeze(0), x_t))
        states[names[module]] = state = module.initial_state(x_t)
        place = f"{type(module).__name__} at {names[module]!r}" if names[module] else type(module).__name__
        _check_start(owner, place, module, x_t)
        y_t, after = module.step(x_t, state)
        if describe(after) != describe(state):
            raise NotExportable(
                f"{owner}: expected a state that keeps its shapes and types, got {describe(state)} before a step of "
                f"{place} and {describe(after)} after it; let initial_state() give what step() gives"
            )
        return y_t

    with torch.no_grad():
        y_t = seeded(x_t, lambda: over_one_step(model, x_t, step))
    found = leaves(y_t)
    if not found or not all(isinstance(leaf, Tensor) for leaf in found):
        raise NotExportable(
            f"{owner}: expected a model that gives a tensor or a tuple of tensors, got {type(y_t).__name__}; wrap it "
            "in a module that does"
        )
    return _Seen(x_t, states, y_t)


def _check_start(owner: str, place: str, module: Dynamics, x_t: State) -> None:
    """Raise if an initial state follows from the values of the frame, which are those of an example here."""
    with without_drawing():
        given, others = (leaves(module.initial_state(map_state(partial(drawn, seed), x_t))) for seed in (1, 2))
    if not all(map(alike, given, others)):
        raise NotExportable(
            f"{owner}: expected an initial state that follows from the shape of the input, got one of {place} that "
            "follows from its values; start from a fixed state, and let the first step move it"
        )


def _check_steps(owner: str, model: nn.Module, seen: _Seen) -> None:
    """Raise if a model does what goes unseen one step at a time."""
    names = {module: name for name, module in model.named_modules()}
    x_t = map_state(partial(drawn, 1), seen.x_t)

    def run(x_t: State) -> tuple[State, list[Tensor]]:
        ends: list[Tensor] = []

        def step(module: Dynamics, x_t: State) -> State:
            y_t, end = module.step(x_t, seen.states[names[module]])
            ends.extend(leaves(end))
            return y_t

        return over_one_step(model, x_t, step), ends

    reached = {model.get_submodule(name) for name in seen.states}
    with torch.no_grad():
        check_reached(owner, model, reached, lambda: run(seen.x_t))
        check_repeatable(owner, model, x_t, run)
        check_frames(owner, model, seen.x_t, seen.states)


def _ports(owner: str, name: str, two: State, three: State) -> list[Port]:
    found = leaves(three)
    ports = []
    for index, (a, b) in enumerate(zip(leaves(two), found, strict=True)):
        own = name if len(found) == 1 and not isinstance(three, tuple) else f"{name}.{index}"
        shape = _free(own, a, b)
        if shape[:1] != ("batch",):
            raise NotExportable(
                f"{owner}: expected {own} to have a row for each row of the batch, on its first axis, got shapes "
                f"{tuple(a.shape)} for two rows and {tuple(b.shape)} for three; keep the batch first"
            )
        ports.append(Port(own, name_of(b.dtype), shape))
    return ports


def _free(name: str, two: Tensor, three: Tensor) -> tuple[int | str, ...]:
    """The shape of a tensor, from what it has for two rows and for three."""
    shape = tuple("batch" if (a, b) == (2, 3) else b for a, b in zip(two.shape, three.shape, strict=True))
    fixed = [size for size, a in zip(shape, two.shape, strict=True) if size != "batch" and size != a]
    if fixed or shape.count("batch") > 1:
        raise NotExportable(
            f"export: expected {name!r} to have one axis for the batch or none, got shapes {tuple(two.shape)} for two "
            f"rows and {tuple(three.shape)} for three; keep a row of it for each row of the batch"
        )
    return shape


def _state_leaf(name: str, two: Tensor, three: Tensor) -> StateLeaf:
    shape, dtype = _free(name, two, three), name_of(three.dtype)
    if "batch" not in shape:
        return StateLeaf(name, dtype, shape, smallest(three))
    rows = three.detach().movedim(shape.index("batch"), 0)
    if alike(rows[:1], rows):
        return StateLeaf(name, dtype, shape, smallest(three))
    keys = first_keys(shape[1:]).to(three.device)
    if three.dtype == torch.int64 and shape[0] == "batch" and not ((three - keys) & 3).any():
        seeds = (three - keys).flatten(1) if three.ndim > 1 else (three - keys)[:, None]
        if torch.equal(seeds, seeds[:, :1].expand_as(seeds)):
            return StateLeaf(name, dtype, shape, smallest(keys), random=True)
    raise NotExportable(
        f"export: expected one initial state for all rows, or a random key, got rows that differ in {name!r}; let "
        "initial_state() give all rows the same"
    )
