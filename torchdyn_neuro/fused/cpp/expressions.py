"""C++ for the nodes of a graph: which vector holds the value of one, and the expression that gives it."""

import re
from collections.abc import Mapping

import torch

from ..record.graph import Node
from ..record.ops import OPS

STORED = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bfloat16: "bfloat16",
    torch.float16: "half",
    torch.bool: "byte",
    torch.uint8: "byte",
    torch.int64: "I",
}
"""How numbers of a type lie in memory."""
NUMBERS = {"F": "float", "D": "double", "K": "I", "M": "Number<M>::type", "U": "uint32_t"}
"""The number of a lane, by the kind of the vector."""
_DECIMAL = re.compile(r"\b\d+\.\d+\b")


def kind(node: Node) -> str:
    """The type of vectors.h in which the value of a node is held."""
    if node.op == "random_bits":
        return "U"
    return {torch.bool: "M", torch.float64: "D", torch.int64: "K"}.get(node.dtype, "F")


def as_key(node: Node, name: str) -> str:
    """A value as its type is held: a random word as a number of 64 bits."""
    return f"to_K({name})" if kind(node) == "U" else name


def expression(node: Node, names: Mapping[Node, str], draws: Mapping[Node, str]) -> str:
    """The value of a node; ``draws``: where a normal number keeps what it drew."""
    if node.op == "number":
        leaf, k = node.args
        return f"All<{kind(node)}>::of({NUMBERS[kind(node)]}({names[leaf]}[{k}]))"
    args = [names[arg] if isinstance(arg, Node) else repr(arg) for arg in node.args]
    if node.op == "cast":
        return _cast(node, *args)
    if node.dtype == torch.int64 or node.op == "normal":
        args = [as_key(arg, name) if isinstance(arg, Node) else name for arg, name in zip(node.args, args, strict=True)]
    number = NUMBERS[next((kind(arg) for arg in node.sources if arg.dtype != torch.bool), "F")]
    text = _DECIMAL.sub(lambda decimal: f"{number}({decimal.group()})", OPS[node.op].cpp)
    return text.format(*args, draws=draws.get(node))


def _cast(node: Node, value: str) -> str:
    source = node.args[0].dtype
    if node.dtype == torch.uint8 and source.is_floating_point:
        value = f"ROUND_BYTE({value})"  # before a wide number becomes a narrow one
    mask = "mask_" * (source == torch.bool)
    value = f"{mask}to_{kind(node)}({value})"
    if node.dtype in (torch.bfloat16, torch.float16):
        return f"ROUND_{STORED[node.dtype].upper()}({value})"
    return value


def constant(node: Node) -> str:
    """A constant in all lanes."""
    value = node.args[0]
    text = repr(value)
    if kind(node) == "M":
        text = str(int(value))
    elif value != value:
        text = '__builtin_nan("")'
    elif value in (float("inf"), float("-inf")):
        text = f"{'-' if value < 0 else ''}__builtin_inf()"
    return f"All<{kind(node)}>::of({text})"
