"""The lines of a Triton kernel: its head, its parameters, rows of sequences and one expression for each node."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

from .graph import Node, StepGraph
from .ops import OPS

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

from torchdyn_neuro.fused.triton_functions import (
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

    def parameters(self, numbers: Iterable[int]) -> None:
        """Load parameters; the elements outside hold a one, by which nothing is divided in vain."""
        for k in numbers:
            with self.block(f"if ONE_p{k}:"):
                self.lines(f"p{k} = tl.broadcast_to(tl.load(p{k}_values), (BLOCK,))")
            with self.block("else:"):
                index = f"((start + lane) // p{k}_inner) % p{k}_size"
                self.lines(f"p{k} = tl.load(p{k}_values + {index}, mask=inside, other=1.0)")

    def fetch(self, name: str, row: str, step: str, mask: str) -> None:
        """Load a row and go on to the next."""
        self.lines(f"{name} = {load(f'{row} + lane', mask)}", f"{row} {step}")

    def put(self, row: str, value: str, step: str, mask: str) -> None:
        """Store a row and go on to the next."""
        self.lines(store(f"{row} + lane", value, mask), f"{row} {step}")

    def compute(self, nodes: Iterable[Node], names: dict[Node, str]) -> None:
        """One line for each node that has no name yet; ``names`` learns what the nodes are called."""
        for node in nodes:
            if node not in names:
                name = f"v{self.count}"
                self.count += 1
                self.lines(f"{name} = {_expression(node, names)}")
                names[node] = name

    def assign(self, targets: list[str], values: list[str]) -> None:
        """All at once, for a value may be one of the targets."""
        if targets:
            self.lines(f"{', '.join(targets)} = {', '.join(values)}")

    def source(self) -> str:
        """The module."""
        return _HEADER + "\n\n" + "\n".join(self.written) + "\n"


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
    names = {leaf: f"p{k}" for k, leaf in enumerate(graph.parameters)}
    return names | {leaf: f"ds{k}" for k, leaf in enumerate(graph.state_gradients)}


def _expression(node: Node, names: dict[Node, str]) -> str:
    kind = _TYPES[node.dtype]
    if node.op == "constant":
        value = bool(node.args[0]) if node.dtype == torch.bool else node.args[0]
        text = repr(value) if value == value and abs(value) != float("inf") else f'float("{value}")'
        return f"tl.full((BLOCK,), {text}, {kind})"
    if node.op == "cast":
        return f"{names[node.args[0]]}.to({kind})"
    args = (names[arg] if isinstance(arg, Node) else repr(arg) for arg in node.args)
    return OPS[node.op].triton.format(*args, dtype=kind)
