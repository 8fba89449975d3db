"""Triton for the two loops of a plan: tensors and sizes are those of the C++ loops, each thread carries one element.

T is a number that the kernel is given, so a new length compiles nothing and no loop is unrolled over time. Only the
steps of one segment, which are few and known, are written out, where the registers hold them: then a segment is loaded
as a whole while another is computed, its states do not go through memory, and nothing is loaded twice. A larger step is
written once, in a loop over the segment, and its states wait in memory.

No element knows another and nothing is added up across threads, so two runs are bitwise equal: the gradient of a
parameter is left as one number per element, to be summed outside.

A kernel is called ``run``. Tensors that may be absent come with a flag ``HAS_...``, parameters of one number with
``ONE_...``. The last tensors of a backward loop that is not written out, ``w``, are room for the states of a segment.
"""

import functools
from collections.abc import Sequence

from ..plan.loops import BackwardPlan, ForwardPlan
from ..plan.schedule import few_alive, registers
from ..record.graph import Node
from .text import KernelText, absent, leaf_names, load, store, zeros

_MOST_LINES = 1000
"""Nodes of a segment that is written out: more take seconds to compile. Half of it forward, which gains less."""
_MOST_REGISTERS = 96
"""Of a segment that is written out, of the 255 that a thread has; the others are for addresses and within a step."""


def emit_forward(plan: ForwardPlan, every: int) -> str:
    """The forward loop over segments of ``every`` steps.

    tensors: inputs, first states, parameters of the plan, then the results: outputs, last states, checkpoints of all
    states. sizes: T, M (elements of a frame), the time strides of the inputs, then for each parameter of the plan how
    it lies in the frame.
    """
    graph, text = plan.graph, KernelText()
    inputs, outputs, states = (range(len(leaves)) for leaves in (graph.inputs, graph.outputs, graph.states))
    tensors = [f"x{k}" for k in inputs] + [f"first{k}" for k in states]
    tensors += [f"p{k}_values" for k in plan.parameters] + [f"y{k}" for k in outputs]
    tensors += [f"last{k}" for k in states] + [f"saved{k}" for k in states]
    text.kernel(tensors, [f"x{k}" for k in inputs], plan.parameters, [f"HAS_saved{k}" for k in states])
    names = leaf_names(graph)
    text.parameters(graph, plan.parameters)
    text.compute(plan.hoisted, names)
    width = every if _forward_is_written_out(plan, every) else 1
    text.lines(*(f"s{k} = {load(f'first{k} + start + lane')}" for k in states))
    walked = [*(f"x{k}" for k in inputs), *(f"y{k}" for k in outputs), *(f"saved{k}" for k in states)]
    text.lines(*(f"{name}_row = {name} + start" for name in walked), "left = T")
    for k in inputs:
        for u in range(width):
            text.fetch(f"x{k}_ahead{u}", f"x{k}_row", f"+= x{k}_stride", f"inside & (left > {u})")
    with text.block(f"for segment in range((T + {every - 1}) // {every}):"):
        for k in states:
            # The states of the first segment are the first states.
            with text.block(f"if HAS_saved{k}:"), text.block("if segment > 0:"):
                text.put(f"saved{k}_row", f"s{k}", "+= size", "inside")
        if width == every:
            _steps(text, plan, names, width)
        else:
            with text.block(f"for step in range(tl.minimum(left, {every})):"):
                _steps(text, plan, names, width)
    text.lines(*(store(f"last{k} + start + lane", f"s{k}") for k in states))
    return text.source()


def _steps(text: KernelText, plan: ForwardPlan, names: dict[Node, str], width: int) -> None:
    """``width`` steps, of which those beyond the last change nothing."""
    graph, fixed = plan.graph, names
    inputs, states = range(len(graph.inputs)), range(len(graph.states))
    body = few_alive(plan.body, (*graph.states, *graph.inputs), graph.next_states)
    text.lines(*(f"x{k}_now{u} = x{k}_ahead{u}" for k in inputs for u in range(width)))
    for k in inputs:
        for u in range(width):
            text.fetch(f"x{k}_ahead{u}", f"x{k}_row", f"+= x{k}_stride", f"inside & (left > {u + width})")
    for u in range(width):
        names = fixed | {leaf: f"s{k}" for k, leaf in enumerate(graph.states)}
        names |= {leaf: f"x{k}_now{u}" for k, leaf in enumerate(graph.inputs)}
        text.compute(body, names)
        for k, node in enumerate(graph.outputs):
            text.put(f"y{k}_row", names[node], "+= size", _within(u))
        later = [names[node] for node in graph.next_states]
        text.assign([f"s{k}" for k in states], [_if_within(u, later[k], f"s{k}") for k in states])
    text.lines(f"left -= {width}")


def emit_backward(plan: BackwardPlan, every: int) -> str:
    """The backward loop over segments of ``every`` steps.

    tensors: inputs, first states, checkpoints, parameters, gradients of the outputs (of the plan), gradients of the
    last states that are carried, then the results: gradients of the first states that are carried, of the inputs, and
    of the parameters where these are not None, M numbers for each; then the room ``w``. sizes: as for the forward loop.
    """
    graph, text = plan.graph, KernelText()
    grad_inputs, grad_parameters = present(graph.grad_inputs), present(graph.grad_parameters)
    tensors = [f"x{k}" for k in plan.inputs] + [f"first{k}" for k in plan.states] + [f"saved{k}" for k in plan.states]
    tensors += [f"p{k}_values" for k in plan.parameters] + [f"dy{k}" for k in plan.output_gradients]
    tensors += [f"dlast{k}" for k in plan.carried] + [f"dfirst{k}" for k in plan.carried]
    tensors += [f"dx{k}" for k in grad_inputs] + [f"dp{k}_sums" for k in grad_parameters]
    written_out = backward_is_written_out(plan, every)
    tensors += [] if written_out else [f"w{k}" for k in plan.states]
    strided = [f"x{k}" for k in plan.inputs] + [f"dy{k}" for k in plan.output_gradients]
    laid_out = sorted({*plan.parameters, *grad_parameters})
    flags = [f"HAS_dlast{k}" for k in plan.carried] + [f"HAS_dy{k}" for k in plan.output_gradients]
    text.kernel(tensors, strided, laid_out, flags)
    names = leaf_names(graph)
    text.parameters(graph, plan.parameters)
    text.compute(plan.hoisted, names)
    for k in plan.carried:
        with text.block(f"if HAS_dlast{k}:"):
            text.lines(f"ds{k} = {load(f'dlast{k} + start + lane')}")
        with text.block("else:"):
            text.lines(f"ds{k} = {zeros(graph.states[k].dtype)}")
        text.lines(f"ds{k}_arrives = tl.full((), HAS_dlast{k}, tl.int1)")
    text.lines(*(f"dy{k}_arrives = tl.full((), HAS_dy{k}, tl.int1)" for k in plan.output_gradients))
    for k in grad_parameters:
        text.lines(f"dp{k} = {zeros(graph.summed_as(k))}")
    text.lines(f"place = (T + {every - 1}) // {every} - 1", f"left = T - place * {every}")
    (_segments_in_registers if written_out else _segments_in_memory)(text, plan, names, every)
    text.lines(*(store(f"dfirst{k} + start + lane", f"ds{k}") for k in plan.carried))
    text.lines(*(store(f"dp{k}_sums + start + lane", f"dp{k}") for k in grad_parameters))
    return text.source()


def _segments_in_registers(text: KernelText, plan: BackwardPlan, fixed: dict[Node, str], every: int) -> None:
    """Segments written out: one is loaded while the one after it in time is computed."""
    graph, (replay, body) = plan.graph, _in_order(plan)
    sequences = _strides(plan, plan.inputs)
    end = f"(tl.cast(place, tl.int64) * {every} + {every - 1})"
    _start_rows(text, plan, sequences, end)

    def fetch(mask: str) -> None:
        for k in plan.states:
            _find_checkpoint(text, k)
            text.lines(f"s{k}_ahead = {load(f's{k}_from + lane', 'inside & (place >= 0)')}")
        for name, stride in sequences.items():
            for u in reversed(range(every)):
                given = absent(plan, name)
                text.fetch(f"{name}_ahead{u}", f"{name}_row", f"-= {stride}", mask.format(u=u), given)

    fetch("inside & (left > {u})")
    with text.block(f"for segment in range((T + {every - 1}) // {every}):"):
        text.lines(*(f"{name}_now{u} = {name}_ahead{u}" for name in sequences for u in range(every)))
        text.lines(*(f"s{k} = s{k}_ahead" for k in plan.states), "place -= 1")
        fetch("inside & (place >= 0)")
        states = {graph.states[k]: f"s{k}" for k in plan.states}
        steps = []
        for u in range(every):
            names = fixed | states | {graph.inputs[k]: f"x{k}_now{u}" for k in plan.inputs}
            steps.append(names | {graph.output_gradients[k]: f"dy{k}_now{u}" for k in plan.output_gradients})
            if u + 1 < every:
                text.compute(replay, steps[u])
                states = {graph.states[k]: steps[u][graph.next_states[k]] for k in plan.states}
        for u in reversed(range(every)):
            _derivative(text, plan, body, steps[u], u)
        text.lines(f"left = {every}")


def _segments_in_memory(text: KernelText, plan: BackwardPlan, fixed: dict[Node, str], every: int) -> None:
    """Segments in loops over their steps; the states before each step but the last wait in memory."""
    graph, (replay, body) = plan.graph, _in_order(plan)
    read = {source for node in body for source in node.sources} | {*plan.gradients}
    sequences = _strides(plan, [k for k in plan.inputs if graph.inputs[k] in read])
    text.lines("before = T - 1")
    _start_rows(text, plan, sequences, "tl.cast(before, tl.int64)")
    for name, stride in sequences.items():
        text.fetch(f"{name}_ahead", f"{name}_row", f"-= {stride}", "inside", absent(plan, name))
    with text.block(f"for segment in range((T + {every - 1}) // {every}):"):
        if plan.states:
            _replay(text, plan, replay, fixed, every)
        with text.block("for step in range(left):"):
            for name, stride in sequences.items():
                text.lines(f"{name}_now = {name}_ahead")
                mask = "inside & (before > 0)"
                text.fetch(f"{name}_ahead", f"{name}_row", f"-= {stride}", mask, absent(plan, name))
            for k in plan.states:
                text.lines(f"s{k}_now = s{k}")
                text.fetch(f"s{k}", f"w{k}_row", "-= size", "inside & (step < left - 1)")
            names = fixed | {graph.states[k]: f"s{k}_now" for k in plan.states}
            names |= {graph.inputs[k]: f"x{k}_now" for k in plan.inputs}
            names |= {graph.output_gradients[k]: f"dy{k}_now" for k in plan.output_gradients}
            _derivative(text, plan, body, names, 0)
            text.lines("before -= 1")
        text.lines("place -= 1", f"left = {every}")


def _replay(text: KernelText, plan: BackwardPlan, nodes: Sequence[Node], fixed: dict[Node, str], every: int) -> None:
    """The states of a segment, computed again from its checkpoint."""
    graph = plan.graph
    for k in plan.states:
        _find_checkpoint(text, k)
        text.lines(f"s{k} = {load(f's{k}_from + lane')}", f"w{k}_row = w{k} + start")
    for k in plan.replay_inputs:
        text.lines(f"again{k}_row = x{k} + start + tl.cast(place, tl.int64) * {every} * x{k}_stride")
        text.fetch(f"again{k}_ahead", f"again{k}_row", f"+= x{k}_stride", "inside")
    with text.block("for step in range(left - 1):"):
        for k in plan.replay_inputs:
            text.lines(f"again{k}_now = again{k}_ahead")
            text.fetch(f"again{k}_ahead", f"again{k}_row", f"+= x{k}_stride", "inside & (step < left - 2)")
        for k in plan.states:
            text.put(f"w{k}_row", f"s{k}", "+= size", "inside")
        names = fixed | {graph.states[k]: f"s{k}" for k in plan.states}
        names |= {graph.inputs[k]: f"again{k}_now" for k in plan.replay_inputs}
        text.compute(nodes, names)
        text.assign([f"s{k}" for k in plan.states], [names[graph.next_states[k]] for k in plan.states])
    text.lines(*(f"w{k}_row -= size" for k in plan.states))
    # What is loaded below, this thread or another of its block has stored above.
    text.lines("tl.debug_barrier()")


def _derivative(text: KernelText, plan: BackwardPlan, nodes: Sequence[Node], names: dict[Node, str], u: int) -> None:
    """The derivative of step ``u`` of a segment; each result leaves as soon as it is known."""
    graph, done, arrives = plan.graph, set(), text.arrivals(plan)
    for node in (*nodes, *plan.gradients):
        text.compute((node,), names, arrives)
        if node in done:
            continue
        done.add(node)
        for k in present(graph.grad_inputs):
            if graph.grad_inputs[k] is node:
                text.put(f"dx{k}_row", names[node], "-= size", _within(u))
        for k in present(graph.grad_parameters):
            if graph.grad_parameters[k] is node:
                text.lines(f"dp{k} += {_if_within(u, names[node], '0.0')}")
    earlier = [graph.grad_states[k] for k in plan.carried]
    values = [
        zeros(graph.states[k].dtype) if node is None else names[node]
        for k, node in zip(plan.carried, earlier, strict=True)
    ]
    carried = [f"ds{k}" for k in plan.carried]
    text.assign(carried, [_if_within(u, value, name) for name, value in zip(carried, values, strict=True)])
    for name in carried:
        text.lines(f"{name}_arrives = {_if_within(u, f'{name}_came', f'{name}_arrives')}")


def _in_order(plan: BackwardPlan) -> tuple[Sequence[Node], Sequence[Node]]:
    """The nodes of a step of the replay and of the derivative, so that few values wait."""
    graph = plan.graph
    states, later = [graph.states[k] for k in plan.states], [graph.next_states[k] for k in plan.states]
    replay = few_alive(plan.replay_body, [*states, *(graph.inputs[k] for k in plan.replay_inputs)], later)
    arriving = [graph.output_gradients[k] for k in plan.output_gradients]
    carried = [graph.state_gradients[k] for k in plan.carried]
    earlier = [graph.grad_states[k] for k in plan.carried if graph.grad_states[k] is not None]
    inputs = [graph.inputs[k] for k in plan.inputs]
    return replay, few_alive(plan.body, [*states, *inputs, *arriving, *carried], earlier)


def _strides(plan: BackwardPlan, inputs: Sequence[int]) -> dict[str, str]:
    """The sequences that the derivative reads, with the stride of each."""
    return {f"x{k}": f"x{k}_stride" for k in inputs} | {f"dy{k}": f"dy{k}_stride" for k in plan.output_gradients}


def _start_rows(text: KernelText, plan: BackwardPlan, sequences: dict[str, str], row: str) -> None:
    """The rows at which the way back through the sequences begins."""
    walked = sequences | {f"dx{k}": "size" for k in present(plan.graph.grad_inputs)}
    text.lines(*(f"{name}_row = {name} + start + {row} * {stride}" for name, stride in walked.items()))


def _find_checkpoint(text: KernelText, k: int) -> None:
    """Where a state is found that a segment begins with."""
    with text.block("if place > 0:"):
        text.lines(f"s{k}_from = saved{k} + start + tl.cast(place - 1, tl.int64) * size")
    with text.block("else:"):
        text.lines(f"s{k}_from = first{k} + start")


def _within(u: int) -> str:
    # The first step of a segment is always one of the sequence.
    return f"inside & (left > {u})" if u else "inside"


def _if_within(u: int, value: str, otherwise: str) -> str:
    return f"tl.where(left > {u}, {value}, {otherwise})" if u else value


def present(nodes: Sequence[Node | None]) -> list[int]:
    """The numbers of those that are not ``None``."""
    return [k for k, node in enumerate(nodes) if node is not None]


def _forward_is_written_out(plan: ForwardPlan, every: int) -> bool:
    held = 2 * every * sum(map(registers, plan.graph.inputs))
    return every == 1 or (every * len(plan.body) <= _MOST_LINES // 2 and held <= _MOST_REGISTERS)


@functools.cache
def backward_is_written_out(plan: BackwardPlan, every: int) -> bool:
    """Whether the backward loop over segments of ``every`` steps keeps their states in registers."""
    graph, replayed = plan.graph, {*plan.replay_body}
    read = {source for node in plan.body if node not in replayed for source in node.sources} | {*plan.gradients}
    # What the replay and the derivative both compute is computed once and waits in between.
    waiting = sum(registers(node) for node in read & (replayed | {*graph.states, *graph.inputs}))
    inputs = sum(registers(graph.inputs[k]) for k in plan.inputs)
    arriving = sum(registers(graph.output_gradients[k]) for k in plan.output_gradients)
    held = every * (inputs + 2 * arriving + max(inputs, waiting))
    lines = every * (len(plan.replay_body) + len(plan.body))
    return every == 1 or (lines <= _MOST_LINES and held <= _MOST_REGISTERS)
