"""The fused loops of a graph: what a language must offer, and what is kept between forward and backward."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..plan.loops import BackwardPlan, ForwardPlan, plan_backward, plan_forward
from ..record.graph import StepGraph
from ..record.repeat import expanded

_SHORTEST_SEGMENT = 8
_CHECKPOINTS = 0.4  # states saved for the backward pass, in tensors [T, B, *]: with one input, 1.4 in all


class Kernels(ABC):
    """The two loops of a graph in one language; built at once, compiled when first called.

    Sequences are [T, B, \\*], contiguous but for the first axis. ``inners`` says how a parameter lies in the frame: its
    flat entry ``(i // inner) % numel`` belongs to the flat element ``i`` [B, \\*].
    """

    replayed_rows: ClassVar[int] = _SHORTEST_SEGMENT
    """States times steps that a replay has room for close by: a longer segment saves fewer states."""

    repeats: ClassVar[bool] = False
    """Whether the language has loops for repetitions; else they are written out."""

    def __init__(self, forward: ForwardPlan, backward: BackwardPlan):
        self.forward_plan = forward
        self.backward_plan = backward

    @classmethod
    @abstractmethod
    def unavailable(cls) -> str | None:
        """Why nothing can be compiled on this machine, if that is so."""

    @classmethod
    def compile(cls, kernels: Sequence[Self], *, training: bool) -> None:
        """Compile ahead what first calls would compile, so that a failure shows before anything has run."""
        return

    @abstractmethod
    def forward(
        self,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
        inners: Sequence[int],
        outputs: Sequence[Tensor],
        last: Sequence[Tensor],
        checkpoints: Sequence[Tensor | None],
        every: int,
    ) -> None:
        """Fill ``outputs``, ``last`` and ``checkpoints`` (one for each state, ``None`` where not wanted)."""

    @abstractmethod
    def backward(
        self,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        checkpoints: Sequence[Tensor],
        parameters: Sequence[Tensor],
        inners: Sequence[int],
        output_gradients: Sequence[Tensor | None],
        last_gradients: Sequence[Tensor | None],
        first_gradients: Sequence[Tensor],
        input_gradients: Sequence[Tensor],
        parameter_gradients: Sequence[Tensor],
        every: int,
        shape: Sequence[int],
    ) -> None:
        """Fill ``first_gradients``, ``input_gradients`` and ``parameter_gradients``.

        Inputs, states, checkpoints, output gradients (``None`` where none arrives) and carried states are those of the
        plan; the results are those that are not structurally zero. ``parameters`` and ``inners`` are all of them;
        ``shape`` is that of a sequence.
        """

    @abstractmethod
    def partial_sums(self, elements: int) -> int:
        """The length of the buffer for the gradient of a parameter that all elements share."""


class Loop:
    """A graph with its plans and kernels."""

    def __init__(self, graph: StepGraph, kernels: type[Kernels]):
        self.graph = graph = graph if kernels.repeats else expanded(graph)
        self.kernels = kernels(plan_forward(graph), plan_backward(graph))
        self.backward_plan = self.kernels.backward_plan
        # Operands that the derivative does not read are not kept for it.
        self.counted = _counted(graph)
        saved_states = sum(k not in self.counted for k in self.backward_plan.states)
        self.every = max(
            _SHORTEST_SEGMENT,
            self.kernels.replayed_rows // max(1, len(self.backward_plan.states)),
            # A key is kept once, at the start, and as wide as two: for that the others are kept a little less often.
            -(-10 * saved_states // round(10 * _CHECKPOINTS)) + 2 * len(self.counted),
        )
        self.grad_inputs = tuple(k for k, node in enumerate(graph.grad_inputs) if node is not None)
        self.grad_parameters = tuple(k for k, node in enumerate(graph.grad_parameters) if node is not None)

    def kept(self, checkpoints: Sequence[Tensor]) -> list[Tensor]:
        """The checkpoints that are kept for the backward pass: not those of keys, which count steps."""
        pairs = zip(self.backward_plan.states, checkpoints, strict=True)
        return [checkpoint for k, checkpoint in pairs if k not in self.counted]

    def completed(self, kept: Sequence[Tensor], states: Sequence[Tensor], steps: int) -> list[Tensor]:
        """All checkpoints: those that were kept, and those of keys, counted again from the first states.

        Args:
            kept: what :meth:`kept` gave.
            states: the first states that the backward pass reads.
            steps: length of the sequence.
        """
        remaining, complete = iter(kept), []
        for k, state in zip(self.backward_plan.states, states, strict=True):
            if k not in self.counted:
                complete.append(next(remaining))
                continue
            passed = torch.arange(1, (steps - 1) // self.every + 1, device=state.device) * (
                self.every * self.counted[k]
            )
            complete.append(state + passed.reshape(-1, *[1] * state.ndim))
        return complete


def _counted(graph: StepGraph) -> dict[int, int]:
    """The keys among the states: their numbers, and what each step adds to them."""
    found = {}
    for k, (state, after) in enumerate(zip(graph.states, graph.next_states, strict=True)):
        if state.dtype == torch.int64 and after.op == "add" and state in after.args:
            (other,) = [arg for arg in after.args if arg is not state] or [state]
            if other.op == "constant":
                found[k] = int(other.args[0])
    return found
