"""What a network of ReLUs does, call by call, in the words of a few kinds of steps."""

import copy
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ..core.dynamics import Dynamics

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RECTIFIERS = (nn.ReLU, nn.ReLU6)
POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
KNOWN = (*LINEAR, *NORMS, *RECTIFIERS, *POOLS, *NOTHING, nn.MaxPool2d, nn.Flatten)

FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    functional.relu: lambda inplace=False: nn.ReLU(),
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    functional.relu6: lambda inplace=False: nn.ReLU6(),
    torch.flatten: lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim),
    "flatten": lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim),
    functional.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.dropout: lambda *args, **options: nn.Identity(),
}
"""Functions and methods, and the layers that do the same."""
SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")


class _Tracer(fx.Tracer):
    """Does not look into what is refused by its name."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Dynamics) or super().is_leaf_module(m, module_qualified_name)


class Step(NamedTuple):
    """One call: its name, the layer (``None`` for a sum, or for the input), and the names of what it is given."""

    name: str
    layer: nn.Module | None
    inputs: tuple[str, ...]


def steps_of(model: nn.Module) -> tuple[list[Step], str]:
    """The calls of a model in order, beginning with its input, and the name of what it returns.

    Layers are copies in evaluation mode; one that is called twice makes two.

    Raises:
        ValueError: if the code cannot be followed, or holds what no spiking neuron can do.
    """
    for name, part in model.named_modules():
        if isinstance(part, (*LINEAR, *NORMS)) and isinstance(part.__dict__.get("weight"), Tensor):
            raise ValueError(
                f"convert: expected layers that hold their weights, got {name or 'the model'}, a {type(part).__name__} "
                "whose weight a hook computes; keep it as it is now: torch.nn.utils.prune.remove(layer, 'weight'), or "
                "remove_weight_norm(layer)"
            )
    model = copy.deepcopy(model).eval()
    for part in list(model.modules()):
        if parametrize.is_parametrized(part):
            _keep_values(part)
    # What is traced is never a leaf itself.
    model = nn.Sequential(model) if isinstance(model, KNOWN) else model
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever the model's own code does with a stand-in for a tensor
        raise ValueError(
            f"convert: expected a model whose forward only passes tensors from layer to layer, got "
            f"{type(model).__name__}, which torch.fx cannot follow ({error}); take an nn.Sequential, or convert a part"
        ) from error
    modules, found, result = dict(model.named_modules()), [], ""
    for node in graph.nodes:
        if node.op == "output":
            result = _given(node, node.args[:1])[0]
        elif node.op == "placeholder":
            if found:
                raise ValueError(f"convert: expected one input, got a second one, {node.name}; convert a part")
            found.append(Step(node.name, None, ()))
        else:
            found.append(_step(node, modules))
    return found, result


@torch.no_grad()
def _keep_values(layer: nn.Module) -> None:
    """Let a layer hold what its parametrizations compute; they would undo whatever is folded into it."""
    # Torch's own removal would take the weight from all copies, which share one class.
    values = {name: getattr(layer, name).clone() for name in layer.parametrizations}
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value))


def _step(node: fx.Node, modules: dict[str, nn.Module]) -> Step:
    if node.op == "call_module":
        layer = modules[node.target]
        if not isinstance(layer, KNOWN) or (isinstance(layer, nn.MaxPool2d) and layer.return_indices):
            raise _refusal(node, f"{node.target}, a {type(layer).__name__}")
        return Step(node.name, copy.deepcopy(layer), _given(node, node.args))
    if node.op in ("call_function", "call_method"):
        if node.target in SUMS and len(node.args) == 2 and not node.kwargs:
            return Step(node.name, None, _given(node, node.args))
        make = FUNCTIONS.get(node.target)
        if make is not None:
            try:
                return Step(node.name, make(*node.args[1:], **_options(node)), _given(node, node.args[:1]))
            except TypeError:
                pass
    raise _refusal(node, f"{getattr(node.target, '__name__', node.target)}(...)")


def _options(node: fx.Node) -> dict[str, Any]:
    # Functions name this argument, and mean by it what they do anyway.
    return {key: value for key, value in node.kwargs.items() if key not in ("training", "return_indices") or value}


def _given(node: fx.Node, values: Any) -> tuple[str, ...]:
    if not all(isinstance(value, fx.Node) for value in values):
        raise _refusal(node, f"{node.name} of {values}, not of tensors alone")
    return tuple(value.name for value in values)


def _refusal(node: fx.Node, got: str) -> ValueError:
    return ValueError(
        "convert: expected linear layers and convolutions, with batch norms behind them, ReLUs, average and 2d max "
        f"pooling, flattening, dropout and sums, got {got}; replace it and train again, or convert the part in front"
    )
