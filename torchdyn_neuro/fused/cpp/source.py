"""C++ for the two loops of a plan.

A block of neurons is carried through all steps by one thread, with its states in the first-level cache. A generated
function is called with ``(tensors, sizes)``, whose arguments are listed below. The sum of a gradient over the
neurons that share a parameter is taken block by block, so it does not depend on the number of threads.
"""

from ...native.functions import Text
from ..plan.kept import worth_keeping
from ..plan.loops import BackwardPlan, ForwardPlan
from ..record.graph import Node, ordered
from ..record.repeat import parts_of_call
from .expressions import as_key
from .text import LoopText

_MOST_KEPT = 128
"""States times rounds that a segment has room for in the second-level cache."""


def emit_forward(plan: ForwardPlan) -> Text:
    """The forward loop.

    tensors: inputs, states, parameters (those of the plan), outputs, last states, checkpoints of each state (null where
    not wanted). sizes: T, M, checkpoint_every, threads, whether outputs go past the caches, the element of the frame at
    which all tensors but the parameters begin, the time stride of each input, (inner, size) of each parameter.
    """
    graph = plan.graph
    loaded = [graph.parameters[k] for k in plan.parameters]
    text = LoopText((*plan.hoisted, *plan.body, *graph.states, *graph.inputs, *loaded))
    inputs, states = range(len(graph.inputs)), range(len(graph.states))
    for k in inputs:
        text.tensor(f"x{k}", graph.inputs[k].dtype, const=True)
    for k in states:
        text.tensor(f"first{k}", graph.states[k].dtype, const=True)
    for k in plan.parameters:
        text.tensor(f"p{k}_values", graph.parameters[k].dtype, const=True)
    for k, node in enumerate(graph.outputs):
        text.tensor(f"y{k}", node.dtype)
    for k in states:
        text.tensor(f"last{k}", graph.states[k].dtype)
    for k in states:
        text.tensor(f"saved{k}", graph.states[k].dtype)
    text.sizes([f"x{k}_stride" for k in inputs], plan.parameters)
    text.open_results((f"y{k}", node.dtype) for k, node in enumerate(graph.outputs))
    for k in states:
        size = f"size * (I)sizeof({text.stored(graph.states[k].dtype)})"
        text.add(f"const bool saved{k}_past = past && streams(saved{k}, {size});")
    text.open_blocks(graph, plan.parameters, plan.hoisted, (*plan.body, *graph.next_states, *graph.outputs))
    for k in states:
        text.array(f"s{k}", graph.states[k])
        text.fill(f"s{k}", f"first{k} + start")
    text.parts([*((f"x{k}", graph.inputs[k].dtype) for k in inputs), *text.results])
    text.add("for (I t = 0; t < T; ++t) {")
    for k in states:
        text.add(f"if (saved{k} && t > 0 && t % every == 0)")
        text.empty(f"s{k}", f"saved{k} + (t / every - 1) * size + start", f"saved{k}_past")
    for k in inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"x{k} + t * x{k}_stride + start")
    text.result_rows()
    text.prefetch(((f"x{k}", f"x{k}_stride") for k in inputs), "size")
    for k in inputs:
        text.at(f"x{k}", graph.inputs[k].dtype)
    text.open_elements()
    names = text.fixed | {node: f"s{k}[i]" for k, node in enumerate(graph.states)}
    names |= text.loads((graph.inputs[k], f"x{k}") for k in inputs)
    text.body(plan.body, names)
    for k, node in enumerate(graph.outputs):
        text.store(f"y{k}", as_key(node, names[node]))
    # Every state is read before one is overwritten: a step may hand one state to another.
    for k, node in enumerate(graph.next_states):
        text.add(f"const {text.kind(graph.states[k])} next{k} = {as_key(node, names[node])};")
    for k in states:
        text.add(f"s{k}[i] = next{k};")
    text.close_elements()
    text.send()
    text.close(1)
    for k in states:
        text.empty(f"s{k}", f"last{k} + start")
    text.close_blocks()
    return text.source()


def emit_backward(plan: BackwardPlan) -> Text:
    """The backward loop.

    tensors: inputs, first states, checkpoints, parameters, gradients of the outputs (of the plan), gradients of the
    last states that are carried (both null where none arrives), then the results: gradients of the first states that
    are carried, of the inputs and of the parameters where these are not None. sizes: as for the forward loop, with the
    time strides of the inputs of the plan and of the gradients of the outputs.
    """
    graph = plan.graph
    loaded = [graph.inputs[k] for k in plan.inputs] + [graph.output_gradients[k] for k in plan.output_gradients]
    loaded += [graph.parameters[k] for k in plan.parameters]
    text = LoopText((*plan.hoisted, *plan.body, *plan.replay_body, *graph.states, *loaded))
    grad_inputs = [k for k, node in enumerate(graph.grad_inputs) if node is not None]
    grad_parameters = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
    for k in plan.inputs:
        text.tensor(f"x{k}", graph.inputs[k].dtype, const=True)
    for k in plan.states:
        text.tensor(f"first{k}", graph.states[k].dtype, const=True)
    for k in plan.states:
        text.tensor(f"saved{k}", graph.states[k].dtype, const=True)
    for k in plan.parameters:
        text.tensor(f"p{k}_values", graph.parameters[k].dtype, const=True)
    for k in plan.output_gradients:
        text.tensor(f"dy{k}", graph.output_gradients[k].dtype, const=True)
    for k in plan.carried:
        text.tensor(f"dlast{k}", graph.states[k].dtype, const=True)
    for k in plan.carried:
        text.tensor(f"dfirst{k}", graph.states[k].dtype)
    for k in grad_inputs:
        text.tensor(f"dx{k}", graph.inputs[k].dtype)
    for k in grad_parameters:
        text.tensor(f"dp{k}_sums", graph.summed_as(k))
    strides = [f"x{k}_stride" for k in plan.inputs] + [f"dy{k}_stride" for k in plan.output_gradients]
    text.sizes(strides, sorted({*plan.parameters, *grad_parameters}))
    text.open_results((f"dx{k}", graph.inputs[k].dtype) for k in grad_inputs)
    paths = _paths(plan)
    kept = worth_keeping(plan, paths)
    operands = [node for call in paths for node in parts_of_call(call)[2]]
    wanted = frozenset(ordered((*plan.gradients, *operands), frozenset((*kept, *paths))))
    # States that the derivative does not read wait for no one.
    waiting = frozenset(k for k in plan.states if graph.states[k] in wanted)
    for k in sorted(waiting):
        text.scratch(f"s{k}_rows", graph.states[k])
    for k, node in enumerate(kept):
        text.scratch(f"kept{k}_rows", node)
    for number, call in enumerate(paths):
        text.path_rows[call] = f"path_rows{number}"
        for i, leaf in enumerate(call.args[0].carried):
            text.scratch(f"path_rows{number}_{i}", leaf, call.args[0].count + 1)
    for k in plan.output_gradients:
        dtype = graph.output_gradients[k].dtype
        text.add(f"static const {text.stored(dtype)} dy{k}_none[BLOCK] = {{}};")
        text.add(f"const bool dy{k}_arrives = dy{k};")
    text.open_blocks(
        graph, plan.parameters, plan.hoisted, (*plan.body, *plan.replay_body, *plan.gradients, *graph.next_states)
    )
    for k in plan.carried:
        text.array(f"ds{k}", graph.states[k])
        kind = text.kind(graph.states[k])
        text.add(f"for (int i = 0; i < ROW; ++i) ds{k}[i] = {kind}{{}};")
        text.add(f"if (dlast{k})")
        text.fill(f"ds{k}", f"dlast{k} + start")
    for k in grad_parameters:
        text.array(f"dp{k}", graph.grad_parameters[k])
        text.add(f"for (int i = 0; i < ROW; ++i) dp{k}[i] = {text.kind(graph.grad_parameters[k])}{{}};")
    for k in plan.carried:
        text.add(f"bool ds{k}_arrives = dlast{k};")
    for k in plan.states:
        if k not in waiting:
            text.array(f"s{k}_rows", graph.states[k])
    sequences = [(f"x{k}", graph.inputs[k].dtype) for k in plan.inputs]
    sequences += [(f"dy{k}", graph.output_gradients[k].dtype) for k in plan.output_gradients]
    text.parts([*sequences, *text.results])
    text.add("for (I end = T, begin; end > 0; end = begin) {")
    text.add("begin = (end - 1) / every * every;")
    if plan.states:
        _replay(text, plan, kept, waiting)
    _reverse(text, plan, kept, wanted, grad_inputs, grad_parameters)
    text.close(1)
    for k in plan.carried:
        text.empty(f"ds{k}", f"dfirst{k} + start")
    for k in grad_parameters:
        sums = f"(const {text.number(graph.grad_parameters[k])}*)dp{k}"
        text.add(f"store_parameter_gradient(dp{k}_sums, {sums}, block, start, width, p{k}_size);")
    text.close_blocks()
    return text.source()


def _paths(plan: BackwardPlan) -> list[Node]:
    """The repetitions whose states the replay keeps for the derivative, which would else go through them once more."""
    used = {*plan.body}
    calls = [node for node in plan.replay_body if node.op == "repeat" and node in used]
    return [call for call in calls if call.args[0].count * len(call.args[0].carried) <= _MOST_KEPT]


def _replay(text: LoopText, plan: BackwardPlan, kept: list[Node], waiting: frozenset[int]) -> None:
    """The states of a segment, computed again from its checkpoint."""
    graph = plan.graph
    for k in plan.states:
        stored = text.stored(graph.states[k].dtype)
        text.add(
            f"const {stored}* from{k} = begin == 0 ? first{k} + start : saved{k} + (begin / every - 1) * size + start;"
        )
        text.fill(f"s{k}_rows", f"from{k}")
    # The last step leads out of the segment: only what is kept of it is wanted.
    text.add(f"for (I t = begin; t {'' if kept or text.path_rows else '+ 1 '}< end; ++t) {{")
    for k in plan.states:
        kind = text.kind(graph.states[k])
        if k in waiting:
            text.add(f"const {kind}* __restrict s{k} = s{k}_rows + (t - begin) * ROW;")
            text.add(f"{kind}* __restrict next{k} = s{k}_rows + (t - begin + 1) * ROW;")
        else:
            text.add(f"{kind}* const s{k} = s{k}_rows, *const next{k} = s{k};")
    for k in plan.replay_inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"x{k} + t * x{k}_stride + start")
    text.prefetch((f"x{k}", f"x{k}_stride") for k in plan.replay_inputs)
    for k in plan.replay_inputs:
        text.at(f"x{k}", graph.inputs[k].dtype)
    text.open_elements()
    names = text.fixed | {graph.states[k]: f"s{k}[i]" for k in plan.states}
    names |= text.loads((graph.inputs[k], f"x{k}") for k in plan.replay_inputs)
    text.body(plan.replay_body, names)
    for k in plan.states:
        after = as_key(graph.next_states[k], names[graph.next_states[k]])
        text.add(f"const {text.kind(graph.states[k])} after{k}_t = {after};")
    for k in plan.states:
        text.add(f"next{k}[i] = after{k}_t;")
    for k, node in enumerate(kept):
        text.add(f"kept{k}_rows[(t - begin) * ROW + i] = {names[node]};")
    text.close_elements()
    text.close(1)


def _reverse(
    text: LoopText,
    plan: BackwardPlan,
    kept: list[Node],
    wanted: frozenset[Node],
    grad_inputs: list[int],
    grad_parameters: list[int],
) -> None:
    """The derivative, from the end of a segment to its beginning."""
    graph = plan.graph
    text.add("for (I t = end - 1; t >= begin; --t) {")
    for k in plan.states:
        if graph.states[k] in wanted:
            text.add(f"const {text.kind(graph.states[k])}* __restrict s{k} = s{k}_rows + (t - begin) * ROW;")
    for k in plan.inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"x{k} + t * x{k}_stride + start")
    for k in plan.output_gradients:
        address = f"dy{k}_arrives ? dy{k} + t * dy{k}_stride + start : dy{k}_none"
        text.row(f"dy{k}", graph.output_gradients[k].dtype, address)
    text.result_rows()
    arrives = _arrivals(text, plan)
    text.prefetch(((f"dy{k}", f"-dy{k}_stride") for k in plan.output_gradients), "-size")
    for k in plan.inputs:
        text.at(f"x{k}", graph.inputs[k].dtype)
    for k in plan.output_gradients:
        text.at(f"dy{k}", graph.output_gradients[k].dtype)
    text.open_elements()
    names = text.fixed | {graph.states[k]: f"s{k}[i]" for k in plan.states}
    names |= {graph.state_gradients[k]: f"ds{k}[i]" for k in plan.carried}
    names |= text.loads((graph.inputs[k], f"x{k}") for k in plan.inputs)
    names |= text.loads((graph.output_gradients[k], f"dy{k}") for k in plan.output_gradients)
    names |= {node: f"kept{k}_rows[(t - begin) * ROW + i]" for k, node in enumerate(kept)}
    text.body((node for node in plan.body if node in wanted), names, arrives=arrives)
    for k in grad_inputs:
        text.store(f"dx{k}", names[graph.grad_inputs[k]])
    for k in grad_parameters:
        text.add(f"dp{k}[i] += {names[graph.grad_parameters[k]]};")
    for k in plan.carried:
        gradient = graph.grad_states[k]
        kind = text.kind(graph.states[k])
        text.add(f"const {kind} before{k} = {f'{kind}{{}}' if gradient is None else names[gradient]};")
    for k in plan.carried:
        text.add(f"ds{k}[i] = before{k};")
    text.close_elements()
    for k in plan.carried:
        text.add(f"ds{k}_arrives = ds{k}_came;")
    text.send()
    text.close(1)


def _arrivals(text: LoopText, plan: BackwardPlan) -> dict[Node, str]:
    """For each node that is guarded, the name of whether a gradient arrives there in this step."""
    text.conditions = plan.conditions("false", " || ")
    for k in plan.carried:
        text.add(f"const bool ds{k}_came = {text.conditions[plan.graph.grad_states[k]]};")
    return text.masks({node: text.conditions[node] for node in plan.body if node in plan.guarded}, "arrives")
