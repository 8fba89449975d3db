"""Which parameters have a learning rate and a weight decay of their own."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ..core.checks import positive_number

REST = "rest"
"""The name of the group of all parameters that no other group takes."""


class ParameterGroup:
    r"""Parameters with a learning rate and a weight decay of their own, chosen by name, class or shape.

    A parameter belongs to the group if all that is given here holds for it.

    Args:
        names: it has one of these in its dotted name: ``delay`` takes ``layers.0.delay.raw``, and ``layers.0`` all that
            is in there.
        kinds: the module that holds it is of a class of this name, or derived from one: ``Constrained`` takes every
            learned quantity, ``Linear`` the parameters of linear layers.
        vectors: it has at most one axis, as biases and the scales of norms have.
        lr: the learning rate, at its peak where a schedule moves it; that of the optimiser if omitted. Of a learned
            quantity it is a step of ``raw``: relative for time constants, in logits for what has two bounds.
        weight_decay: that of the optimiser if omitted. Of a learned quantity it pulls towards the value at the start.
        optional: take it that a model has no such parameters.

    Raises:
        ValueError: if nothing is chosen by, or ``lr`` or ``weight_decay`` is not usable.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 4), tdn.LIF(tdn.Learned(20.0)))
        >>> group = ParameterGroup(kinds=["Constrained"], lr=0.1)
        >>> [name for name, holder, parameter in named(model) if group.takes(name, holder, parameter)]
        ['1.tau_mem.raw']
    """

    def __init__(
        self,
        *,
        names: Sequence[str] = (),
        kinds: Sequence[str] = (),
        vectors: bool = False,
        lr: float | None = None,
        weight_decay: float | None = None,
        optional: bool = False,
    ):
        for key, given in (("names", names), ("kinds", kinds)):
            if isinstance(given, str) or not all(isinstance(each, str) and each for each in given):
                raise ValueError(f"ParameterGroup: expected {key} to be a list of names, got {given!r}; write [NAME]")
        if not (names or kinds or vectors):
            raise ValueError(
                "ParameterGroup: expected names, kinds or vectors, by which parameters are chosen, got none; give one, "
                "or set optimizer.lr, which holds for all"
            )
        self.names, self.kinds, self.vectors, self.optional = tuple(names), tuple(kinds), vectors, optional
        self.settings: dict[str, float] = {}
        for key, value in (("lr", lr), ("weight_decay", weight_decay)):
            if value is not None:
                self.settings[key] = positive_number("ParameterGroup", key, value, zero=True)

    def takes(self, name: str, holder: nn.Module, parameter: nn.Parameter) -> bool:
        """Whether a parameter belongs to the group; ``holder`` is the module of which it is an attribute."""
        if self.names and not any(f".{each}." in f".{name}." for each in self.names):
            return False
        if self.kinds and not {kind.__name__ for kind in type(holder).__mro__} & set(self.kinds):
            return False
        return parameter.ndim < 2 or not self.vectors


def named(*modules: nn.Module) -> Iterable[tuple[str, nn.Module, nn.Parameter]]:
    """Names, holders and parameters, each once."""
    seen: set[nn.Parameter] = set()
    for module in modules:
        for path, holder in module.named_modules():
            for name, parameter in holder.named_parameters(recurse=False):
                if parameter not in seen:
                    seen.add(parameter)
                    yield f"{path}.{name}" if path else name, holder, parameter


def grouped(
    parameters: Iterable[tuple[str, nn.Module, nn.Parameter]],
    groups: Mapping[str, ParameterGroup],
    optimizer: Callable[..., Optimizer],
) -> list[dict[str, Any]]:
    """The parameters as torch's optimisers take them: in one group for each combination of settings, with a ``name``.

    Args:
        parameters: names, holders and parameters.
        groups: by name. Where several take a parameter, each setting is that of the last one that has it.
        optimizer: what they are for: a class, or a partial call of one.

    Raises:
        ValueError: if a group that is not optional takes none, or sets what the optimiser does not know.
    """
    settings = {name: _known(name, group.settings, optimizer) for name, group in groups.items()}
    found: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {(): []}
    names: dict[tuple[tuple[str, float], ...], set[str]] = {(): set()}
    reached: set[str] = set()
    for name, holder, parameter in parameters:
        takers = [key for key, group in groups.items() if group.takes(name, holder, parameter)]
        reached.update(takers)
        combined = tuple(sorted({k: v for key in takers for k, v in settings[key].items()}.items()))
        found.setdefault(combined, []).append(parameter)
        names.setdefault(combined, set()).update(takers)
    for name, group in groups.items():
        if name not in reached and not group.optional:
            chosen = {key: getattr(group, key) for key in ("names", "kinds", "vectors") if getattr(group, key)}
            raise ValueError(
                f"groups.{name}: expected parameters with {chosen}, found none in the model; change it, or set "
                f"groups.{name}.optional=true"
            )
    result: list[dict[str, Any]] = []
    for combined, members in found.items():
        name = "+".join(key for key in groups if combined and key in names[combined]) or REST
        if members:
            result.append({"params": members, "name": name, **dict(combined)})
    return result


def _known(name: str, settings: Mapping[str, float], optimizer: Callable[..., Optimizer]) -> dict[str, float]:
    """The settings of a group that the optimiser knows; a weight decay of zero needs none."""
    kind = getattr(optimizer, "func", optimizer)
    taken = inspect.signature(kind).parameters
    for key, value in settings.items():
        if key not in taken and not (key == "weight_decay" and value == 0):
            raise ValueError(
                f"groups.{name}: expected settings of {getattr(kind, '__name__', kind)}, got {key}={value:g}, which it "
                "does not have; leave it out, or choose another optimizer"
            )
    return {key: value for key, value in settings.items() if key in taken}
