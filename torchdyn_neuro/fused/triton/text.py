"""The lines of a Triton kernel: its head, its parameters, rows of sequences and one expression for each node."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import torch

from ..plan.loops import BackwardPlan
from ..record.graph import Node, StepGraph, holds_numbers
from ..record.ops import OPS

_TYPES = {
    torch.float64: "tl.float64",
    torch.float32: "tl.float32",
    torch.bfloat16: "tl.bfloat16",
    torch.float16: "tl.float16",
    torch.uint8: "tl.uint8",
    torch.bool: "tl.int1",
    torch.int64: "tl.int64",
}

_HEADER = """\
import triton
import triton.language as tl

from torchdyn_neuro.fused.triton.functions import (
    cosh,
    exp,
    expm1,
    log1p,
    normal,
    power,
    random_bits,
    sinh,
    tanh,
)
"""

# Sums of 64 bits where an offset can outgrow 32; a lane is an offset within a block.
_SETUP = """\
start = tl.program_id(0).to(tl.int64) * BLOCK
lane = tl.arange(0, BLOCK)
inside = lane < tl.minimum(M - start, BLOCK).to(tl.int32)
size = tl.cast(M, tl.int64)"""


class KernelText:
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
        self, tensors: Sequence[str], strided: Sequence[str], parameters: Sequence[int], flags: Sequence[str]
    ) -> None:
        """Open the kernel.

        It is not specialised to its sizes, nor to where tensors begin, so that a new size compiles nothing: with one
        element for each thread there is nothing to gain from either.
        """
        sizes = ["T", "M", *(f"{name}_stride" for name in strided)]
        sizes += [f"p{k}_{what}" for k in parameters for what in ("inner", "size")]
        constants = [f"{flag}: tl.constexpr" for flag in (*flags, *(f"ONE_p{k}" for k in parameters), "BLOCK")]
        free = f"do_not_specialize={sizes}, do_not_specialize_on_alignment={list(tensors)}"
        self.lines(f"@triton.jit({free})")
        self.lines(f"def run({', '.join([*tensors, *sizes, *constants])}):")
        self.depth = 1
        self.lines(*_SETUP.splitlines())

    def parameters(self, graph: StepGraph, numbers: Iterable[int]) -> None:
        """Load parameters; the elements outside hold a one, by which nothing is divided in vain."""
        for k in numbers:
            if holds_numbers(graph.parameters[k]):
                continue
            with self.block(f"if ONE_p{k}:"):
                self.lines(f"p{k} = tl.broadcast_to(tl.load(p{k}_values), (BLOCK,))")
            with self.block("else:"):
                index = f"((start + lane) // p{k}_inner) % p{k}_size"
                self.lines(f"p{k} = tl.load(p{k}_values + {index}, mask=inside, other=1.0)")

    def fetch(self, name: str, row: str, step: str, mask: str, absent: tuple[str, torch.dtype] | None = None) -> None:
        """Load a row and go on to the next; ``absent``: a flag of whether there is one, and the type of zeros else."""
        if absent is None:
            self.lines(f"{name} = {load(f'{row} + lane', mask)}", f"{row} {step}")
            return
        with self.block(f"if {absent[0]}:"):
            self.fetch(name, row, step, mask)
        with self.block("else:"):
            self.lines(f"{name} = {zeros(absent[1])}")

    def put(self, row: str, value: str, step: str, mask: str) -> None:
        """Store a row and go on to the next."""
        self.lines(store(f"{row} + lane", value, mask), f"{row} {step}")

    def compute(
        self, nodes: Iterable[Node], names: dict[Node, str], arrives: Mapping[Node, str] = MappingProxyType({})
    ) -> None:
        """One line for each node that has no name yet; ``names`` learns what the nodes are called.

        A node in ``arrives`` is zero where that is false.
        """
        for node in nodes:
            if node not in names:
                name = f"v{self.count}"
                self.count += 1
                value = _expression(node, names)
                self.lines(f"{name} = " + (f"tl.where({arrives[node]}, {value}, 0.0)" if node in arrives else value))
                names[node] = name

    def arrivals(self, plan: BackwardPlan) -> dict[Node, str]:
        """For each node that is guarded, the name of whether a gradient arrives there in this step."""
        conditions = plan.conditions("tl.full((), 0, tl.int1)", " | ")
        for k in plan.carried:
            self.lines(f"ds{k}_came = {conditions[plan.graph.grad_states[k]]}")
        guarded = {node: conditions[node] for node in plan.body if node in plan.guarded}
        numbers = {condition: f"arrives{k}" for k, condition in enumerate(dict.fromkeys(guarded.values()))}
        self.lines(*(f"{name} = {condition}" for condition, name in numbers.items()))
        return {node: numbers[condition] for node, condition in guarded.items()}

    def assign(self, targets: list[str], values: list[str]) -> None:
        """All at once, for a value may be one of the targets."""
        if targets:
            self.lines(f"{', '.join(targets)} = {', '.join(values)}")

    def source(self) -> str:
        """The module."""
        return _HEADER + "\n\n" + "\n".join(self.written) + "\n"


def absent(plan: BackwardPlan, name: str) -> tuple[str, torch.dtype] | None:
    """Of the gradient of an output: the flag of whether it arrives, and its type."""
    kind = plan.graph.output_gradients[int(name[2:])].dtype if name.startswith("dy") else None
    return None if kind is None else (f"HAS_{name}", kind)


def load(address: str, mask: str = "inside") -> str:
    """The expression of a load."""
    return f"tl.load({address}, mask={mask}, other=0.0)"


def store(address: str, value: str, mask: str = "inside") -> str:
    """The statement of a store."""
    return f"tl.store({address}, {value}, mask={mask})"


def zeros(dtype: torch.dtype) -> str:
    """The expression of a block of zeros."""
    return f"tl.zeros((BLOCK,), {_TYPES[dtype]})"


def leaf_names(graph: StepGraph) -> dict[Node, str]:
    """The names of what does not change from step to step, and of the gradients that are carried."""
    names = {p: f"p{k}" + "_values" * holds_numbers(p) for k, p in enumerate(graph.parameters)}
    return names | {leaf: f"ds{k}" for k, leaf in enumerate(graph.state_gradients)}


def _expression(node: Node, names: dict[Node, str]) -> str:
    kind = _TYPES[node.dtype]
    if node.op == "constant":
        value = bool(node.args[0]) if node.dtype == torch.bool else node.args[0]
        value = int(value) if node.dtype == torch.uint8 else value
        text = repr(value) if value == value and abs(value) != float("inf") else f'float("{value}")'
        if text == "-0.0":  # Triton would make a zero of it
            return f"(tl.full((BLOCK,), -1.0, {kind}) * 0.0)"
        return f"tl.full((BLOCK,), {text}, {kind})"
    if node.op == "number":
        leaf, k = node.args
        return f"tl.broadcast_to(tl.load({names[leaf]} + {k}), (BLOCK,)).to({kind})"
    if node.op == "cast":
        source = node.args[0].dtype
        # As torch: to a narrow type by way of float32, to a byte by way of a whole number.
        narrow = node.dtype in (torch.bfloat16, torch.float16)
        way = ".to(tl.float32)" if narrow and source in (torch.float64, torch.uint8) else ""
        if node.dtype == torch.uint8 and source.is_floating_point:
            way = ".to(tl.int64)" if source in (torch.float32, torch.float64) else ".to(tl.float32).to(tl.int64)"
        return f"{names[node.args[0]]}{way}.to({kind})"
    args = (names[arg] if isinstance(arg, Node) else repr(arg) for arg in node.args)
    return OPS[node.op].triton.format(*args, dtype=kind)
