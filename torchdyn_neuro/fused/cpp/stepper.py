"""C++ for a step that another loop calls again and again: no time loop of its own, spikes as a list.

What depends on parameters alone is computed once, by ``prepare``, and held in arrays. ``step`` moves the states of a
range of neurons on in place, takes what has arrived at its inputs and leaves zeros there, and lists the neurons whose
output is not zero. Arrays are as long as whole blocks, so no vector ends within one.
"""

from collections.abc import Iterable, Sequence

from ...native.compiler import header
from ..plan.loops import BackwardPlan, ForwardPlan
from ..record.graph import Node, holds_numbers
from .expressions import as_key, constant
from .text import BLOCK, LoopText


class StepperText(LoopText):
    """The text of two functions."""

    def source(self) -> str:
        """What is compiled."""
        sizes = f"enum {{ BLOCK = {BLOCK}, ROW = BLOCK / LANES }};\n\n"
        return self.defines() + header(*self.headers()) + sizes + "\n".join(self.lines) + "\n"


def held_nodes(plan: ForwardPlan | BackwardPlan, users: Iterable[Node]) -> tuple[list[Node], list[Node]]:
    """What ``prepare`` computes and ``users`` read: what is one for all neurons, and what each has for itself."""
    graph = plan.graph
    loaded = [graph.parameters[k] for k in plan.parameters]
    read = {source for node in users for source in (*node.sources, node)}
    numbers = {node for node in loaded if holds_numbers(node)}
    uniform = {graph.parameters[k] for k in plan.parameters if k in graph.uniform} | numbers
    for node in plan.hoisted:
        if all(source in uniform for source in node.sources):
            uniform.add(node)
    held = [n for n in (*loaded, *plan.hoisted) if n in read and n not in numbers and n.op != "constant"]
    return [node for node in held if node in uniform], [node for node in held if node not in uniform]


def held_names(
    text: StepperText, plan: ForwardPlan | BackwardPlan, alike: Sequence[Node], each: Sequence[Node]
) -> dict[Node, str]:
    """Read what is held, and all inputs by their pointers; returns the names of what is the same for all neurons."""
    for kind, nodes in (("alike", alike), ("each", each)):
        for k, node in enumerate(nodes):
            text.tensor(f"{kind}{k}", node.dtype, const=True)
    for k, node in enumerate(plan.graph.inputs):
        stored = text.stored(node.dtype)
        text.add(f"{stored}* const x{k} = ({stored}*)inputs[{k}];")
    names = {node: constant(node) for node in plan.hoisted if node.op == "constant"}
    for k, node in enumerate(alike):
        text.add(f"const {text.kind(node)} a{k} = load<{text.kind(node)}>(alike{k});")
        names[node] = f"a{k}"
    return names


def emit_stepper(plan: ForwardPlan) -> str:
    """The two functions.

    prepare: tensors: parameters (those of the plan), what is held of all, what is held of each. sizes: length of the
    arrays, (inner, size) of each parameter.
    step: tensors: states, what is held of all, what is held of each; inputs: the first entry of each for this range;
    the range of neurons, of which the first is a multiple of the block; the number of the first neuron of all; where
    the numbers of those that spike go. Returns how many these are.
    """
    graph = plan.graph
    loaded = [graph.parameters[k] for k in plan.parameters]
    text = StepperText((*plan.hoisted, *plan.body, *graph.states, *graph.inputs, *loaded))
    alike, each = stepper_holds(plan)
    emit_prepare(text, plan, alike, each)
    text.add('extern "C" I step(void* const* tensors, void* const* inputs, I begin, I end, I first, int32_t* spikes) {')
    text.count = 0
    for k, node in enumerate(graph.states):
        text.tensor(f"s{k}", node.dtype)
    names = held_names(text, plan, alike, each)
    text.add("I count = 0;")
    text.add("for (I j = begin; j < end; j += LANES) {")
    for k, node in enumerate(graph.inputs):
        text.add(f"const {text.kind(node)} x{k}_t = load<{text.kind(node)}>(x{k} + (j - begin));")
        text.add(f"store(x{k} + (j - begin), {text.kind(node)}{{}}, false);")
        names[node] = f"x{k}_t"
    for prefix, nodes in (("s", graph.states), ("each", each)):
        for k, node in enumerate(nodes):
            text.add(f"const {text.kind(node)} {prefix}{k}_t = load<{text.kind(node)}>({prefix}{k} + j);")
            names[node] = f"{prefix}{k}_t"
    for node, name in text.draw_rows.items():
        text.add(f"Draws<{text.kind(node)}> {name};")
        text.add(f"{name}.forget();")
        text.draws[node] = f"&{name}, (Draws<{text.kind(node)}>*)nullptr"
    text.body(plan.body, names)
    # Every state is read before one is overwritten: a step may hand one state to another.
    for k, node in enumerate(graph.next_states):
        text.add(f"store(s{k} + j, {as_key(node, names[node])}, false);")
    (output,) = graph.outputs
    text.add(f"for (uint64_t fired = not_zero({names[output]}); __builtin_expect(fired != 0, 0); fired &= fired - 1)")
    text.add("{")
    text.add("const I l = j + __builtin_ctzll(fired);")
    text.add("if (l < end) spikes[count++] = (int32_t)(first + l);")
    text.close(1)
    text.close(1)
    text.add("return count;")
    text.close(1)
    return text.source()


def stepper_holds(plan: ForwardPlan) -> tuple[list[Node], list[Node]]:
    """:func:`held_nodes` of ``step``."""
    return held_nodes(plan, (*plan.body, *plan.graph.next_states, *plan.graph.outputs))


def emit_prepare(
    text: StepperText, plan: ForwardPlan | BackwardPlan, alike: Sequence[Node], each: Sequence[Node]
) -> None:
    """The function that computes what depends on parameters alone."""
    graph = plan.graph
    text.add('extern "C" void prepare(void* const* tensors, const I* sizes) {')
    for k in plan.parameters:
        text.tensor(f"p{k}_values", graph.parameters[k].dtype, const=True)
    for kind, nodes in (("alike", alike), ("each", each)):
        for k, node in enumerate(nodes):
            text.tensor(f"{kind}{k}", node.dtype)
    text.add("const I size = sizes[0];")
    for n, k in enumerate(plan.parameters):
        text.add(f"const I p{k}_inner = sizes[{1 + 2 * n}], p{k}_size = sizes[{2 + 2 * n}];")
    single, later = text._uniform(graph, plan.parameters, plan.hoisted)
    names = text.fixed
    for k, node in enumerate(alike):
        text.add(f"store(alike{k}, {as_key(node, names[node])}, false);")
    text.add("for (I start = 0; start < size; start += BLOCK) {")
    for k in single:
        text.array(f"p{k}", graph.parameters[k])
        to = f"({text.number(graph.parameters[k])}*)p{k}"
        text.add(f"load_parameter({to}, p{k}_values, start, BLOCK, p{k}_inner, p{k}_size);")
    text.add("for (int i = 0; i < ROW; ++i) {")
    text.body(later, names)
    for k, node in enumerate(each):
        text.add(f"store(each{k} + start + i * LANES, {as_key(node, names[node])}, false);")
    text.close(3)
