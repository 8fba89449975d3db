"""Triton for the two loops of a plan: tensors and sizes are those of the C++ loops, each thread carries one element.

T is a number that the kernel is given, so a new length compiles nothing and no loop is unrolled over time. What a step
reads is loaded some steps ahead into registers, for with few elements a GPU waits for memory and does nothing else.
Offsets have 64 bits. No element knows another and nothing is added up across threads, so two runs are bitwise equal:
the gradient of a parameter is left as one number per element, to be summed outside.

A kernel is called ``run``. Tensors that may be absent come with a flag ``HAS_...``. The last tensors of the backward
loop, ``w``, are room for the states of a segment.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch

from .graph import Node, StepGraph
from .ops import OPS
from .plan import BackwardPlan, ForwardPlan

_TYPES = {
    torch.float64: "tl.float64",
    torch.float32: "tl.float32",
    torch.bfloat16: "tl.bfloat16",
    torch.float16: "tl.float16",
    torch.uint8: "tl.uint8",
    torch.bool: "tl.int1",
}

_HEADER = """\
import triton
import triton.language as tl

from torchdyn_neuro.fused.triton_functions import cosh, expm1, log1p, power, sinh, tanh
"""

_SETUP = """\
M = tl.cast(M, tl.int64)
steps = tl.cast(T, tl.int64)
i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
inside = i < M"""


def emit_forward(plan: ForwardPlan) -> str:
    """The forward loop; tensors and sizes, but for the threads, as in :func:`torchdyn_neuro.fused.cpp.emit_forward`."""
    graph, text = plan.graph, _Writer()
    inputs, states = range(len(graph.inputs)), range(len(graph.states))
    tensors = [f"x{k}" for k in inputs] + [f"first{k}" for k in states]
    tensors += [f"p{k}_values" for k in plan.parameters] + [f"y{k}" for k in range(len(graph.outputs))]
    tensors += [f"last{k}" for k in states] + [f"saved{k}" for k in states]
    text.kernel(tensors, [f"x{k}" for k in inputs], plan.parameters, [f"HAS_saved{k}" for k in states])
    names = _leaf_names(graph)
    text.parameters(plan.parameters)
    text.compute(plan.hoisted, names)
    text.lines(*(f"s{k} = {_load(f'first{k} + i', 'inside')}" for k in states))
    stream = _Stream({f"x{k}": f"{{step}} * x{k}_stride" for k in inputs}, "steps", "t")
    text.lines(*stream.prologue())
    with text.block("for t in range(T):"):
        for k in states:
            # The states of the first segment are the first states.
            with text.block(f"if HAS_saved{k}:"), text.block("if (t > 0) & (t % every == 0):"):
                text.lines(_store(f"saved{k} + tl.cast(t // every - 1, tl.int64) * M + i", f"s{k}"))
        text.lines(*stream.turn())
        text.compute(plan.body, names)
        text.lines(
            *(_store(f"y{k} + tl.cast(t, tl.int64) * M + i", names[node]) for k, node in enumerate(graph.outputs))
        )
        text.assign([f"s{k}" for k in states], [names[node] for node in graph.next_states])
    text.lines(*(_store(f"last{k} + i", f"s{k}") for k in states))
    return text.source()


def emit_backward(plan: BackwardPlan) -> str:
    """The backward loop; tensors and sizes, but for the threads, as in :func:`torchdyn_neuro.fused.cpp.emit_backward`.

    ``dp{k}_sums`` holds M numbers here, one for each element.
    """
    graph, text = plan.graph, _Writer()
    grad_inputs, grad_parameters = _present(graph.grad_inputs), _present(graph.grad_parameters)
    tensors = [f"x{k}" for k in plan.inputs] + [f"first{k}" for k in plan.states]
    tensors += (
        [f"saved{k}" for k in plan.states]
        + [f"p{k}_values" for k in plan.parameters]
        + [f"dy{k}" for k in plan.output_gradients]
    )
    tensors += [f"dlast{k}" for k in plan.carried] + [f"dfirst{k}" for k in plan.carried]
    tensors += [f"dx{k}" for k in grad_inputs] + [f"dp{k}_sums" for k in grad_parameters]
    tensors += [f"w{k}" for k in plan.states]
    strided = [f"x{k}" for k in plan.inputs] + [f"dy{k}" for k in plan.output_gradients]
    laid_out = sorted({*plan.parameters, *grad_parameters})
    text.kernel(tensors, strided, laid_out, [f"HAS_dlast{k}" for k in plan.carried])
    names = _leaf_names(graph)
    text.parameters(plan.parameters)
    text.compute(plan.hoisted, names)
    for k in plan.carried:
        with text.block(f"if HAS_dlast{k}:"):
            text.lines(f"ds{k} = {_load(f'dlast{k} + i', 'inside')}")
        with text.block("else:"):
            text.lines(f"ds{k} = {_zeros(graph.states[k])}")
    text.lines(*(f"dp{k} = tl.zeros((BLOCK,), {_sum_type(graph.parameters[k])})" for k in grad_parameters))
    with text.block("for segment in range((T + every - 1) // every):"):
        text.lines("begin = tl.cast((T + every - 1) // every - 1 - segment, tl.int64) * every")
        text.lines("length = tl.minimum(tl.cast(every, tl.int64), steps - begin)")
        if plan.states:
            _replay(text, plan, names)
        _reverse(text, plan, names)
    text.lines(*(_store(f"dfirst{k} + i", f"ds{k}") for k in plan.carried))
    text.lines(*(_store(f"dp{k}_sums + i", f"dp{k}") for k in grad_parameters))
    return text.source()


def _replay(text: "_Writer", plan: BackwardPlan, names: dict[Node, str]) -> None:
    """The states of a segment, computed again from its checkpoint."""
    graph = plan.graph
    with text.block("if begin == 0:"):
        text.lines(*(f"s{k} = {_load(f'first{k} + i', 'inside')}" for k in plan.states))
    with text.block("else:"):
        text.lines(*(f"s{k} = {_load(f'saved{k} + (begin // every - 1) * M + i', 'inside')}" for k in plan.states))
    stream = _Stream({f"x{k}": f"(begin + {{step}}) * x{k}_stride" for k in plan.replay_inputs}, "length", "ahead")
    text.lines(*stream.prologue())
    with text.block("for ahead in range(length):"):
        text.lines(*(_store(f"w{k} + ahead * M + i", f"s{k}") for k in plan.states))
        text.lines(*stream.turn())
        replayed = dict(names)
        text.compute(plan.replay_body, replayed)
        text.assign([f"s{k}" for k in plan.states], [replayed[graph.next_states[k]] for k in plan.states])
    # What is loaded below, this thread or another of its block has stored above.
    text.lines("tl.debug_barrier()")


def _reverse(text: "_Writer", plan: BackwardPlan, names: dict[Node, str]) -> None:
    """The derivative of the steps of a segment, the last one first."""
    graph, back = plan.graph, "(length - 1 - {step})"
    sequences = {f"w{k}": f"{back} * M" for k in plan.states}
    sequences |= {f"x{k}": f"(begin + {back}) * x{k}_stride" for k in plan.inputs}
    sequences |= {f"dy{k}": f"(begin + {back}) * dy{k}_stride" for k in plan.output_gradients}
    stream = _Stream(sequences, "length", "back")
    text.lines(*stream.prologue())
    with text.block("for back in range(length):"):
        text.lines(*stream.turn())
        derived = names | {graph.states[k]: f"w{k}_now" for k in plan.states}
        text.compute(plan.body, derived)
        for k in _present(graph.grad_inputs):
            text.lines(_store(f"dx{k} + (begin + length - 1 - back) * M + i", derived[graph.grad_inputs[k]]))
        text.lines(*(f"dp{k} += {derived[graph.grad_parameters[k]]}" for k in _present(graph.grad_parameters)))
        earlier = [graph.grad_states[k] for k in plan.carried]
        zeros = [_zeros(graph.states[k]) for k in plan.carried]
        values = [zero if node is None else derived[node] for zero, node in zip(zeros, earlier, strict=True)]
        text.assign([f"ds{k}" for k in plan.carried], values)


class _Stream:
    """Loads of what a step reads, a few steps ahead of it.

    Args:
        offsets: for each sequence, its offset as a function of ``{step}``.
        length: how many steps there are.
        counter: of the loop.
    """

    def __init__(self, offsets: dict[str, str], length: str, counter: str):
        self.offsets, self.length, self.counter = offsets, length, counter
        # Few sequences leave registers for a longer reach.
        self.reach = 4 if len(offsets) <= 2 else 2

    def _fetch(self, name: str, step: str) -> str:
        # 64 bits before the product, which is where an offset outgrows 32.
        offset = self.offsets[name].format(step=f"tl.cast({step}, tl.int64)")
        # No step beyond the last: there no element is inside.
        return _load(f"{name} + {offset} + i", f"i < tl.where({self.length} > {step}, M, 0)")

    def prologue(self) -> list[str]:
        """Before the loop."""
        return [f"{name}_{d} = {self._fetch(name, str(d))}" for d in range(self.reach) for name in self.offsets]

    def turn(self) -> list[str]:
        """At the start of each turn: the value of now, and the load of one to come."""
        lines = []
        for name in self.offsets:
            held = [f"{name}_{d}" for d in range(self.reach)]
            lines.append(f"{name}_now = {held[0]}")
            lines += [f"{sooner} = {later}" for sooner, later in pairwise(held)]
            lines.append(f"{held[-1]} = {self._fetch(name, f'({self.counter} + {self.reach})')}")
        return lines


class _Writer:
    """Lines with their indentation."""

    def __init__(self):
        self.written: list[str] = []
        self.depth = 0
        self.count = 0

    def lines(self, *lines: str) -> None:
        """Write lines at the depth of the open blocks."""
        self.written += ["    " * self.depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Open a block for the length of a ``with`` statement."""
        self.lines(head)
        self.depth += 1
        yield
        self.depth -= 1

    def kernel(
        self, tensors: Sequence[str], strided: Sequence[str], parameters: Iterable[int], flags: Sequence[str]
    ) -> None:
        """Open the kernel; it is not specialised to its sizes, so that a new one compiles nothing."""
        sizes = ["T", "M", "every", *(f"{name}_stride" for name in strided)]
        sizes += [f"p{k}_{what}" for k in parameters for what in ("inner", "size")]
        constants = [f"{flag}: tl.constexpr" for flag in (*flags, "BLOCK")]
        self.lines(f"@triton.jit(do_not_specialize={sizes})")
        self.lines(f"def run({', '.join([*tensors, *sizes, *constants])}):")
        self.depth = 1
        self.lines(*_SETUP.splitlines())

    def parameters(self, numbers: Iterable[int]) -> None:
        """Load parameters; the elements outside hold a one, by which nothing is divided in vain."""
        for k in numbers:
            self.lines(f"p{k} = tl.load(p{k}_values + (i // p{k}_inner) % p{k}_size, mask=inside, other=1.0)")

    def compute(self, nodes: Iterable[Node], names: dict[Node, str]) -> None:
        """One line for each node; ``names`` learns what the nodes are called."""
        for node in nodes:
            names[node] = f"v{self.count}"
            self.count += 1
            self.lines(f"{names[node]} = {_expression(node, names)}")

    def assign(self, targets: list[str], values: list[str]) -> None:
        """All at once, for a value may be one of the targets."""
        if targets:
            self.lines(f"{', '.join(targets)} = {', '.join(values)}")

    def source(self) -> str:
        """The module."""
        return _HEADER + "\n\n" + "\n".join(self.written) + "\n"


def _expression(node: Node, names: dict[Node, str]) -> str:
    kind = _TYPES[node.dtype]
    if node.op == "constant":
        value = bool(node.args[0]) if node.dtype == torch.bool else node.args[0]
        text = repr(value) if value == value and abs(value) != float("inf") else f'float("{value}")'
        return f"tl.full((BLOCK,), {text}, {kind})"
    if node.op == "cast":
        return f"{names[node.args[0]]}.to({kind})"
    return OPS[node.op].triton.format(*(names[arg] if isinstance(arg, Node) else repr(arg) for arg in node.args))


def _leaf_names(graph: StepGraph) -> dict[Node, str]:
    names = {leaf: f"x{k}_now" for k, leaf in enumerate(graph.inputs)}
    groups = {"s": graph.states, "p": graph.parameters, "ds": graph.state_gradients}
    names |= {leaf: f"{prefix}{k}" for prefix, leaves in groups.items() for k, leaf in enumerate(leaves)}
    return names | {leaf: f"dy{k}_now" for k, leaf in enumerate(graph.output_gradients)}


def _load(address: str, mask: str) -> str:
    return f"tl.load({address}, mask={mask}, other=0.0)"


def _store(address: str, value: str) -> str:
    return f"tl.store({address}, {value}, mask=inside)"


def _zeros(like: Node) -> str:
    return f"tl.zeros((BLOCK,), {_TYPES[like.dtype]})"


def _sum_type(parameter: Node) -> str:
    """The type in which the gradient of a parameter is summed."""
    return _TYPES[torch.promote_types(parameter.dtype, torch.float32)]


def _present(nodes: Sequence[Node | None]) -> list[int]:
    return [k for k, node in enumerate(nodes) if node is not None]
