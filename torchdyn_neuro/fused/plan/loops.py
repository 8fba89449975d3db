"""What the two loops over time load, compute, carry and store: the part of emitting that no language changes.

Both loops treat each element [B, \\*] by itself. ``hoisted`` nodes depend on parameters alone and are computed once,
before the loop; ``body`` nodes are computed at every step, in the order given.

The forward loop, for t = 0 ... T - 1::

    hoisted
    if t > 0 and t % checkpoint_every == 0: store the states listed in BackwardPlan.states  (training only)
    load inputs at t; body; store outputs at t; states = next_states

The backward loop, over segments of ``checkpoint_every`` steps from the last to the first::

    hoisted
    load the states of the segment's checkpoint (of the first segment: the first states)
    for t in the segment, forward:  keep states at t; load replay_inputs at t; replay_body; states = next_states
    for t in the segment, backward: load inputs and output_gradients at t; states as kept at t; body;
                                    store grad_inputs at t; add grad_parameters to their sums;
                                    state_gradients = grad_states (zero where None)

A gradient that does not arrive, from an output or a state that nobody used, is absent and not zero: zero times an
infinite slope would be NaN. So a result of ``BackwardPlan.guarded`` is zero where none of the gradients arrives that it
is made of (``BackwardPlan.arrivals``).

It begins from the gradients of the last states and ends with those of the first. A state, an input, a parameter or an
output whose number is not listed is neither loaded nor saved.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from ..record.graph import Node, StepGraph, ordered
from ..record.repeat import arrivals_of, keeps_zero


@dataclass(frozen=True, eq=False)
class ForwardPlan:
    """The forward loop.

    Args:
        graph: the step.
        parameters: numbers of the parameters that are loaded.
        hoisted: nodes before the loop.
        body: nodes of a step.
    """

    graph: StepGraph
    parameters: tuple[int, ...]
    hoisted: tuple[Node, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class BackwardPlan:
    """The backward loop.

    Args:
        graph: the step.
        parameters: numbers of the parameters that are loaded.
        states: numbers of the states that are checkpointed and replayed.
        inputs: numbers of the inputs that are saved: those of the replay and of the derivative.
        replay_inputs: numbers of the inputs that the replay loads.
        output_gradients: numbers of the outputs whose gradient is loaded.
        carried: numbers of the states whose gradient is carried from step to step; that of the others is zero.
        hoisted: nodes before the loop.
        replay_body: nodes of a step of the replay.
        body: nodes of a step of the derivative.
    """

    graph: StepGraph
    parameters: tuple[int, ...]
    states: tuple[int, ...]
    inputs: tuple[int, ...]
    replay_inputs: tuple[int, ...]
    output_gradients: tuple[int, ...]
    carried: tuple[int, ...]
    hoisted: tuple[Node, ...]
    replay_body: tuple[Node, ...]
    body: tuple[Node, ...]

    @property
    def gradients(self) -> tuple[Node, ...]:
        """The results of a step that are not structurally zero."""
        graph = self.graph
        return tuple(g for g in (*graph.grad_states, *graph.grad_inputs, *graph.grad_parameters) if g is not None)

    @functools.cached_property
    def arrivals(self) -> dict[Node, frozenset[Node]]:
        """The arriving gradients that a node of the derivative is made of."""
        leaves = (*self.graph.state_gradients, *self.graph.output_gradients)
        return arrivals_of((*self.hoisted, *self.body), leaves)

    @functools.cached_property
    def guarded(self) -> frozenset[Node]:
        """The nodes that must be kept from a slope without end where no gradient arrives."""
        return frozenset(node for node in self.body if self.arrivals[node] and not keeps_zero(node))

    def conditions(self, never: str, either: str) -> dict[Node | None, str]:
        """When a gradient arrives at a node, in a language; ``ds..._arrives`` and ``dy..._arrives`` are of leaves."""
        names = {self.graph.state_gradients[k]: f"ds{k}_arrives" for k in self.carried}
        names |= {self.graph.output_gradients[k]: f"dy{k}_arrives" for k in self.output_gradients}
        found: dict[Node | None, str] = {None: never}
        for node, leaves in self.arrivals.items():
            found[node] = either.join(sorted(names[leaf] for leaf in leaves if leaf in names)) or never
        return found


def plan_forward(graph: StepGraph) -> ForwardPlan:
    """The forward loop of a step."""
    results = (*graph.next_states, *graph.outputs)
    hoisted, body = _split(ordered(results), graph.parameters)
    return ForwardPlan(graph, _numbers(graph.parameters, ordered(results)), hoisted, body)


def plan_backward(graph: StepGraph) -> BackwardPlan:
    """The backward loop of a step; its replay computes again only the states that the derivative reads."""
    results = [
        gradient
        for gradient in (*graph.grad_states, *graph.grad_inputs, *graph.grad_parameters)
        if gradient is not None
    ]
    derivative = ordered(results)
    states: set[int] = set()
    replayed: list[Node] = []
    wanted = set(_numbers(graph.states, derivative))
    while wanted != states:
        states = wanted
        replayed = ordered(graph.next_states[k] for k in sorted(states))
        wanted = states | set(_numbers(graph.states, replayed))
    hoisted, _ = _split(ordered([*results, *(graph.next_states[k] for k in sorted(states))]), graph.parameters)
    given = frozenset((*hoisted,))
    every = [*derivative, *replayed]
    return BackwardPlan(
        graph=graph,
        parameters=_numbers(graph.parameters, every),
        states=tuple(sorted(states)),
        inputs=_numbers(graph.inputs, every),
        replay_inputs=_numbers(graph.inputs, replayed),
        output_gradients=_numbers(graph.output_gradients, derivative),
        carried=tuple(
            k for k, leaf in enumerate(graph.state_gradients) if leaf in derivative or graph.grad_states[k] is not None
        ),
        hoisted=hoisted,
        replay_body=tuple(node for node in replayed if node.op != "input" and node not in given),
        body=tuple(node for node in derivative if node.op != "input" and node not in given),
    )


def loop_parameters(graph: StepGraph) -> list[int]:
    """The numbers of the parameters that a loop reads, or has a gradient for."""
    read = {*plan_forward(graph).parameters, *plan_backward(graph).parameters}
    return [k for k in range(len(graph.parameters)) if k in read or graph.grad_parameters[k] is not None]


def _split(nodes: list[Node], parameters: Iterable[Node]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Those that depend on parameters and constants alone, and the others; leaves are left out."""
    fixed = set(parameters)
    hoisted, body = [], []
    for node in nodes:
        if node.op == "input":
            continue
        if all(source in fixed for source in node.sources):
            fixed.add(node)
            hoisted.append(node)
        else:
            body.append(node)
    return tuple(hoisted), tuple(body)


def _numbers(leaves: tuple[Node, ...], nodes: Iterable[Node]) -> tuple[int, ...]:
    present = set(nodes)
    return tuple(k for k, leaf in enumerate(leaves) if leaf in present)
