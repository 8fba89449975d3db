"""What lies on a device between two runs: the synapses of a network, and what its steps were recorded in."""

from weakref import WeakKeyDictionary

import torch

from ..layout import Layout
from ..packed import Packed
from . import synapses
from .engine import CudaEngine
from .loaded import Loaded

_kept: "WeakKeyDictionary[Packed, CudaEngine]" = WeakKeyDictionary()


def taken(packed: Packed, layout: Layout, loaded: Loaded, dtype: torch.dtype, device: torch.device) -> CudaEngine:
    """An engine for a run: that of the run before, if nobody else has it and it fits, or a new one."""
    rows = synapses.on_device(packed, layout, loaded.groups, device)
    engine = _kept.pop(packed, None)
    if engine is not None and engine.synapses is rows and engine.kind == loaded.kind:
        engine.begin(loaded)
        return engine
    del engine
    return CudaEngine(layout, packed.delays[0], rows, loaded, dtype, device)


def give_back(packed: Packed, engine: object) -> None:
    """Keep an engine after a run, if it is one of a device."""
    if isinstance(engine, CudaEngine):
        _kept[packed] = engine


def forget(packed: Packed) -> None:
    """Give the memory of the device back."""
    _kept.pop(packed, None)
    synapses.forget(packed)
