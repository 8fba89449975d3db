"""What comes in from outside a model: what is no dense tensor is refused, with the way on."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn


def check_tensor(owner: str, value: Any, wanted: str = "a tensor [T, B, *]") -> None:
    """Raise ``TypeError`` if ``value`` is no dense tensor; the message says how to make it one.

    Args:
        owner: who takes it, for the message.
        value: what came.
        wanted: what it should be, for the message.
    """
    if isinstance(value, Tensor):
        if value.is_nested:
            raise TypeError(f"{owner}: expected {wanted}, got a nested one; pad it, e.g. x.to_padded_tensor(0.0)")
        if value.layout is not torch.strided:
            raise TypeError(f"{owner}: expected {wanted} that is dense, got {value.layout}; call x.to_dense() first")
        return
    kind, place = type(value).__name__, type(value).__module__
    if place.startswith("torch.fx"):
        way = "torch.fx traces no loop over time: make it a leaf of the Tracer (is_leaf_module), or use torch.export"
    elif place.startswith("numpy"):
        way = "pass torch.as_tensor(x)"
    else:
        way = "pass a tensor"
    raise TypeError(f"{owner}: expected {wanted}, got {kind}; {way}")


def check_numbers(layer: nn.Module, value: Tensor, owner: str | None = None) -> None:
    """Raise ``TypeError`` if a layer with floating-point weights gets whole numbers or truth values.

    Args:
        layer: the layer; one that looks up its rows by whole numbers, such as ``nn.Embedding``, takes them.
        value: its input.
        owner: who runs it, for the message.
    """
    if value.is_floating_point() or value.is_complex():
        return
    if any(isinstance(part, (nn.Embedding, nn.EmbeddingBag)) for part in layer.modules()):
        return
    if any(weight.is_floating_point() for weight in layer.parameters()):
        name = type(layer).__name__
        raise TypeError(
            f"{owner or name}: expected a floating-point input for {name}, got {value.dtype}; call x.float() first"
        )


def refuse_scripting(module: nn.Module) -> NoReturn:
    """For ``__prepare_scriptable__``, by which ``torch.jit.script`` asks a module for what it may compile."""
    raise TypeError(
        f"{type(module).__name__}: expected to run in Python, got torch.jit.script, which knows no trees of states; "
        "use torch.export, torch.compile or torch.jit.trace"
    )
