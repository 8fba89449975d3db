"""An order of the nodes of a step in which few values wait at a time, for a loop that keeps them in registers."""

from collections.abc import Callable, Iterable, Sequence

import torch

from ..record.graph import Node


def registers(node: Node) -> int:
    """Registers of 32 bits that a value takes; a constant is part of its instruction, a mask has a register apart."""
    if node.op == "constant" or node.dtype == torch.bool:
        return 0
    wide = node.dtype in (torch.float64, torch.int64) and node.op != "random_bits"
    return 2 if wide else 1


def most_alive(nodes: Sequence[Node], leaves: Iterable[Node], lasting: Iterable[Node]) -> int:
    """Registers that are taken at the same time, at most, when ``nodes`` are computed in the order given.

    Args:
        nodes: each after its sources.
        leaves: values that are there at the beginning and may be given up after their last use.
        lasting: values that are still needed at the end.
    """
    waiting = _Waiting(nodes, leaves, lasting)
    alive = most = sum(registers(leaf) for leaf in {*leaves} if waiting.uses[leaf])
    for node in nodes:
        alive += waiting.change(node)
        waiting.place(node)
        most = max(most, alive)
    return most


def few_alive(nodes: Sequence[Node], leaves: Iterable[Node], lasting: Iterable[Node]) -> tuple[Node, ...]:
    """``nodes`` in an order, each after its sources, that keeps :func:`most_alive` small.

    The next node is the one that ends most lives and begins fewest, and among equals the one that goes on with the
    newest value. That is a rule of thumb, so the order given is returned where it is as good.
    """
    leaves, lasting = list(leaves), list(lasting)
    waiting = _Waiting(nodes, leaves, lasting)
    given = {node: place for place, node in enumerate(nodes)}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    missing = {}
    for node in nodes:
        sources = {source for source in node.sources if source in given}
        missing[node] = len(sources)
        for source in sources:
            users[source].append(node)
    ready = [node for node in nodes if not missing[node]]
    placed: dict[Node, int] = {}

    def merit(node: Node) -> tuple[int, int, int]:
        newest = max((placed[source] for source in node.sources if source in placed), default=-1)
        return -waiting.change(node), newest, -given[node]

    while ready:
        node = max(ready, key=merit)
        ready.remove(node)
        placed[node] = len(placed)
        waiting.place(node)
        for user in users[node]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return min(tuple(nodes), tuple(placed), key=_alive(leaves, lasting))


def _alive(leaves: list[Node], lasting: list[Node]) -> Callable[[Sequence[Node]], int]:
    return lambda nodes: most_alive(nodes, leaves, lasting)


class _Waiting:
    """How often each value will still be used."""

    def __init__(self, nodes: Iterable[Node], leaves: Iterable[Node], lasting: Iterable[Node]):
        self.uses = dict.fromkeys((*leaves, *nodes), 0)
        for source in [source for node in nodes for source in {*node.sources}] + list({*lasting}):
            if source in self.uses:
                self.uses[source] += 1

    def change(self, node: Node) -> int:
        """By how much the registers taken grow when ``node`` is computed."""
        born = registers(node) if self.uses[node] else 0
        return born - sum(registers(source) for source in {*node.sources} if self.uses.get(source) == 1)

    def place(self, node: Node) -> None:
        """Compute ``node``."""
        for source in {*node.sources}:
            if source in self.uses:
                self.uses[source] -= 1
