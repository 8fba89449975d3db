"""Arguments of event-driven simulation: taken from what users have at hand, or refused in words."""

from typing import Any

import torch
from torch import Tensor

from ..core.state import State, describe, leaves, like_state


def has_precision(given: Any) -> bool:
    """Whether it is a tensor or an array of floats, whose dtype is meant; numbers and integers fit into any."""
    return getattr(given, "dtype", None) is not None and torch.as_tensor(given).is_floating_point()


def as_tensor(owner: str, name: str, given: Any, dtype: torch.dtype | None = None) -> Tensor:
    """``given``, numbers, an array or a tensor, as a tensor of floats; those without a dtype of floats get ``dtype``.

    Args:
        owner, name: for messages.
        given: what was passed.
        dtype: the default dtype if omitted.

    Raises:
        TypeError: if it is none of numbers, or complex.
    """
    dtype = dtype or torch.get_default_dtype()
    try:
        tensor = torch.as_tensor(given, dtype=None if hasattr(given, "dtype") else dtype)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{owner}: expected {name} to be a tensor or numbers, got {type(given).__name__}; pass a tensor"
        ) from None
    if tensor.is_complex():
        raise TypeError(f"{owner}: expected {name} to be real, got {tensor.dtype}; pass real numbers")
    return tensor if tensor.is_floating_point() else tensor.to(dtype)


def as_floats(owner: str, name: str, given: Any, like: Tensor) -> Tensor:
    """``given`` as a tensor in the dtype of ``like``, and on its device.

    Raises:
        TypeError: if it is a tensor or an array of floats in another dtype, or none of numbers.
        ValueError: if it is on another device.
    """
    tensor = as_tensor(owner, name, given, like.dtype)
    if has_precision(given) and torch.promote_types(tensor.dtype, torch.float32) != like.dtype:
        raise TypeError(
            f"{owner}: expected {name} in {like.dtype}, as the neurons, got {tensor.dtype}; convert the module "
            "(module.double(), module.float()) or the input"
        )
    if isinstance(given, Tensor) and tensor.device != like.device:
        raise ValueError(
            f"{owner}: expected {name} on {like.device}, as the neurons, got {tensor.device}; move one of them"
        )
    return tensor.to(like)


def as_current(owner: str, current: Any, like: Tensor) -> Tensor:
    """A constant current: one value, or those of neurons in the shape of ``like``.

    Raises:
        ValueError: if it is not finite, or does not broadcast to the neurons.
        TypeError: if it is in another dtype.
    """
    current = as_floats(owner, "current", current, like)
    finite(owner, "current", current)
    if current.ndim == 0:
        return current
    try:
        return current.expand(like.shape)
    except RuntimeError:
        raise ValueError(
            f"{owner}: expected a current that broadcasts to the neurons {tuple(like.shape)}, got shape "
            f"{tuple(current.shape)}; give one value or one for each neuron"
        ) from None


def finite(owner: str, name: str, tensor: Tensor) -> None:
    """Raise ``ValueError`` if a tensor holds NaN or infinity."""
    wrong = ~torch.isfinite(tensor.detach())
    if wrong.any():
        got = tensor.detach()[wrong].flatten()[0].item()
        raise ValueError(f"{owner}: expected {name} to be finite, got {got}; find out where it comes from")


def take_state(owner: str, expected: State, given: State) -> State:
    """``given``, also as plain tuples or lists, in the classes of ``expected``.

    Raises:
        ValueError: if structure, shapes or types differ, or it holds NaN or plus infinity.
    """
    try:
        taken = like_state(expected, given)
    except ValueError:
        raise ValueError(
            f"{owner}: expected a state {describe(expected)}, got {describe(given)}; pass a state that was handed back "
            "for the same number of neurons, or none to start at rest"
        ) from None
    for leaf in leaves(taken):
        # Minus infinity is a refractory period that never was.
        if (leaf.isnan() | (leaf == torch.inf)).any():
            raise ValueError(f"{owner}: expected a state of numbers, got NaN or infinity; find out where it comes from")
    return taken
