"""Every cell of the library that fuses, with an input that makes it spike."""

import inspect
from collections.abc import Iterator

import torch
from torch import Tensor

import torchdyn_neuro
from torchdyn_neuro.core import Dynamics
from torchdyn_neuro.fused.dispatch import Fused, fuse, signature
from torchdyn_neuro.fused.trace import NotPointwise


def cells() -> dict[str, Dynamics]:
    """An instance, with its default arguments, of each class that has some and takes a current or spikes."""
    found = {}
    for cls in _subclasses(Dynamics):
        if not cls.__module__.startswith("torchdyn_neuro.") or inspect.isabstract(cls):
            continue
        needed = [
            argument
            for argument in list(inspect.signature(cls.__init__).parameters.values())[1:]
            if argument.default is argument.empty
            and argument.kind not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL)
        ]
        if needed or cls.initial_state is Dynamics.initial_state or cls.__name__.startswith("_"):
            continue
        try:
            cell = cls()
            cell.scan(torch.zeros(1, 1, 1))
        except (TypeError, ValueError, NotImplementedError):
            continue  # a base class or a container, which needs arguments, or a cell that takes a tuple of inputs
        found[cls.__name__] = cell
    return found


def fused_cells(language: str, dtype: torch.dtype) -> Iterator[tuple[str, Dynamics, Fused]]:
    """Each of the cells that fuses, with its recorded step."""
    for name, cell in cells().items():
        cell = cell.to(dtype)
        x = drive(dtype)
        try:
            yield name, cell, fuse(cell, signature(x, cell.initial_state(x[0].detach()), None), language)
        except NotPointwise:
            continue


def drive(dtype: torch.dtype) -> Tensor:
    """Input [9, 2, 3] of pulses and a current, with a gradient: one segment of the backward pass, and one step."""
    generator = torch.Generator().manual_seed(0)
    pulses = (torch.rand(9, 2, 3, generator=generator, dtype=dtype) < 0.3).to(dtype)
    return (pulses + 2 * torch.rand(9, 2, 3, generator=generator, dtype=dtype)).requires_grad_()


def _subclasses(cls: type) -> Iterator[type]:
    assert torchdyn_neuro.__version__  # imported so that every cell is defined
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)
