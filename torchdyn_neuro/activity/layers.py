"""Where in a model the spikes are, and how to look at its layers while it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.context import real_steps
from ..core.dynamics import Dynamics
from ..core.lengths import check_lengths, fill_padding
from ..core.surrogate import Surrogate
from ..core.torch_private import NormBase


def spikes(layer: nn.Module) -> bool:
    """Whether the layer puts out spikes: a cell with a surrogate, also inside a container."""
    return isinstance(getattr(spiking_cell(layer), "surrogate", None), Surrogate)


def spiking_cell(layer: nn.Module) -> nn.Module:
    """The cell whose output a layer puts out: itself, the last of a chain, the neuron of a recurrent layer."""
    if isinstance(layer, Chain):
        return spiking_cell(layer[-1])
    neuron = getattr(layer, "neuron", None)
    return spiking_cell(neuron) if isinstance(layer, Dynamics) and isinstance(neuron, nn.Module) else layer


def spiking_layers(model: nn.Module) -> dict[str, Dynamics]:
    """The layers of a model that put out spikes, by name: cells, and containers such as ``Recurrent`` as a whole.

    The layers of a :class:`Chain` count one by one, unless a :class:`Plastic` is among them. One that stands in several
    places has the first name.
    """
    found: dict[Dynamics, str] = {}
    for name, layer in _outermost(model, ""):
        if spikes(layer):
            found.setdefault(layer, name)
    return {name: layer for layer, name in found.items()}


def _outermost(module: nn.Module, name: str) -> Iterator[tuple[str, Dynamics]]:
    # A chain that learns runs step by step, as a whole.
    whole = not isinstance(module, Chain) or module.learns
    if isinstance(module, Dynamics) and whole:
        yield name, module
        return
    for child_name, child in module._modules.items():
        if child is not None:
            yield from _outermost(child, f"{name}.{child_name}" if name else child_name)


def fired(y: Tensor) -> tuple[Tensor, int]:
    """How many spikes of each neuron are in ``y`` [T, B, \\*], and in how many steps of all rows, padding apart."""
    lengths = real_steps()
    if lengths is not None:
        lengths = check_lengths("activity", lengths, y.shape[1], len(y), least=0)
    steps = len(y) * y.shape[1] if lengths is None else int(lengths.sum())
    return fill_padding(y.detach(), lengths).flatten(0, 1).sum(0, dtype=torch.float64), steps


def steps_per_spike(layer: Dynamics) -> float:
    """How many steps a cell takes at least from one spike to the next."""
    return 1 + round(getattr(spiking_cell(layer), "t_ref", 0.0) / layer.dt)


@contextmanager
def hooked(hooks: list[Callable[[], torch.utils.hooks.RemovableHandle]]) -> Iterator[None]:
    """Put hooks on modules for a while; each function puts one and returns its handle."""
    handles = [put() for put in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Run a model without a trace: no gradient, no running statistics, no dropout, the same random numbers each time.

    Norms over the batch that are in training mode still normalize by the batch, as the first step of training does.

    Yields:
        A function that puts the random number generators back to where they were on entry.
    """
    training = {module: module.training for module in model.modules()}
    norms = [module for module, on in training.items() if on and isinstance(module, NormBase)]
    before = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers(recurse=False)]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    for module in training:
        module.training = module in norms
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            start = torch.get_rng_state(), [torch.cuda.get_rng_state(device) for device in devices]

            def rewind() -> None:
                torch.set_rng_state(start[0])
                for device, state in zip(devices, start[1], strict=True):
                    torch.cuda.set_rng_state(state, device)

            yield rewind
    finally:
        for module, on in training.items():
            module.training = on
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
