"""What a cell holds, on the CPU for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@contextmanager
def on_cpu(module: M) -> Iterator[M]:
    """The module itself with its parameters and buffers on the CPU, where its step is recorded.

    They are put back as they were. A copy would do, but what is known of a module is not known of its copies.
    """
    back: list[tuple[Callable, tuple]] = []
    for part in module.modules():
        for parameter in part._parameters.values():
            if parameter is not None and parameter.device.type != "cpu":
                back.append((setattr, (parameter, "data", parameter.data)))
                parameter.data = parameter.data.cpu()
        for name, buffer in part._buffers.items():
            if isinstance(buffer, torch.Tensor) and buffer.device.type != "cpu":
                back.append((part._buffers.__setitem__, (name, buffer)))
                part._buffers[name] = buffer.cpu()
    try:
        yield module
    finally:
        for put, arguments in back:
            put(*arguments)
