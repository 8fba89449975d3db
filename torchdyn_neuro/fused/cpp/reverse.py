"""C++ for the derivative of a step that another loop calls again and again: no time loop of its own.

``prepare`` computes what depends on parameters alone. ``replay`` goes through a step once more: it writes the states
behind those before it, and lists the neurons whose output has a slope, the only ones whose output a gradient is worth
finding for. ``reverse`` takes a gradient back through the step. As in :mod:`~torchdyn_neuro.fused.cpp.stepper`, arrays
are as long as whole blocks.
"""

import functools
from collections.abc import Sequence

import torch

from ..plan.loops import BackwardPlan
from ..record.graph import Node, ordered
from .expressions import as_key
from .stepper import StepperText, emit_prepare, held_names, held_nodes

_TOGETHER = 64
"""Neurons of which ranges are multiples."""


def sloped(plan: BackwardPlan) -> Node | None:
    """Where a gradient of the output leads anywhere; ``None`` if it does everywhere.

    A factor that no parameter alone decides on, such as the slope of a surrogate, may be zero; all else is taken to
    hand a gradient on.
    """
    (leaf,) = plan.graph.output_gradients
    fixed = {*plan.graph.parameters, *plan.hoisted}
    always = Node("constant", (True,), torch.bool)
    reached: dict[Node, Node] = {leaf: always}
    made: dict[tuple, Node] = {}

    def joined(op: str, one: Node, other: Node) -> Node:
        if one is other:
            return one
        if always in (one, other):
            return always if op == "or" else other if one is always else one
        return made.setdefault((op, id(one), id(other)), Node(op, (one, other), torch.bool))

    for node in plan.body:
        sources = [source for source in node.sources if source in reached]
        if node.op == "where" and node.args[0].op == "constant":
            sources = [source for source in [node.args[1 if node.args[0].args[0] else 2]] if source in reached]
        if not sources:
            continue
        reached[node] = functools.reduce(functools.partial(joined, "or"), [reached[source] for source in sources])
        factor = next((source for source in node.sources if source not in sources), None)
        if node.op == "mul" and factor is not None and factor not in fixed and factor.op not in ("constant", "number"):
            zero = Node("constant", (0.0,), factor.dtype)
            test = made.setdefault(("ne", id(factor)), Node("ne", (factor, zero), torch.bool))
            reached[node] = joined("and", reached[node], test)
    found = [reached[node] for node in plan.gradients if node in reached]
    if not found:
        return Node("constant", (False,), torch.bool)
    whole = functools.reduce(functools.partial(joined, "or"), found)
    return None if whole is always else whole


def _tested(plan: BackwardPlan, near: Node | None) -> list[Node]:
    fixed = {*plan.hoisted}
    return [] if near is None else [node for node in ordered([near]) if node.op != "input" and node not in fixed]


def reverse_holds(plan: BackwardPlan) -> tuple[list[Node], list[Node]]:
    """What the functions hold; see :func:`~torchdyn_neuro.fused.cpp.stepper.held_nodes`."""
    states = [plan.graph.next_states[k] for k in plan.states]
    return held_nodes(plan, (*plan.body, *plan.replay_body, *plan.gradients, *states, *_tested(plan, sloped(plan))))


def emit_reverse(plan: BackwardPlan) -> str:
    """The three functions.

    prepare: as that of a stepper.
    replay: tensors: what is held of all, what is held of each; inputs: the first entry of each for this range; before:
    the states of the plan; after: likewise, written; the range of neurons, of which the first is a multiple of the
    block; the number of the first neuron of all; where the numbers of those with a slope go. Returns how many.
    reverse: tensors: as for replay; inputs: likewise, in the place of which their gradients are written; before: as for
    replay; gradients: of the output, in whose place zeros are written; of the states that are carried, in place; of the
    parameters where not None, added to; arrives: whether any gradient does, of the output and of the states that are
    carried, of which those of the step before are put in the place of the latter; the range.
    """
    graph, near = plan.graph, sloped(plan)
    tested = _tested(plan, near)
    alike, each = reverse_holds(plan)
    loaded = [graph.parameters[k] for k in plan.parameters]
    text = StepperText((*plan.hoisted, *plan.body, *plan.replay_body, *tested, *graph.states, *graph.inputs, *loaded))
    emit_prepare(text, plan, alike, each)
    _replay(text, plan, near, tested, alike, each)
    _reverse(text, plan, alike, each)
    return text.source()


def _held(text: StepperText, plan: BackwardPlan, alike: Sequence[Node], each: Sequence[Node]) -> dict[Node, str]:
    """Read what is held, all inputs by their pointers, and the states before; returns the names so far."""
    graph = plan.graph
    text.count = 0
    names = held_names(text, plan, alike, each)
    for n, k in enumerate(plan.states):
        stored = text.stored(graph.states[k].dtype)
        text.add(f"const {stored}* const s{k} = (const {stored}*)before[{n}];")
    return names


def _loaded(text: StepperText, plan: BackwardPlan, each: Sequence[Node], names: dict[Node, str]) -> None:
    graph = plan.graph
    for k in plan.inputs:
        node = graph.inputs[k]
        text.add(f"const {text.kind(node)} x{k}_t = load<{text.kind(node)}>(x{k} + (j - begin));")
        names[node] = f"x{k}_t"
    pairs = [("s", k, graph.states[k]) for k in plan.states] + [("each", k, node) for k, node in enumerate(each)]
    for prefix, k, node in pairs:
        text.add(f"const {text.kind(node)} {prefix}{k}_t = load<{text.kind(node)}>({prefix}{k} + j);")
        names[node] = f"{prefix}{k}_t"
    for node, name in text.draw_rows.items():
        text.add(f"Draws<{text.kind(node)}> {name};")
        text.add(f"{name}.forget();")
        text.draws[node] = f"&{name}, (Draws<{text.kind(node)}>*)nullptr"


def _replay(
    text: StepperText,
    plan: BackwardPlan,
    near: Node | None,
    tested: Sequence[Node],
    alike: Sequence[Node],
    each: Sequence[Node],
) -> None:
    graph = plan.graph
    text.add(
        'extern "C" I replay(void* const* tensors, void* const* inputs, void* const* before, void* const* after, '
        "I begin, I end, I first, int32_t* near) {"
    )
    names = _held(text, plan, alike, each)
    for n, k in enumerate(plan.states):
        stored = text.stored(graph.states[k].dtype)
        text.add(f"{stored}* const to{k} = ({stored}*)after[{n}];")
    text.add("I count = 0;")
    # One look at whether there are any for many neurons: hardly ever.
    text.add(f"enum {{ TOGETHER = {_TOGETHER} / LANES }};")
    text.add("for (I block = begin; block < end; block += TOGETHER * LANES) {")
    if near is not None:
        kind = text.kind(near)
        text.add(f"{kind} slopes[TOGETHER], some = {kind}{{}};")
    text.add("for (int part = 0; part < TOGETHER; ++part) {")
    text.add("const I j = block + part * LANES;")
    _loaded(text, plan, each, names)
    text.body(plan.replay_body, names)
    for k in plan.states:
        node = graph.next_states[k]
        text.add(f"store(to{k} + j, {as_key(node, names[node])}, false);")
    if near is None:
        text.add("for (int l = 0; l < LANES; ++l)")
        text.add("if (j + l < end) near[count++] = (int32_t)(first + j + l);")
    else:
        text.body([node for node in tested if node not in names], names)
        text.add(f"slopes[part] = {names[near]};")
        text.add("some = some | slopes[part];")
    text.close(1)
    if near is not None:
        text.add("if (__builtin_expect(any(some), 0))")
        text.add("for (int part = 0; part < TOGETHER; ++part)")
        text.add("for (int l = 0; l < LANES; ++l)")
        text.add("if (slopes[part][l] && block + part * LANES + l < end)")
        text.add("near[count++] = (int32_t)(first + block + part * LANES + l);")
    text.close(1)
    text.add("return count;")
    text.close(1)


def _reverse(text: StepperText, plan: BackwardPlan, alike: Sequence[Node], each: Sequence[Node]) -> None:
    graph = plan.graph
    (output,) = graph.output_gradients
    parameters = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
    text.add(
        'extern "C" void reverse(void* const* tensors, void* const* inputs, void* const* before, '
        "void* const* gradients, char* arrives, I begin, I end) {"
    )
    names = _held(text, plan, alike, each)
    stored = text.stored(output.dtype)
    text.add(f"{stored}* const dy0 = ({stored}*)gradients[0];")
    text.add("const bool dy0_arrives = arrives[0];")
    for n, k in enumerate(plan.carried):
        stored = text.stored(graph.states[k].dtype)
        text.add(f"{stored}* const ds{k} = ({stored}*)gradients[{1 + n}];")
        text.add(f"const bool ds{k}_arrives = arrives[{1 + n}];")
    for n, k in enumerate(parameters):
        stored = text.stored(graph.summed_as(k))
        text.add(f"{stored}* const dp{k} = ({stored}*)gradients[{1 + len(plan.carried) + n}];")
    text.conditions = plan.conditions("false", " || ")
    for k in plan.carried:
        text.add(f"const bool ds{k}_came = {text.conditions[graph.grad_states[k]]};")
    arriving = text.masks({n: text.conditions[n] for n in plan.body if n in plan.guarded}, "arrives_")
    text.add("for (I j = begin; j < end; j += LANES) {")
    _loaded(text, plan, each, names)
    for k in plan.carried:
        node = graph.state_gradients[k]
        text.add(f"const {text.kind(node)} ds{k}_t = load<{text.kind(node)}>(ds{k} + j);")
        names[node] = f"ds{k}_t"
    text.add(f"const {text.kind(output)} dy0_t = load<{text.kind(output)}>(dy0 + j);")
    text.add(f"store(dy0 + j, {text.kind(output)}{{}}, false);")
    names[output] = "dy0_t"
    text.body(plan.body, names, arrives=arriving)
    for k, node in enumerate(graph.inputs):
        gradient = graph.grad_inputs[k]
        value = f"{text.kind(node)}{{}}" if gradient is None else names[gradient]
        text.add(f"store(x{k} + (j - begin), {value}, false);")
    for k in parameters:
        node = graph.grad_parameters[k]
        kind = text.kind(node)
        text.add(f"store(dp{k} + j, load<{kind}>(dp{k} + j) + {names[node]}, false);")
    for k in plan.carried:
        gradient = graph.grad_states[k]
        value = f"{text.kind(graph.states[k])}{{}}" if gradient is None else names[gradient]
        text.add(f"const {text.kind(graph.states[k])} before{k} = {value};")
    for k in plan.carried:
        text.add(f"store(ds{k} + j, before{k}, false);")
    text.close(1)
    # Whoever calls keeps the flags of a step until all of its neurons are through.
    for n, k in enumerate(plan.carried):
        text.add(f"arrives[{1 + len(plan.carried) + n}] = ds{k}_came;")
    text.close(1)
