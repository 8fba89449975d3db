"""A stand-in for CUDA graphs on a CPU: operations are written down while they run, and replayed at their addresses.

As on a card, what is recorded is what ran on tensors, not the Python around it: a decision that was taken, a number
that was read on the way and an address that was handed out stay what they were. What a card refuses while a graph is
recorded, to read a number from it, is refused here too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from torchdyn_neuro.fused.cpp.kernels import CppKernels
from torchdyn_neuro.fused.recurrent import network_steps
from torchdyn_neuro.sparse import event_product

_READS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"}
_ONLY_RESERVE = {"aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided"}


class Tape(TorchDispatchMode):
    """Writes down operations while it is in force."""

    def __init__(self):
        super().__init__()
        self.steps: list[Callable[[], None]] = []
        self.kept: list[Any] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split(".")[0]
        if name in _READS:
            raise RuntimeError("operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        # Nothing that has an address may be given back.
        self.kept.append((args, kwargs, results))
        if name not in _ONLY_RESERVE:
            self.steps.append(lambda: _refresh(results, func(*args, **kwargs)))
        return results


def _refresh(places: Any, fresh: Any) -> None:
    pairs = zip(tree_leaves(places), tree_leaves(fresh), strict=True)
    for place, tensor in pairs:
        if isinstance(place, Tensor) and place.data_ptr() != tensor.data_ptr():
            place.detach().copy_(tensor)


class Graph:
    """In the place of ``torch.cuda.CUDAGraph``."""

    recorded: int = 0
    replayed: int = 0
    tape: Tape

    def replay(self) -> None:
        Graph.replayed += 1
        with torch.no_grad():
            for step in self.tape.steps:
                step()


class Stream:
    """In the place of ``torch.cuda.Stream``."""

    cuda_stream, device = 0, "cpu"
    current: "Stream"
    generator_is_recorded = False

    def wait_stream(self, other: "Stream") -> None:
        """Nothing runs beside anything."""


Stream.current = Stream()


@contextmanager
def _on(stream: Stream) -> Iterator[None]:
    before, Stream.current = Stream.current, stream
    try:
        yield
    finally:
        Stream.current = before


class _Recording:
    """In the place of ``torch.cuda.graph``, also in what it leaves behind where a recording fails.

    Then torch's ends with an error of its own, before it puts back the stream and the generator of random numbers.
    """

    def __init__(self, graph: Graph, *, stream: Stream, capture_error_mode: str):
        self.graph, self.stream = graph, stream

    def __enter__(self) -> None:
        self.before, Stream.current = Stream.current, self.stream
        Stream.generator_is_recorded = True
        self.graph.tape = Tape()
        self.graph.tape.__enter__()

    def __exit__(self, kind: type | None, *rest: Any) -> None:
        self.graph.tape.__exit__(kind, *rest)
        if kind is not None:
            raise RuntimeError("operation failed due to a previous error during capture")
        Stream.current, Stream.generator_is_recorded = self.before, False
        Graph.recorded += 1


def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Graph]:
    """Put the stand-in in the place of torch's graphs, and write down the C++ loops too; its counts start anew."""
    Graph.recorded = Graph.replayed = 0
    cuda = torch.cuda
    for name, value in {"CUDAGraph": Graph, "graph": _Recording, "Stream": Stream}.items():
        monkeypatch.setattr(cuda, name, value)
    monkeypatch.setattr(cuda, "current_stream", lambda device=None: Stream.current)
    monkeypatch.setattr(cuda, "stream", _on)
    for name in ("forward", "backward"):
        monkeypatch.setattr(CppKernels, name, _written_down(getattr(CppKernels, name)))
    # What gathers the columns of spikes decides by the numbers that it reads; there is nothing like it on a card.
    monkeypatch.setattr(event_product, "run_kernel", lambda *arguments: False)
    monkeypatch.setattr(network_steps, "all_finite", lambda tensor: False)
    return Graph


def _written_down(run: Callable) -> Callable:
    def written_down(*arguments: Any) -> None:
        run(*arguments)
        tape = torch.utils._python_dispatch._get_current_dispatch_mode()
        if isinstance(tape, Tape):
            tape.steps.append(lambda: run(*arguments))

    return written_down
