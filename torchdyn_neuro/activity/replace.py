"""Activations of a whole model swapped for dynamics."""

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.fits import check_model
from ..core.network import Network
from ..core.stepwise import Unfolded
from .call_sites import call_sites, function_forms
from .per_call import PerCall

Wanted = type[nn.Module] | tuple[type[nn.Module], ...] | Callable[[nn.Module], bool]


class _Place(NamedTuple):
    """An attribute to be replaced: its owner, the owner's name, the attribute, how often a forward calls it."""

    owner: nn.Module
    path: str
    name: str
    calls: int

    @property
    def keeps_time(self) -> bool:
        """Whether the owner threads the states of its layers, so that nothing is to be unfolded."""
        return isinstance(self.owner, (Chain, Network))


def replace(
    model: nn.Module,
    what: Wanted,
    by: Dynamics | Callable[..., Dynamics],
    *,
    unfold: bool = True,
    verbose: bool = True,
    **arguments: Any,
) -> list[str]:
    r"""Swap modules of a model, such as its ReLUs, for dynamics; each place gets one of its own.

    The model then runs as ``Stepwise(model)``, with its layers on all steps at once and time unfolded for the dynamics.
    A module that stands under several names is replaced by one under each. One that a forward calls several times, as
    that of torchvision's ``BasicBlock`` does, gives way to a :class:`PerCall` with one for each call, as ``torch.fx``
    reads from that forward; where it cannot, for the way depends on values, all its calls share one.

    An activation that is kept as a function, as ``nn.TransformerEncoderLayer`` keeps it, is replaced where it is an
    attribute; the fast path of the transformer, which would go on without the dynamics in evaluation, is off
    afterwards. A function that stands in the code of a forward cannot be replaced; a warning names it.

    Args:
        model: the model; changed in place.
        what: a class, a tuple of classes, or a predicate on modules. Dynamics and what is in them stay, but for the
            layers of a :class:`Chain` and the connection of a :class:`Network`.
        by: a class of dynamics or another function, called with ``arguments`` once for each place; or dynamics, of
            which each place gets a copy.
        unfold: wrap each into :class:`Unfolded`, for ``Stepwise(model)``; otherwise the model itself must keep time
            first, as an ``nn.Sequential`` of linear layers does. Layers of a ``Chain`` and connections never are.
        verbose: print what was replaced.
        arguments: of ``by``.

    Returns:
        The names of the dynamics in the model.

    Raises:
        ValueError: if nothing in the model is to be replaced, if something stands inside a layer of a ``Chain`` or in a
            connection, which know no time, or if a container has another ``dt``.
        TypeError: if ``by`` does not give dynamics.

    Warns:
        UserWarning: if a forward calls the function form of ``what``, which stays.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        >>> tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=2.0)
        replaced 1: 1
        ['1.dynamics']
        >>> tdn.Stepwise(model)(torch.zeros(8, 2, 1, 8, 8)).shape
        torch.Size([8, 2, 10])
    """
    check_model("replace", model)
    kinds = what if isinstance(what, tuple) else (what,) if isinstance(what, type) else ()
    if not all(isinstance(kind, type) for kind in kinds) or (
        not kinds and (isinstance(what, nn.Module) or not callable(what))
    ):
        raise TypeError(
            f"replace: expected a class of modules, a tuple of classes or a function of a module, got {what!r}; pass "
            "e.g. nn.ReLU"
        )
    chosen = (lambda module: isinstance(module, kinds)) if kinds else what
    forms = set().union(*(function_forms(kind) for kind in kinds))
    places, left = [], []
    for path, owner, inside in _owners(model):
        sites = call_sites(owner) if _has_own_forward(owner) else None
        calls, functions = sites if sites is not None else ({}, [])
        left += [f"{path or 'model'} ({type(owner).__name__})" for function in functions if _among(function, forms)]
        attributes = _attributes(owner, chosen, forms)
        if attributes and inside is not None:
            raise ValueError(
                f"replace: expected {_named(what)} as a layer of a Chain, got it at {path}.{attributes[0]}, inside a "
                f"{type(owner).__name__} which the {inside} runs without a state; use a Chain there too"
            )
        for name in attributes:
            places.append(_Place(owner, path, name, max(1, calls.get(name, 1))))
    if not places:
        text = f", and left the functions that are called in the forward of {', '.join(left)}" if left else ""
        raise ValueError(
            f"replace: expected {_named(what)} in {type(model).__name__}, found none{text}; name a class that is "
            "there (print the model), or rewrite that forward with modules"
        )
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    made = [
        [_made(by, arguments, unfold and not place.keeps_time, like) for _ in range(place.calls)] for place in places
    ]
    _check_clocks(places, made)
    names = []
    for place, modules in zip(places, made, strict=True):
        new = modules[0] if place.calls == 1 else PerCall(modules, place.owner)
        new.train(place.owner.training)
        if isinstance(place.owner, Chain):
            place.owner[list(place.owner._modules).index(place.name)] = new
        else:
            setattr(place.owner, place.name, new)
        if isinstance(place.owner, Network):
            # With dynamics for its connection a network has a delay of at least a step.
            place.owner.delay = place.owner._delay
        _stay_off_the_fast_path(place.owner)
        prefix = f"{place.path}.{place.name}" if place.path else place.name
        inner = [prefix] if place.calls == 1 else [f"{prefix}.{index}" for index in range(place.calls)]
        names += [f"{name}.dynamics" if unfold and not place.keeps_time else name for name in inner]
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder) and _holds_replaced(module, places):
            module.use_nested_tensor = module.enable_nested_tensor = False
    if verbose:
        print(f"replaced {len(names)}: {', '.join(name.removesuffix('.dynamics') for name in names)}")
    if left:
        warnings.warn(
            f"replace: left the calls of functions in the forward of {', '.join(left)}; rewrite them with modules",
            stacklevel=2,
        )
    return names


def _owners(model: nn.Module) -> Iterator[tuple[str, nn.Module, str | None]]:
    """All modules once, with their first names and the container that runs them without a state, if one does.

    Of dynamics only the containers count: what is in the others is part of an equation.
    """
    seen: set[nn.Module] = set()

    def walk(module: nn.Module, path: str, inside: str | None) -> Iterator[tuple[str, nn.Module, str | None]]:
        container = isinstance(module, (Chain, Network))
        if module in seen or (isinstance(module, (Dynamics, Unfolded)) and not container):
            return
        seen.add(module)
        yield path, module, None if container else inside
        for name, child in module._modules.items():
            if child is not None:
                around = type(module).__name__ if container else inside
                yield from walk(child, f"{path}.{name}" if path else name, around)

    return walk(model, "", None)


def _check_clocks(places: list[_Place], made: list[list[nn.Module]]) -> None:
    """Raise, before anything is changed, if what is to go into a container has another time step."""
    for place, (new, *_) in zip(places, made, strict=True):
        if not place.keeps_time:
            continue
        steps = {part.dt for part in place.owner._modules.values() if isinstance(part, Dynamics)} - {new.dt}
        if steps:
            raise ValueError(
                f"replace: expected dynamics with the dt of the {type(place.owner).__name__} at {place.path or 'top'}, "
                f"{steps.pop():g} ms, got {new.dt:g} ms; pass dt="
            )


def _has_own_forward(owner: nn.Module) -> bool:
    """Whether a forward is to be read: torch's own layers, and containers, call no child twice."""
    containers = isinstance(owner, (Chain, Network)) or type(owner).__module__.startswith("torch.nn")
    return any(child is not None for child in owner._modules.values()) and not containers


def _attributes(owner: nn.Module, chosen: Callable[[nn.Module], bool], forms: set) -> list[str]:
    modules = [
        name
        for name, child in owner._modules.items()
        if child is not None and not isinstance(child, (Dynamics, Unfolded)) and chosen(child)
    ]
    return modules + [name for name, value in vars(owner).items() if callable(value) and _among(value, forms)]


def _among(function: object, forms: set) -> bool:
    try:
        return function in forms
    except TypeError:  # not hashable
        return False


def _made(
    by: Dynamics | Callable[..., Dynamics], arguments: dict[str, Any], unfold: bool, like: Tensor | None
) -> nn.Module:
    if isinstance(by, Dynamics) and arguments:
        raise TypeError(
            f"replace: expected no {', '.join(arguments)} beside a ready {type(by).__name__}, of which each place gets "
            "a copy; pass the class and its arguments"
        )
    # An argument may be a module, such as an adaptation, of which each place also wants its own.
    dynamics = copy.deepcopy(by) if isinstance(by, Dynamics) else by(**copy.deepcopy(arguments))
    if not isinstance(dynamics, Dynamics):
        raise TypeError(f"replace: expected dynamics, got {type(dynamics).__name__}; pass e.g. tdn.LIF")
    if like is not None:
        # A narrower type than float32 would round the time constants for nothing.
        dynamics.to(like.device, torch.float64 if like.dtype == torch.float64 else None)
    return Unfolded(dynamics) if unfold else dynamics


def _stay_off_the_fast_path(owner: nn.Module) -> None:
    # The fast path of torch knows two activations by this number and would compute one of them.
    if hasattr(owner, "activation_relu_or_gelu"):
        owner.activation_relu_or_gelu = 0


def _holds_replaced(encoder: nn.Module, places: list[_Place]) -> bool:
    owners = {place.owner for place in places}
    return any(module in owners for module in encoder.modules())


def _named(what: Wanted) -> str:
    kinds = what if isinstance(what, tuple) else (what,)
    return " or ".join(getattr(kind, "__name__", repr(kind)) for kind in kinds)
