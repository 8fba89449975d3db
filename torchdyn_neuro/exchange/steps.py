"""What a model does, layer by layer: a graph of layers that take frames."""

import copy
import operator
from typing import NamedTuple

import torch
from torch import fx, nn

from ..conversion.folding import fold
from ..core.chain import Chain
from ..core.quantities import Parametrized
from ..core.stepwise import Stepwise
from ..layers.in_order import InOrder
from ..layers.spiking_dropout import SpikingDropout

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, SpikingDropout)
"""Layers that change nothing in use, when training is over."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Step(NamedTuple):
    """A layer: its name, the layer itself (``None`` for the input), and the names of the steps it takes the sum of."""

    name: str
    layer: nn.Module | None
    inputs: tuple[str, ...] = ()


class _OneLevel(fx.Tracer):
    """Traces one forward; all modules in it are leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def steps_of(owner: str, model: nn.Module, first: str = "input") -> tuple[list[Step], tuple[str, ...]]:
    """The steps of a model, beginning with its input, and the names of those whose sum it gives.

    Args:
        owner: who asks, for messages.
        model: a layer, layers in order, or a module whose forward passes tensors from layer to layer and adds them.
        first: name of the input.

    Raises:
        ValueError: if torch.fx cannot follow a forward, or there is a batch norm that cannot be folded.
    """
    steps = [Step(first, None)]
    result = _expand(owner, steps, "", model, (first,), leading=2)
    return _without_norms(owner, steps, result), result


def _expand(
    owner: str, steps: list[Step], name: str, module: nn.Module, inputs: tuple[str, ...], leading: int
) -> tuple[str, ...]:
    """Add the steps of a module; ``leading`` axes stand in front of its frames: time and batch, or the batch alone."""
    if isinstance(module, NOTHING):
        return inputs
    if isinstance(module, Stepwise):
        return _expand(owner, steps, name, module.module, inputs, leading=1)
    if isinstance(module, (Chain, nn.Sequential, InOrder)):
        within = 1 if isinstance(module, Chain) else leading
        parts = list(module) if not isinstance(module, InOrder) else list(module.children())
        # Not the names of children(), which leave out a module that stands in two places.
        for child, part in zip(module._modules, parts, strict=True):
            inputs = _expand(owner, steps, _joined(name, child), part, inputs, within)
        return inputs
    if isinstance(module, Parametrized) or not list(module.children()) or hasattr(module, "weight"):
        name = _free(name or type(module).__name__.lower(), steps)
        steps.append(Step(name, _of_frames(owner, name, module, leading), inputs))
        return (name,)
    return _follow(owner, steps, name, module, inputs, leading)


def _follow(
    owner: str, steps: list[Step], name: str, module: nn.Module, inputs: tuple[str, ...], leading: int
) -> tuple[str, ...]:
    """Add the steps of a forward that torch.fx can read."""
    try:
        nodes = list(_OneLevel().trace(module).nodes)
    except Exception as error:  # whatever the model's own code does with a stand-in for a tensor
        raise ValueError(
            f"{owner}: expected a forward that only passes tensors from layer to layer and adds them, got "
            f"{type(module).__name__}, which torch.fx cannot follow ({error}); use a Chain, or export a part"
        ) from error
    known: dict[fx.Node, tuple[str, ...]] = {}
    for node in nodes:
        given = [known[value] for value in node.args if isinstance(value, fx.Node)]
        if node.op == "placeholder" and not known:
            known[node] = inputs
        elif node.op == "call_module" and len(node.args) == len(given) == 1 and not node.kwargs:
            child = module.get_submodule(str(node.target))
            known[node] = _expand(owner, steps, _joined(name, str(node.target)), child, given[0], leading)
        elif node.target in SUMS and len(node.args) == len(given) == 2 and not node.kwargs:
            known[node] = given[0] + given[1]
            if len(set(known[node])) < len(known[node]):
                raise _refusal(owner, module, "a tensor added to itself, for which a graph has one edge")
        elif node.op == "output" and len(given) == 1:
            return given[0]
        else:
            raise _refusal(owner, module, f"{getattr(node.target, '__name__', node.target)}(...)")
    raise _refusal(owner, module, "no output")


def _refusal(owner: str, module: nn.Module, got: str) -> ValueError:
    return ValueError(
        f"{owner}: expected a forward that only passes tensors from layer to layer and adds them, got {got} in "
        f"{type(module).__name__}; make it a layer, or export a part"
    )


def _of_frames(owner: str, name: str, layer: nn.Module, leading: int) -> nn.Module:
    """The layer for frames [B, \\*], where it was for sequences [T, B, \\*]."""
    if leading == 1 or not isinstance(layer, nn.Flatten):
        return layer
    first, last = (at if at < 0 else at - 1 for at in (layer.start_dim, layer.end_dim))
    if layer.start_dim in (0, 1) or layer.end_dim in (0, 1):
        raise ValueError(
            f"{owner}: expected frames to be flattened, got {name!r} which flattens time or batch; start at dimension 2"
        )
    return nn.Flatten(first, last)


def _without_norms(owner: str, steps: list[Step], result: tuple[str, ...]) -> list[Step]:
    """The steps with each batch norm folded into a copy of the weights in front of it."""
    places = {step.name: index for index, step in enumerate(steps)}
    uses = [name for step in steps for name in step.inputs] + list(result)
    found = list(steps)
    for index, step in enumerate(steps):
        if not isinstance(step.layer, NORMS):
            continue
        place = places[step.inputs[0]]
        front = found[place].layer
        alone = len(step.inputs) == 1 and uses.count(step.inputs[0]) == 1
        if not alone or not isinstance(front, (nn.Linear, nn.Conv1d, nn.Conv2d)) or step.layer.running_mean is None:
            raise ValueError(
                f"{owner}: expected batch norms with running statistics right behind a linear layer or a convolution, "
                f"into whose weights they go, got {step.name!r} elsewhere; move it, or leave it out"
            )
        found[place] = found[place]._replace(layer=_folded(front, step.layer))
        found[index] = step._replace(layer=nn.Identity())
    return found


def _folded(front: nn.Module, norm: nn.Module) -> nn.Module:
    front = copy.deepcopy(front)
    fold(front, norm)
    return front


def _joined(name: str, child: str) -> str:
    # Names of modules have no dots in them, and other programs make modules of the nodes.
    return f"{name}_{child}" if name else child.replace(".", "_")


def _free(name: str, steps: list[Step]) -> str:
    taken, free, count = {step.name for step in steps} | {"output"}, name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
