"""The order of the nodes of a graph, and the loops in it."""

from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import NamedTuple


class Loop(NamedTuple):
    """Nodes in a circle: those from the one that is given the input to the one that gives the output, and those on the
    way back.
    """

    onward: tuple[str, ...]
    back: tuple[str, ...]


class Wiring(NamedTuple):
    """Nodes and loops in an order in which each comes after what it is given, and what that is, by node or loop."""

    order: list[str | Loop]
    sources: dict[str | Loop, tuple[str | Loop, ...]]


def wiring(nodes: Iterable[str], edges: list[tuple[str, str]]) -> Wiring:
    """The order of a graph whose loops are simple.

    Raises:
        ValueError: if a loop is none: if its nodes lie in no circle, or more than one is given something from outside
            or gives something there.
    """
    reached = _reached(nodes, edges)
    place: dict[str, str | Loop] = {}
    for name in reached:
        if name in reached[name]:
            if name not in place:
                loop = _loop({other for other in reached[name] if name in reached[other]}, edges)
                place |= dict.fromkeys((*loop.onward, *loop.back), loop)
        else:
            place[name] = name
    sources: dict[str | Loop, list[str | Loop]] = {part: [] for part in place.values()}
    for source, target in edges:
        if place[source] != place[target]:
            sources[place[target]].append(place[source])
    order = list(TopologicalSorter(sources).static_order())
    return Wiring(order, {part: tuple(given) for part, given in sources.items()})


def _reached(nodes: Iterable[str], edges: list[tuple[str, str]]) -> dict[str, set[str]]:
    """Which nodes can be reached from each along one edge or more."""
    onward = {name: [b for a, b in edges if a == name] for name in nodes}
    found: dict[str, set[str]] = {}
    for name in onward:
        seen: set[str] = set()
        waiting = list(onward[name])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting += onward[other]
        found[name] = seen
    return found


def _loop(members: set[str], edges: list[tuple[str, str]]) -> Loop:
    inner = [(a, b) for a, b in edges if a in members and b in members]
    entries = {b for a, b in edges if b in members and a not in members}
    exits = {a for a, b in edges if a in members and b not in members}
    after = dict(inner)
    if len(entries) != 1 or len(exits) != 1 or len(inner) != len(members):
        raise ValueError(
            "from_nir: expected loops of nodes in a circle, with one that is given the input and one that gives the "
            f"output, so that it is known which edge takes a step, got one through {', '.join(sorted(members))}; put "
            "the inner loops into graphs of their own"
        )
    entry, last = entries.pop(), exits.pop()
    circle = [entry]
    while after[circle[-1]] != entry:
        circle.append(after[circle[-1]])
    split = circle.index(last) + 1
    return Loop(tuple(circle[:split]), tuple(circle[split:]))
