"""C++ for the two loops of a plan.

A block of neurons is carried through all steps by one thread, with its states in the first-level cache. A generated
library has one function, ``run(tensors, sizes)``, whose arguments are listed below. The sum of a gradient over the
neurons that share a parameter is taken block by block, so it does not depend on the number of threads.
"""

import torch

from .cpp_text import LoopText
from .graph import Node
from .plan import BackwardPlan, ForwardPlan


def emit_forward(plan: ForwardPlan) -> str:
    """The forward loop.

    tensors: inputs, states, parameters (those of the plan), outputs, last states, checkpoints of each state (null where
    not wanted). sizes: T, M, checkpoint_every, threads, whether outputs go past the caches, the element of the frame at
    which all tensors but the parameters begin, the time stride of each input, (inner, size) of each parameter.
    """
    graph = plan.graph
    text = LoopText((*plan.hoisted, *plan.body, *graph.states))
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
    text.open_blocks(graph, plan.parameters, plan.hoisted, (*plan.body, *graph.next_states, *graph.outputs))
    for k in states:
        text.array(f"s{k}", graph.states[k])
        text.add(f"for (int j = 0; j < width; ++j) s{k}[j] = read(first{k}[start + j]);")
    text.line_buffers()
    text.add("for (I t = 0; t < T; ++t) {")
    for k in states:
        text.add(f"if (saved{k} && t > 0 && t % every == 0)")
        text.add(f"  for (int j = 0; j < width; ++j) write(saved{k}[(t / every - 1) * M + start + j], s{k}[j]);")
    for k in inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    text.result_rows()
    text.prefetch(((f"x{k}", f"x{k}_stride") for k in inputs), "M")
    text.open_elements()
    names = text.fixed | {node: f"s{k}[j]" for k, node in enumerate(graph.states)}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in inputs)
    text.body(plan.body, names)
    for k, node in enumerate(graph.outputs):
        text.add(f"write(y{k}_to[j], {names[node]});")
    # Every state is read before one is overwritten: a step may hand one state to another.
    for k, node in enumerate(graph.next_states):
        text.add(f"const {text.kind(node)} next{k} = {names[node]};")
    for k in states:
        text.add(f"s{k}[j] = next{k};")
    text.close(1)
    text.stream()
    text.close(1)
    for k in states:
        text.add(f"for (int j = 0; j < width; ++j) write(last{k}[start + j], s{k}[j]);")
    text.close_blocks()
    return text.source()


def emit_backward(plan: BackwardPlan) -> str:
    """The backward loop.

    tensors: inputs, first states, checkpoints, parameters, gradients of the outputs (of the plan), gradients of the
    last states that are carried (both null where none arrives), then the results: gradients of the first states that
    are carried, of the inputs and of the parameters where these are not None. sizes: as for the forward loop, with the
    time strides of the inputs of the plan and of the gradients of the outputs.
    """
    graph = plan.graph
    text = LoopText((*plan.hoisted, *plan.body, *plan.replay_body, *graph.states))
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
        text.tensor(f"dp{k}_sums", _accumulated(graph.parameters[k].dtype))
    strides = [f"x{k}_stride" for k in plan.inputs] + [f"dy{k}_stride" for k in plan.output_gradients]
    text.sizes(strides, sorted({*plan.parameters, *grad_parameters}))
    text.open_results((f"dx{k}", graph.inputs[k].dtype) for k in grad_inputs)
    for k in plan.states:
        text.scratch(f"s{k}_rows", graph.states[k])
    for k in plan.output_gradients:
        dtype = graph.output_gradients[k].dtype
        text.add(f"static const {text.stored(dtype)} dy{k}_none[BLOCK] = {{}};")
        text.add(f"const bool dy{k}_arrives = dy{k};")
    text.open_blocks(
        graph, plan.parameters, plan.hoisted, (*plan.body, *plan.replay_body, *plan.gradients, *graph.next_states)
    )
    for k in plan.carried:
        text.array(f"ds{k}", graph.states[k])
        text.add(f"for (int j = 0; j < width; ++j) ds{k}[j] = dlast{k} ? read(dlast{k}[start + j]) : 0;")
    for k in grad_parameters:
        text.array(f"dp{k}", graph.parameters[k])
        text.add(f"for (int j = 0; j < width; ++j) dp{k}[j] = 0;")
    for k in plan.carried:
        text.add(f"bool ds{k}_arrives = dlast{k};")
    text.line_buffers()
    text.add("for (I end = T, begin; end > 0; end = begin) {")
    text.add("begin = (end - 1) / every * every;")
    if plan.states:
        _replay(text, plan)
    _reverse(text, plan, grad_inputs, grad_parameters)
    text.close(1)
    for k in plan.carried:
        text.add(f"for (int j = 0; j < width; ++j) write(dfirst{k}[start + j], ds{k}[j]);")
    for k in grad_parameters:
        text.add(f"store_parameter_gradient(dp{k}_sums, dp{k}, block, start, width, p{k}_size);")
    text.close_blocks()
    return text.source()


def _replay(text: LoopText, plan: BackwardPlan) -> None:
    """The states of a segment, computed again from its checkpoint."""
    graph = plan.graph
    for k in plan.states:
        stored = text.stored(graph.states[k].dtype)
        text.add(
            f"const {stored}* from{k} = begin == 0 ? first{k} + start : saved{k} + (begin / every - 1) * M + start;"
        )
        text.add(f"for (int j = 0; j < width; ++j) s{k}_rows[j] = read(from{k}[j]);")
    text.add("for (I t = begin; t + 1 < end; ++t) {")
    for k in plan.states:
        kind = text.kind(graph.states[k])
        text.add(f"const {kind}* __restrict s{k} = s{k}_rows + (t - begin) * BLOCK;")
        text.add(f"{kind}* __restrict next{k} = s{k}_rows + (t - begin + 1) * BLOCK;")
    for k in plan.replay_inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    text.prefetch((f"x{k}", f"x{k}_stride") for k in plan.replay_inputs)
    text.open_elements()
    names = text.fixed | {graph.states[k]: f"s{k}[j]" for k in plan.states}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in plan.replay_inputs)
    text.body(plan.replay_body, names)
    for k in plan.states:
        text.add(f"next{k}[j] = {names[graph.next_states[k]]};")
    text.close(2)


def _reverse(text: LoopText, plan: BackwardPlan, grad_inputs: list[int], grad_parameters: list[int]) -> None:
    """The derivative, from the end of a segment to its beginning."""
    graph = plan.graph
    text.add("for (I t = end - 1; t >= begin; --t) {")
    for k in plan.states:
        text.add(f"const {text.kind(graph.states[k])}* __restrict s{k} = s{k}_rows + (t - begin) * BLOCK;")
    for k in plan.inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    for k in plan.output_gradients:
        kind = text.stored(graph.output_gradients[k].dtype)
        text.add(f"const {kind}* __restrict dy{k}_row = dy{k}_arrives ? dy{k} + t * dy{k}_stride + start : dy{k}_none;")
    text.result_rows()
    arrives = _arrivals(text, plan)
    text.prefetch(((f"dy{k}", f"-dy{k}_stride") for k in plan.output_gradients), "-M")
    text.open_elements()
    names = text.fixed | {graph.states[k]: f"s{k}[j]" for k in plan.states}
    names |= {graph.state_gradients[k]: f"ds{k}[j]" for k in plan.carried}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in plan.inputs)
    names |= text.loads((graph.output_gradients[k], f"dy{k}_row") for k in plan.output_gradients)
    text.body(plan.body, names, arrives=arrives)
    for k in grad_inputs:
        text.add(f"write(dx{k}_to[j], {names[graph.grad_inputs[k]]});")
    for k in grad_parameters:
        text.add(f"dp{k}[j] += {names[graph.grad_parameters[k]]};")
    for k in plan.carried:
        gradient = graph.grad_states[k]
        text.add(f"const {text.kind(graph.states[k])} before{k} = {'0' if gradient is None else names[gradient]};")
    for k in plan.carried:
        text.add(f"ds{k}[j] = before{k};")
    text.close(1)
    for k in plan.carried:
        text.add(f"ds{k}_arrives = ds{k}_came;")
    text.stream()
    text.close(1)


def _arrivals(text: LoopText, plan: BackwardPlan) -> dict[Node, str]:
    """For each node that is guarded, the name of whether a gradient arrives there in this step."""
    conditions = plan.conditions("false", " || ")
    for k in plan.carried:
        text.add(f"const bool ds{k}_came = {conditions[plan.graph.grad_states[k]]};")
    guarded = {node: conditions[node] for node in plan.body if node in plan.guarded}
    numbers = {condition: f"arrives{k}" for k, condition in enumerate(dict.fromkeys(guarded.values()))}
    for condition, name in numbers.items():
        text.add(f"const bool {name} = {condition};")
    return {node: numbers[condition] for node, condition in guarded.items()}


def _accumulated(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
