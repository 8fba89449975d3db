"""Recording of a repetition: its body once, with a derivative of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...core.repeat import Body as Function
from ...core.state import State, fill, leaves
from ...core.torch_private import run_backward
from .builder import NARROW
from .graph import PRODUCTS, ROWS, Node, ordered
from .recorder import Recorder
from .repeat import Body, Derivative

_OUTSIDE = ("normal", "random_bits", *PRODUCTS)
"""What a round has no place for: a number that is drawn, a matrix."""


class RepeatRecorder:
    """What :func:`~torchdyn_neuro.core.repeat.repeat` calls while a step is recorded.

    Args:
        recorder: writes down what the step does.
        varying: the nodes of the inputs and states of the step, which a body must not read past its arguments.
        parameters: the leaves that are left.
    """

    def __init__(self, recorder: Recorder, varying: Sequence[Node], parameters: Sequence[Tensor]):
        self.recorder, self.varying = recorder, frozenset(varying)
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]

    def count_rows(self) -> Tensor:
        """A leaf that will be the number of rows."""
        with self.recorder.unwatched(), self.recorder.silence():
            return self.recorder.plain_leaf(ROWS)

    def __call__(self, function: Function, x: State, state: State, count: int) -> list[State] | None:
        recorder, given, before = self.recorder, leaves(x), leaves(state)
        if recorder.synapses.pairs:
            return None
        with recorder.unwatched():
            # A sum over rounds would not be rounded to a narrow type in each of them.
            if any(tensor.dtype in NARROW for tensor in (*given, *before, *self.parameters)):
                return None
            with torch.no_grad():
                trial = [self._leaf(tensor) for tensor in before]
        with torch.no_grad():
            after = leaves(function(x, fill(state, trial)))
        with recorder.unwatched():
            if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(after, before, strict=True)):
                return None
            # What a round leaves as it is, such as a key, is an operand.
            moves = [recorder.node(a) is not recorder.node(b) for a, b in zip(after, trial, strict=True)]
            recorder.log.note("repeat", count, *moves)
            start = [tensor for tensor, moved in zip(before, moves, strict=True) if moved]
            operands = [*given, *(tensor for tensor, moved in zip(before, moves, strict=True) if not moved)]
            carried, held = [self._leaf(tensor) for tensor in start], [self._leaf(tensor) for tensor in operands]
            moving, still = iter(carried), iter(held[len(given) :])
            inner = fill(state, [next(moving) if moved else next(still) for moved in moves])
        after = leaves(function(fill(x, held[: len(given)]), inner))
        with recorder.unwatched():
            after = [a for a, moved in zip(after, moves, strict=True) if moved]
            # Its own arguments alone.
            if any(node in self.varying or node.op in _OUTSIDE for node in ordered(map(recorder.node, after))):
                return None
            rounds = _Rounds(self, count, carried, held, after)
        results = list(_Repeated.apply(rounds, len(start), *start, *operands, *self.parameters))
        states = []
        for k in range(count):
            now = iter(results[k * len(start) : (k + 1) * len(start)])
            states.append(fill(state, [next(now) if m else b for m, b in zip(moves, before, strict=True)]))
        return states

    def _leaf(self, tensor: Tensor) -> Tensor:
        """A leaf in the place of a tensor."""
        with self.recorder.silence():
            copy = tensor.detach().clone()
        node = Node("input", (float(len(self.recorder.leaves) + 1),), tensor.dtype)
        self.recorder.leaves.add(copy.untyped_storage()._cdata)
        self.recorder._bind(copy, node)
        return copy.requires_grad_(torch.is_grad_enabled() and tensor.is_floating_point())

    def result(self, like: Tensor, node: Node) -> Tensor:
        """A tensor of its own for a node."""
        with self.recorder.silence():
            made = like.detach().clone()
        self.recorder._bind(made, node)
        return made


class _Rounds:
    """The body of a repetition and its derivative."""

    def __init__(
        self, owner: RepeatRecorder, count: int, carried: list[Tensor], held: list[Tensor], after: list[Tensor]
    ):
        self.owner, self.after = owner, after
        node = owner.recorder.node
        leaves_, results = tuple(map(node, (*carried, *held))), tuple(map(node, after))
        self.body = Body(count, leaves_[: len(carried)], leaves_[len(carried) :], _fixed(results, {*leaves_}), results)
        self.wanted = [leaf for leaf in (*carried, *held, *owner.parameters) if leaf.requires_grad]
        self.inner = (*carried, *held, *owner.parameters)
        self.call: Node | None = None

    def differentiate(self, present: tuple[tuple[int, int], ...]) -> Derivative:
        """The derivative of a round."""
        owner, recorder = self.owner, self.owner.recorder
        with recorder.unwatched():
            arriving = [owner._leaf(tensor) for tensor in self.after]
            live = [(y, g) for y, g in zip(self.after, arriving, strict=True) if y.requires_grad]
            arriving_nodes = tuple(map(recorder.node, arriving))
        ys, gs = zip(*live, strict=True)
        before, recorder.arriving = recorder.arriving, recorder.arriving | {*arriving_nodes}
        found = run_backward(ys, gs, True, False, tuple(self.wanted), True, accumulate_grad=False)
        recorder.arriving = before
        grads = {id(leaf): g for leaf, g in zip(self.wanted, found, strict=True) if g is not None}
        with recorder.unwatched():
            gradients = tuple(recorder.node(grads[id(leaf)]) if id(leaf) in grads else None for leaf in self.inner)
        ends = {*self.body.carried, *self.body.operands, *arriving_nodes}
        fixed = _fixed([g for g in gradients if g is not None], ends)
        return Derivative(self.body, fixed, arriving_nodes, gradients, present)


def _fixed(results: Sequence[Node], varying: set[Node]) -> tuple[Node, ...]:
    """The nodes nearest to the results that depend on none of these leaves; constants are no such nodes."""
    moving, fixed = set(varying), {}
    for node in ordered(results):
        if any(source in moving for source in node.sources):
            moving.add(node)
    for node in ordered(results):
        for source in (*node.sources, *([node] if node in results else [])):
            if source not in moving and source.op != "constant" and (node in moving or node is source):
                fixed[source] = None
    return tuple(fixed)


class _Repeated(torch.autograd.Function):
    """A repetition as one operation."""

    @staticmethod
    def forward(ctx: Any, rounds: _Rounds, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        body, owner = rounds.body, rounds.owner
        recorder = owner.recorder
        with recorder.unwatched():
            outer = [recorder.node(tensor) for tensor in tensors[: count + len(body.operands)]]
            rounds.call = Node("repeat", (body, *outer, *body.fixed), torch.float32)
            with recorder.silence():
                ctx.rounds, ctx.like = rounds, [tensor.detach() for tensor in tensors]
            return tuple(
                owner.result(after, recorder._interned("repeated", (rounds.call, k, i), after.dtype))
                for k in range(body.count)
                for i, after in enumerate(rounds.after)
            )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        rounds, recorder = ctx.rounds, ctx.rounds.owner.recorder
        with recorder.unwatched():
            pairs = ((divmod(k, len(rounds.after)), g) for k, g in enumerate(gradients) if g is not None)
            arriving = {at: recorder.node(g) for at, g in pairs}
            recorder.log.note("derivative", *arriving)
        with torch.enable_grad():
            derivative = rounds.differentiate(tuple(arriving))
        call = Node("repeat_backward", (derivative, rounds.call, *derivative.fixed, *arriving.values()), torch.float32)
        results: list[Tensor | None] = []
        with recorder.unwatched():
            for j, (like, wanted) in enumerate(zip(ctx.like, ctx.needs_input_grad[2:], strict=True)):
                if derivative.gradients[j] is None or not wanted:
                    results.append(None)
                else:
                    node = recorder._interned("repeat_gradient", (call, j), like.dtype)
                    results.append(rounds.owner.result(like, node))
        return (None, None, *results)
