"""What a replay hands to the derivative beside the states, because to compute it twice would take longer."""

from collections.abc import Iterable

from ..record.graph import Node, ordered
from .loops import BackwardPlan

_WORK = {
    **dict.fromkeys(("constant", "input"), 0.0),
    **dict.fromkeys(("div", "reciprocal", "sqrt", "rsqrt"), 5.0),
    **dict.fromkeys(("exp", "expm1", "log", "log1p", "sin", "cos", "sigmoid", "sinh", "cosh", "tanh", "erf"), 20.0),
    **dict.fromkeys(("pow", "normal", "random_bits", "repeat"), 60.0),
}
"""Instructions that an operation takes; of all others, one."""
_PRICE = 2.0
"""Instructions that it takes to write a number down and to read it."""
_SEGMENT = 10
"""Steps of a segment, about: the replay of a last one is for what is kept only."""
_LARGEST = 400
"""Nodes of a derivative that are tried one after the other in no time."""


def worth_keeping(plan: BackwardPlan, known: Iterable[Node] = ()) -> list[Node]:
    """Nodes of the replay from which the derivative goes on, the most useful ones first.

    Args:
        plan: the loop.
        known: nodes that the derivative need not compute in any case.
    """
    replayed, body, known = {*plan.replay_body}, {*plan.body}, frozenset(known)
    kept: list[Node] = [node for node in plan.replay_body if node.op == "normal" and node in body]

    def needed() -> list[Node]:
        return [node for node in ordered(plan.gradients, known.union(kept)) if node in body]

    now = needed()
    price = 0.0 if kept or known else sum(map(_work, plan.replay_body)) / _SEGMENT
    chosen = len(kept)
    while len(body) <= _LARGEST:
        best = None
        for candidate in _candidates(now, replayed):
            kept.append(candidate)
            left = needed()
            kept.pop()
            gain = sum(map(_work, now)) - sum(map(_work, left)) - _PRICE
            if best is None or gain > best[0]:
                best = gain, candidate, left
        if best is None or best[0] <= 0:
            break
        kept.append(best[1])
        now, price = best[2], price - best[0]
    return kept if price < 0 else kept[:chosen]


def _candidates(nodes: list[Node], replayed: set[Node]) -> list[Node]:
    """Numbers that the replay also computes, and which something is made of that it does not."""
    used = {source for node in nodes if node not in replayed for source in node.sources}
    return [node for node in nodes if node in used and node in replayed and _is_number(node)]


def _is_number(node: Node) -> bool:
    return node.dtype.is_floating_point and not node.op.startswith("repeat") and node.op != "constant"


def _work(node: Node) -> float:
    return _WORK.get(node.op, 1.0)
