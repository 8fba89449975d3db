"""What a model may not do if its steps are to be run one by one elsewhere, found by running it here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.context import intercepting
from ..core.dynamics import Dynamics, plain_parts
from ..core.state import State, first_frame, leaves, map_state
from ..core.torch_private import TorchDispatchMode, tree_leaves
from .refusal import NotExportable

Run = Callable[[State], tuple[State, list[Tensor]]]
"""What a model puts out for a frame, and the leaves of the states after it."""


def check_reached(owner: str, model: nn.Module, reached: set[nn.Module], run: Callable[[], object]) -> None:
    """Raise if ``run()`` runs dynamics of a model past their forward, where their state is not seen.

    Args:
        owner: who asks, for messages.
        model: the model.
        reached: the dynamics whose forward was called.
        run: runs the model once.
    """
    inside = {part for module in reached for part in module.modules()}
    others = {name: part for name, part in model.named_modules() if isinstance(part, Dynamics) and part not in inside}
    if not others:
        return  # an unused one, such as a head for training, may be there

    def refuse(name: str, *_: Any, **__: Any) -> Any:
        raise NotExportable(
            f"{owner}: expected dynamics to be called like any layer, layer(x), so that their state can go in and out, "
            f"got a call of scan() or step() of {type(others[name]).__name__} at {name!r}; call it, or put the loop "
            "into a Dynamics of your own"
        )

    for name, part in others.items():
        vars(part).update(scan=partial(refuse, name), step=partial(refuse, name))
    try:
        run()
    finally:
        for part in others.values():
            del vars(part)["scan"], vars(part)["step"]


def check_repeatable(owner: str, model: nn.Module, x_t: State, run: Run) -> None:
    """Raise if a model, run twice on the same frame and states, gives or keeps something else the second time."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    first, second = seeded(x_t, partial(run, x_t)), seeded(x_t, partial(run, x_t))
    moved = [name for name, buffer in model.named_buffers() if not _close(before.get(name), buffer)]
    if moved or not all(map(_close, [*leaves(first[0]), *first[1]], [*leaves(second[0]), *second[1]])):
        what = f"the buffer {moved[0]!r}, which a step changes" if moved else "another result of the same frame"
        raise NotExportable(
            f"{owner}: expected a model that keeps nothing but the states of its dynamics, got {what}, in "
            f"{type(model).__name__}; make what it keeps the state of a Dynamics"
        )


def check_frames(owner: str, model: nn.Module, x_t: State, states: Mapping[str, State]) -> None:
    """Raise if what lies between the dynamics of a model treats a frame otherwise in a sequence than alone.

    Args:
        owner: who asks, for messages.
        model: the model.
        x_t: a frame.
        states: of its dynamics, by name.
    """
    names = {module: name for name, module in model.named_modules()}
    f, g = (map_state(partial(drawn, seed), x_t) for seed in (1, 2))
    sequences = [map_state(lambda *parts: torch.stack(parts), *each) for each in ((f, g, f), (f,), (g,))]

    def smooth(module: Dynamics, x: State) -> State:
        """A stand-in whose output follows its input of the same step without a threshold, which rounding may cross."""
        x = module._read(x, axis=2)
        y_t = module.step(first_frame(x), states[names[module]])[0]
        return map_state(partial(_following, leaves(x)[0]), y_t)

    def outputs() -> list[list[Tensor]]:
        with intercepting(smooth), _WithoutChance():
            return [leaves(seeded(each, partial(model, each))) for each in sequences]

    if _alone(*outputs()):
        return
    seen: list[dict[str, list[Tensor]]] = []
    with _watched(model, seen):
        outputs()
    found = next((name for name in seen[0] if not _alone(*(each.get(name, []) for each in seen))), "")
    part = model.get_submodule(found)
    raise NotExportable(
        f"{owner}: expected layers that treat each frame by itself, all that lasts being in dynamics, got "
        f"{type(part).__name__}{f' at {found!r}' if found else ''}, whose output for a frame depends on the others or "
        "on its place (a recurrent layer of torch, a mean over time, a code for the position, a norm without running "
        "statistics); make it a Dynamics, or leave it outside of what is exported"
    )


def seeded(x: State, run: Callable[[], Any]) -> Any:
    """What ``run()`` gives with the generators at the same place each time, where they are put back."""
    with torch.random.fork_rng({leaf.device for leaf in leaves(x) if leaf.is_cuda}):
        torch.manual_seed(0)
        return run()


def drawn(seed: int, leaf: Tensor) -> Tensor:
    """Numbers from 0 to the largest of a frame in its place; whole ones stay, or are zero."""
    if not leaf.is_floating_point():
        return leaf if seed == 1 else torch.zeros_like(leaf)
    most = leaf.abs().max().item() if leaf.numel() else 0.0
    uniform = torch.rand(leaf.shape, generator=torch.Generator().manual_seed(seed))
    return (uniform * (most if 0 < most < torch.inf else 1.0)).to(leaf)


def _following(x: Tensor, y_t: Tensor) -> Tensor:
    if x.shape[1:] == y_t.shape:
        return x.to(y_t.dtype)
    level = x.float().flatten(2).mean(2) if x.ndim > 2 else x.float()
    slope = torch.linspace(0.5, 1.5, y_t[0].numel(), device=x.device).view(y_t.shape[1:])
    return (level.view(*level.shape, *[1] * (y_t.ndim - 1)) * slope).to(y_t.dtype)


class _WithoutChance(TorchDispatchMode):
    """Lets what is drawn at random be one value, for chance alone is no dependence on other frames."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            for leaf in tree_leaves(y):
                leaf.fill_(1)
        return y


@contextmanager
def _watched(model: nn.Module, seen: list[dict[str, list[Tensor]]]) -> Iterator[None]:
    """Notes what each layer of a model puts out, in the order in which they end, for each pass."""

    def note(name: str, _: nn.Module, given: Any, y: Any) -> None:
        seen[-1][name] = [leaf for leaf in tree_leaves(y) if isinstance(leaf, Tensor)]

    hooks = [part.register_forward_hook(partial(note, name)) for name, part in plain_parts(model).items()]
    hooks.append(model.register_forward_pre_hook(lambda *_: seen.append({})))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _alone(three: list[Tensor], f: list[Tensor], g: list[Tensor]) -> bool:
    """Whether the outputs for the frames f, g, f are those for each of them alone."""
    if not len(three) == len(f) == len(g):
        return False
    for whole, *alone in zip(three, f, g, strict=True):
        if not whole.ndim or len(whole) != 3 * len(alone[0]) or whole.shape[1:] != alone[0].shape[1:]:
            return False
        parts = whole.unflatten(0, (3, -1))
        if not all(map(_close, parts, (*alone, alone[0]))):
            return False
    return True


def _close(a: Tensor | None, b: Tensor) -> bool:
    """Whether tensors are the same but for rounding."""
    if a is None or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not b.is_floating_point():
        return torch.equal(a, b)
    size = b.abs().nan_to_num(0.0, 0.0, 0.0).max().item() if b.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * size, equal_nan=True)
