"""Whether tensors hold numbers, all of them on one device."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ..core.tensors import readable


def check_placed(owner: str, what: str, tensors: Iterable[Tensor]) -> torch.device | None:
    """The device of tensors, if there are any.

    Args:
        owner: who looks at them, for messages.
        what: they are, for messages.
        tensors: any.

    Raises:
        ValueError: if one has no numbers, as on the meta device, or they lie on several devices.
    """
    device = None
    for tensor in tensors:
        if is_lazy(tensor):
            continue
        if not readable(tensor):
            raise ValueError(
                f"{owner}: expected {what} with numbers, got one on the {tensor.device.type} device or a fake, which "
                "has none; put it on a real device (of a module: to_empty(), then load its values)"
            )
        # A single number goes along with tensors of any device.
        if not tensor.ndim:
            continue
        if device is not None and tensor.device != device:
            raise ValueError(
                f"{owner}: expected {what} on one device, got {device} and {tensor.device}; move them with .to()"
            )
        device = tensor.device
    return device
