"""The fused loops that are known, each by a key: the hash of its graph and its language."""

import hashlib
from collections.abc import Iterable

from ..cpp.kernels import CppKernels
from ..record.graph import StepGraph
from ..triton.kernels import TritonKernels
from .loops import Loop

_KERNELS = {"cpp": CppKernels, "triton": TritonKernels}
_loops: dict[str, Loop] = {}


def loop_key(graph: StepGraph, language: str) -> str:
    """Register the loop of a graph, if it is new, and return the key by which the operators know it."""
    key = hashlib.sha256(f"{language}\n{graph.describe()}".encode()).hexdigest()[:24]
    if key not in _loops:
        _loops[key] = Loop(graph, _KERNELS[language])
    return key


def get_loop(key: str) -> Loop:
    """The loop that was registered under ``key``."""
    return _loops[key]


def compile_loops(keys: Iterable[str], *, training: bool) -> None:
    """Compile ahead the loops of one language; raises ``CompilerUnavailableError``."""
    kernels = [get_loop(key).kernels for key in keys]
    if kernels:
        kernels[0].compile(kernels, training=training)


def unavailable(language: str) -> str | None:
    """Why nothing can be compiled for a language on this machine, if that is so."""
    return _KERNELS[language].unavailable()
