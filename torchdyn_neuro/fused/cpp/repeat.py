"""C++ for repetitions: loops over rounds, within the loop over the vectors of a block."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..record.graph import Node, ordered
from ..record.repeat import Derivative, arrivals, keeps_zero, parts_of_call

if TYPE_CHECKING:
    from .text import LoopText


class Rounds:
    """The repetitions of one list of nodes.

    Args:
        text: where the lines go.
        nodes: the list.
    """

    def __init__(self, text: "LoopText", nodes: Iterable[Node]):
        self.text = text
        nodes = list(nodes)
        # The states before each round are kept where somebody reads one of them.
        self.kept = {node.args[1] for node in nodes if node.op == "repeat_backward"}
        self.kept |= {n.args[0] for n in nodes if n.op == "repeated" and n.args[1] + 1 < n.args[0].args[0].count}
        self.numbers: dict[Node, str] = {}

    def add(self, node: Node, names: dict[Node, str]) -> None:
        """Write a node of these down, or find what it is called."""
        if node.op == "repeated":
            call, k, i = node.args
            last = k + 1 == call.args[0].count and call in self.numbers
            names[node] = f"state{self.numbers[call]}_{i}" if last else self._path(call, i, k + 1)
        elif node.op == "repeat_gradient":
            names[node] = f"sum{self.numbers[node.args[0]]}_{node.args[1]}"
        else:
            self.numbers[node] = self.text.unique()
            (self._forward if node.op == "repeat" else self._backward)(node, names)

    def _path(self, call: Node, i: int, k: int | str) -> str:
        """State number i before round k, in the rows of a segment or at hand."""
        rows = self.text.path_rows.get(call)
        if rows is None:
            return f"path{self.numbers[call]}_{i}[{k}]"
        return f"{rows}_{i}[((t - begin) * {call.args[0].count + 1} + {k}) * ROW + i]"

    def _forward(self, node: Node, names: dict[Node, str]) -> None:
        text, number = self.text, self.numbers[node]
        body, start, operands, _ = parts_of_call(node)
        given = dict(zip(body.operands, (names[operand] for operand in operands), strict=True))
        for i, first in enumerate(start):
            text.add(f"{text.kind(first)} state{number}_{i} = {names[first]};")
            if node in self.kept and node not in text.path_rows:
                text.add(f"{text.kind(first)} path{number}_{i}[{body.count}];")
            given[body.carried[i]] = f"state{number}_{i}"
        text.add(f"for (int k = 0; k < {body.count}; ++k) {{")
        kept = range(len(start)) if node in self.kept or node in text.path_rows else ()
        for i in kept:
            text.add(f"{self._path(node, i, 'k')} = state{number}_{i};")
        found = self._round(body.after, names | given)
        for i, name in enumerate(found):
            text.add(f"const {text.kind(start[i])} after{i} = {name};")
        for i in range(len(start)):
            text.add(f"state{number}_{i} = after{i};")
        text.close(1)
        for i in kept if node in text.path_rows else ():
            text.add(f"{self._path(node, i, body.count)} = state{number}_{i};")

    def _backward(self, node: Node, names: dict[Node, str]) -> None:
        text, number = self.text, self.numbers[node]
        derivative, call, *rest = node.args
        body, _, operands, _ = parts_of_call(call)
        rest, count = rest[len(derivative.fixed) :], len(derivative.present)
        arriving = dict(zip(derivative.present, rest[:count], strict=True))
        # In a step with products the flags are operands, in a loop of its own they are known by name.
        flags = zip(rest[:count], rest[count:], strict=False)
        conditions = text.conditions | {arrives: f"{names[flag]}[0] != 0" for arrives, flag in flags}
        given = dict(zip(body.operands, (names[operand] for operand in operands), strict=True))
        given |= {leaf: self._path(call, i, "k") for i, leaf in enumerate(body.carried)}
        rounds = [self._arriving(derivative, number, i, arriving, names) for i in range(len(body.carried))]
        for j, gradient in enumerate(derivative.gradients):
            if j < len(body.carried):
                given[derivative.arriving[j]] = f"sum{number}_{j}"
            elif gradient is not None:
                text.add(f"{text.kind(gradient)} sum{number}_{j} = {text.kind(gradient)}{{}};")
        made_of = arrivals(derivative)
        guarded = {
            node: " || ".join(f"came{number}_{i}" for i in sorted(leaves))
            for node, leaves in made_of.items()
            if leaves and not keeps_zero(node)
        }
        if guarded:
            self._arrivals(derivative, number, {at: conditions[node] for at, node in arriving.items()})
        text.add(f"for (int k = {body.count - 1}; k >= 0; --k) {{")
        for i, several in enumerate(rounds):
            if several:
                text.add(f"sum{number}_{i} += arriving{number}_{i}[k];")
        arrives = {}
        if guarded:
            for i in range(len(body.carried)):
                text.add(f"came{number}_{i} = came{number}_{i} || outside{number}_{i}[k];")
            arrives = text.masks(guarded, f"arrives{number}_")
        found = iter(self._round([g for g in derivative.gradients if g is not None], names | given, arrives))
        results = [None if gradient is None else next(found) for gradient in derivative.gradients]
        for j, name in enumerate(results):
            if j < len(body.carried):
                kind = text.kind(body.carried[j])
                text.add(f"const {kind} before{j} = {f'{kind}{{}}' if name is None else name};")
            elif name is not None:
                text.add(f"sum{number}_{j} += {name};")
        for j in range(len(body.carried)):
            text.add(f"sum{number}_{j} = before{j};")
        if guarded:
            for j, gradient in enumerate(derivative.gradients[: len(body.carried)]):
                came = " || ".join(f"came{number}_{i}" for i in sorted(made_of.get(gradient, ())))
                text.add(f"const bool coming{j} = {came or 'false'};")
            for j in range(len(body.carried)):
                text.add(f"came{number}_{j} = coming{j};")
        text.close(1)

    def _arrivals(self, derivative: Derivative, number: str, conditions: Mapping[tuple[int, int], str]) -> None:
        """Declare whether each gradient that is carried arrives, from the round after and from outside."""
        text, body = self.text, derivative.body
        for i in range(len(body.carried)):
            outside = [conditions.get((k, i), "false") for k in range(body.count)]
            text.add(f"bool came{number}_{i} = false;")
            text.add(f"bool outside{number}_{i}[{body.count}] = {{}};")
            for k, condition in enumerate(outside):
                if condition != "false":
                    text.add(f"outside{number}_{i}[{k}] = {condition};")

    def _arriving(self, derivative: Derivative, number: str, i: int, arriving: dict, names: dict[Node, str]) -> bool:
        """Declare a gradient that is carried; whether it also arrives before the last round."""
        text, body = self.text, derivative.body
        kind, last = text.kind(body.carried[i]), (body.count - 1, i)
        several = any(at[1] == i and at != last for at in arriving)
        start = f"{kind}{{}}" if several or last not in arriving else names[arriving[last]]
        text.add(f"{kind} sum{number}_{i} = {start};")
        if several:
            text.add(f"{kind} arriving{number}_{i}[{body.count}] = {{}};")
            for (k, _), node in ((at, node) for at, node in arriving.items() if at[1] == i):
                text.add(f"arriving{number}_{i}[{k}] = {names[node]};")
        return several

    def _round(
        self, results: Iterable[Node], names: dict[Node, str], arrives: Mapping[Node, str] = MappingProxyType({})
    ) -> list[str]:
        """The nodes of a round; returns the names of its results."""
        results, names = list(results), dict(names)
        self.text.body(ordered(results, frozenset(names)), names, arrives=arrives)
        return [names[node] for node in results]
