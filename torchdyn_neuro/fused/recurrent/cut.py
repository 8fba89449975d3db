"""A step with matrix products inside, cut at its products into what a loop over time runs."""

import functools
import hashlib
import threading

import torch

from ...native.compiler import CompilerUnavailableError
from ..operators.registry import get_loop
from ..record.graph import Node, StepGraph, ordered
from .network_native import Encoded, library, takes
from .program import Program, program_of

_cuts: dict[str, "Cut"] = {}


class Cut:
    """A graph with products, as the programs of its forward and its backward step.

    Args:
        key: by which :func:`get_cut` finds it.
        graph: the step.
        training: whether there is a backward step.
        language: of the segments.
    """

    def __init__(self, key: str, graph: StepGraph, training: bool, language: str):
        self.key, self.graph, self.language = key, graph, language
        results = *graph.next_states, *graph.outputs
        self.forward = program_of(graph, (*graph.inputs, *graph.states), results, language=language)
        self.products = tuple(self.forward.frames[p.target] for p in self.forward.products)
        self.carried = tuple(k for k, leaf in enumerate(graph.states) if training and leaf.dtype.is_floating_point)
        self.backward = self._backward() if training else None
        self.encoded = Encoded(self.forward, *([self.backward] if self.backward else []))
        self.alone = Encoded(self.forward)

    def _backward(self) -> Program:
        graph = self.graph
        given = (*graph.inputs, *graph.states, *graph.state_gradients, *graph.output_gradients)
        return program_of(graph, given, self.gradients, self.products, self.language)

    @property
    def gradients(self) -> tuple[Node, ...]:
        """The results of the backward step: what is left by states, inputs and parameters, then pairs of factors."""
        graph = self.graph
        groups = (graph.grad_states, graph.grad_inputs, graph.grad_parameters)
        single = [node for group in groups for node in group if node is not None]
        return (*single, *(node for _, *pair in graph.outers for node in pair))

    @functools.cached_property
    def dtype(self) -> torch.dtype:
        """The type of the matrices."""
        return self.products[0].dtype

    def compile(self) -> None:
        """Compile the segments, side by side; raises :class:`CompilerUnavailableError`."""
        failures: list[CompilerUnavailableError] = []

        def compile_one(key: str) -> None:
            try:
                get_loop(key).kernels.compile(training=False)
            except CompilerUnavailableError as error:
                failures.append(error)

        threads = [threading.Thread(target=compile_one, args=(key,)) for key in self.encoded.keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for failure in failures:
            raise failure
        if takes(self.encoded) and library(self.dtype) is None:
            raise CompilerUnavailableError("there is no C++ compiler")


def cut_of(graph: StepGraph, training: bool, language: str) -> Cut:
    """The cut of a graph, the same one for all layers whose step computes the same."""
    key = hashlib.sha256(f"{language} {training}\n{graph.describe()}".encode()).hexdigest()[:24]
    if key not in _cuts:
        _cuts[key] = Cut(key, graph, training, language)
    return _cuts[key]


def get_cut(key: str) -> Cut:
    """The cut of that key."""
    return _cuts[key]


def cut_parameters(graph: StepGraph) -> list[int]:
    """The numbers of the parameters that a step with products reads, or has a gradient for."""
    results = [*graph.next_states, *graph.outputs, *graph.grad_states, *graph.grad_inputs, *graph.grad_parameters]
    results += [node for _, *pair in graph.outers for node in pair]
    read = {*ordered(node for node in results if node is not None)}
    pairs = enumerate(zip(graph.parameters, graph.grad_parameters, strict=True))
    return [k for k, (leaf, gradient) in pairs if leaf in read or gradient is not None]
