"""The order of the nodes of a step: valid, and with few values waiting."""

import itertools

import pytest
import torch

from torchdyn_neuro.fused.plan.schedule import few_alive, most_alive
from torchdyn_neuro.fused.record.graph import Node


def leaf(number, dtype=torch.float32):
    return Node("input", (float(number),), dtype)


def node(op, *args, dtype=torch.float32):
    return Node(op, args, dtype)


def products(count):
    """The sum of products of neighbours, with all products first."""
    leaves = [leaf(k) for k in range(2 * count)]
    terms = [node("mul", leaves[2 * k], leaves[2 * k + 1]) for k in range(count)]
    sums = list(itertools.accumulate(terms, lambda x, y: node("add", x, y)))[1:]
    return leaves, [*terms, *sums], sums[-1]


def test_what_is_alive_is_counted():
    x, y = leaf(0), leaf(1)
    double = node("mul", x, x)
    total = node("add", double, y)
    assert most_alive([double, total], [x, y], [total]) == 2
    assert most_alive([double, total], [x, y], [total, x]) == 3
    unread = leaf(2)
    assert most_alive([double, total], [x, y, unread], [total]) == 2


def test_registers_of_types():
    one = node("constant", 1.0)
    x = leaf(0, torch.float64)
    mask = node("gt", x, one, dtype=torch.bool)
    chosen = node("where", mask, x, one, dtype=torch.float64)
    assert most_alive([one, mask, chosen], [x], [chosen]) == 2


def test_a_value_is_used_soon_after_it_is_computed():
    squares = [node("exp", leaf(k)) for k in range(6)]
    users = [node("neg", square) for square in squares]
    total = list(itertools.accumulate(users, lambda x, y: node("add", x, y)))[1:]
    everything = [*squares, *users, *total]
    # Without leaves that wait: six values in the order given, a running sum and a term in the best.
    assert most_alive(everything, [], [total[-1]]) == 6
    assert most_alive(few_alive(everything, [], [total[-1]]), [], [total[-1]]) == 2


@pytest.mark.parametrize("count", [2, 3, 9])
def test_an_order_is_complete_and_each_node_follows_its_sources(count):
    leaves, nodes, last = products(count)
    found = few_alive(nodes, leaves, [last])
    assert sorted(map(id, found)) == sorted(map(id, nodes))
    place = {node: k for k, node in enumerate(found)}
    assert all(place[source] < place[node] for node in found for source in node.sources if source in place)
    assert most_alive(found, leaves, [last]) <= most_alive(nodes, leaves, [last])


def test_no_order_is_better_where_all_can_be_tried():
    x = leaf(0)
    a, b = node("exp", x), node("sin", x)
    c, d = node("neg", a), node("neg", b)
    e = node("mul", c, d)
    nodes = [a, b, c, d, e]

    def valid(order):
        place = {node: k for k, node in enumerate(order)}
        return all(place[source] < place[node] for node in order for source in node.sources if source in place)

    best = min(most_alive(order, [x], [e]) for order in itertools.permutations(nodes) if valid(order))
    assert most_alive(few_alive(nodes, [x], [e]), [x], [e]) == best
