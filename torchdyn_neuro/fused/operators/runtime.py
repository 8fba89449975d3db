"""The fused loop as two operators of torch, ``torchdyn_neuro::loop_forward`` and ``loop_backward``.

A loop is known by a key, the hash of its graph and its language, so autograd, ``torch.compile``, autocast and
distributed training meet ordinary operators with tensors as arguments. Frames are flat only inside the kernels.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...core.torch_private import dispatch_mode_count
from ...core.transforms import batched
from .direct import Operation, direct, grouped
from .loops import Loop
from .registry import get_loop
from .replay import blank, registered_step, replayed_gradients

_library = torch.library.Library("torchdyn_neuro", "DEF")
_library.define(
    "loop_forward(str key, int owner, Tensor[] inputs, Tensor[] states, Tensor[] parameters, SymInt[] inners, "
    "bool training) -> Tensor[]"
)
_library.define(
    "loop_backward(str key, SymInt[] shape, Tensor[] inputs, Tensor[] states, Tensor[] checkpoints, "
    "Tensor[] parameters, SymInt[] inners, Tensor?[] output_gradients, Tensor?[] last_gradients) -> Tensor[]"
)


def _forward_results(
    key: str, inputs: list[Tensor], states: list[Tensor], training: bool
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Buffers for the outputs, the last states and the checkpoints."""
    loop, x = get_loop(key), inputs[0]
    outputs = [x.new_empty(x.shape, dtype=node.dtype) for node in loop.graph.outputs]
    last = [state.new_empty(state.shape) for state in states]
    rows = (x.shape[0] - 1) // loop.every
    kept = loop.backward_plan.states if training else ()
    return outputs, last, [states[k].new_empty((rows, *states[k].shape)) for k in kept]


def _loop_forward(
    key: str,
    owner: int,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    training: bool,
) -> list[Tensor]:
    loop = get_loop(key)
    outputs, last, checkpoints = _forward_results(key, inputs, states, training)
    places: list[Tensor | None] = [None] * len(states)
    for k, checkpoint in zip(loop.backward_plan.states, checkpoints, strict=False):
        places[k] = None if k in loop.counted else checkpoint
    if inputs[0].numel():
        loop.kernels.forward(
            [rows_contiguous(x) for x in inputs],
            [state.contiguous() for state in states],
            [parameter.contiguous() for parameter in parameters],
            inners,
            outputs,
            last,
            places,
            loop.every,
        )
    return [*outputs, *last, *checkpoints]


def _fake_forward(
    key: str,
    owner: int,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    training: bool,
) -> list[Tensor]:
    outputs, last, checkpoints = _forward_results(key, inputs, states, training)
    return [*outputs, *last, *checkpoints]


def backward_results(
    loop: Loop, shape: Sequence[int], like: Tensor, parameters: list[Tensor]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Buffers for the gradients of the first states, of the inputs and of the parameters."""
    graph, frame = loop.graph, shape[1:]
    elements = 1
    for size in frame:
        elements = elements * size
    first = [like.new_empty(frame, dtype=graph.states[k].dtype) for k in loop.backward_plan.carried]
    inputs = [like.new_empty(shape, dtype=graph.inputs[k].dtype) for k in loop.grad_inputs]
    sums = [
        like.new_empty(
            loop.kernels.partial_sums(elements) if parameters[k].numel() == 1 else elements,
            dtype=graph.summed_as(k),
        )
        for k in loop.grad_parameters
    ]
    return first, inputs, sums


def _loop_backward(
    key: str,
    shape: list[int],
    inputs: list[Tensor],
    states: list[Tensor],
    checkpoints: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    output_gradients: list[Tensor | None],
    last_gradients: list[Tensor | None],
) -> list[Tensor]:
    loop = get_loop(key)
    like = next(gradient for gradient in (*output_gradients, *last_gradients) if gradient is not None)
    first, input_gradients, sums = backward_results(loop, shape, like, parameters)
    if prod(shape):
        arriving = [None if gradient is None else rows_contiguous(gradient) for gradient in output_gradients]
        loop.kernels.backward(
            [rows_contiguous(x) for x in inputs],
            [state.contiguous() for state in states],
            checkpoints,
            [parameter.contiguous() for parameter in parameters],
            inners,
            arriving,
            [None if gradient is None else gradient.contiguous() for gradient in last_gradients],
            first,
            input_gradients,
            sums,
            loop.every if loop.backward_plan.states else shape[0],
            shape,
        )
    else:
        for buffer in (*first, *input_gradients, *sums):
            buffer.zero_()
    return [*first, *input_gradients, *sums]


def _fake_backward(
    key: str,
    shape: list[int],
    inputs: list[Tensor],
    states: list[Tensor],
    checkpoints: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    output_gradients: list[Tensor | None],
    last_gradients: list[Tensor | None],
) -> list[Tensor]:
    like = next(gradient for gradient in (*output_gradients, *last_gradients) if gradient is not None)
    first, input_gradients, sums = backward_results(get_loop(key), shape, like, parameters)
    return [*first, *input_gradients, *sums]


def rows_contiguous(x: Tensor) -> Tensor:
    """``x`` [T, B, \\*] with every frame contiguous; a sequence that repeats one frame stays one frame."""
    # The first question is for speed alone: a view of a frame takes ten times as long.
    if x.is_contiguous() or x[0].is_contiguous():
        return x
    return x[:1].contiguous().expand(x.shape) if x.stride(0) == 0 else x.contiguous()


def _setup_context(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    key, owner, sequences, states, parameters, inners, _ = inputs
    plan, graph = get_loop(key).backward_plan, get_loop(key).graph
    checkpoints = output[len(graph.outputs) + len(states) :]
    # What the derivative does not read is not kept.
    kept = [sequences[k] for k in plan.inputs]
    checkpoints = get_loop(key).kept(checkpoints)
    ctx.save_for_backward(*kept, *(states[k] for k in plan.states), *parameters, *checkpoints)
    ctx.counts = len(kept), len(plan.states), len(parameters)
    ctx.key, ctx.inners, ctx.shape = key, inners, tuple(sequences[0].shape)
    ctx.step = registered_step(owner)
    ctx.set_materialize_grads(False)


def _autograd_backward(ctx: Any, gradients: list[Tensor | None]) -> tuple:
    loop = get_loop(ctx.key)
    graph, plan = loop.graph, loop.backward_plan
    parts = grouped(ctx.saved_tensors, ctx.counts)
    inputs, states, parameters, checkpoints = parts
    output_gradients = gradients[: len(graph.outputs)]
    last_gradients = gradients[len(graph.outputs) : len(graph.outputs) + len(graph.states)]
    nothing = [[None] * len(leaves) for leaves in (graph.inputs, graph.states, graph.parameters)]
    if torch.is_grad_enabled() or batched(gradients):
        arrives = any(gradient is not None for gradient in (*output_gradients, *last_gradients))
        found = _differentiable(ctx, loop, parts, output_gradients, last_gradients) if arrives else nothing
        return None, None, *found, None, None
    arriving = [output_gradients[k] for k in plan.output_gradients], [last_gradients[k] for k in plan.carried]
    if all(gradient is None for group in arriving for gradient in group):
        return None, None, *nothing, None, None
    checkpoints = loop.completed(checkpoints, states, ctx.shape[0])
    run = torch.ops.torchdyn_neuro.loop_backward if watched() else _loop_backward
    results = iter(run(ctx.key, ctx.shape, inputs, states, checkpoints, parameters, ctx.inners, *arriving))
    grad_states = {k: next(results) for k in plan.carried}
    grad_inputs = {k: next(results) for k in loop.grad_inputs}
    grad_parameters = {k: summed(next(results), parameters[k], ctx.shape[1:]) for k in loop.grad_parameters}
    return (
        None,
        None,
        [grad_inputs.get(k) for k in range(len(graph.inputs))],
        [grad_states.get(k) for k in range(len(graph.states))],
        [grad_parameters.get(k) for k in range(len(graph.parameters))],
        None,
        None,
    )


def run_loop(
    key: str,
    owner: int,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    training: bool,
    marks: Sequence[int] = (),
) -> Sequence[Tensor]:
    """``loop_forward``: outputs, last states, checkpoints; as an operator where somebody watches the operators.

    The results whose numbers are in ``marks`` have no gradient.
    """
    if watched():
        return torch.ops.torchdyn_neuro.loop_forward(key, owner, inputs, states, parameters, inners, training)
    if not training:
        return _loop_forward(key, owner, inputs, states, parameters, inners, training)
    operation = Operation(_loop_forward, _setup_context, _autograd_backward)
    return direct(operation, lambda *groups: (key, owner, *groups, inners, True), (inputs, states, parameters), marks)


def watched() -> bool:
    """Whether somebody follows the operators: a compiler, or a mode such as that of fake tensors."""
    return torch.compiler.is_compiling() or dispatch_mode_count() > 0


def summed(sums: Tensor, parameter: Tensor, frame: Sequence[int]) -> Tensor:
    """The gradient of a parameter from one number per block or per element."""
    if parameter.numel() == 1:
        total = sums.sum().reshape(parameter.shape)
    else:
        total = sums.reshape(frame).sum_to_size(parameter.shape)
    return total.to(parameter.dtype)


def _differentiable(
    ctx: Any, loop: Loop, parts: list[list[Tensor]], output_gradients: list, last_gradients: list
) -> tuple[list, list, list]:
    """The gradients by the eager loop, which can be differentiated again and takes batched gradients."""
    plan, graph = loop.backward_plan, loop.graph
    inputs, states, parameters, _ = parts
    like = next(gradient for gradient in (*output_gradients, *last_gradients) if gradient is not None)
    # Operands that were not kept are those on which no gradient depends: any value does.
    every_input = [blank(like, ctx.shape, leaf.dtype) for leaf in graph.inputs]
    every_state = [blank(like, ctx.shape[1:], leaf.dtype) for leaf in graph.states]
    for k, x in zip(plan.inputs, inputs, strict=True):
        every_input[k] = x
    for k, state in zip(plan.states, states, strict=True):
        every_state[k] = state
    return replayed_gradients(ctx.step, every_input, every_state, parameters, output_gradients, last_gradients)


for _device in ("CPU", "CUDA"):
    _library.impl("loop_forward", _loop_forward, _device)
    _library.impl("loop_backward", _loop_backward, _device)
torch.library.register_fake("torchdyn_neuro::loop_forward", _fake_forward, lib=_library)
torch.library.register_fake("torchdyn_neuro::loop_backward", _fake_backward, lib=_library)
torch.library.register_autograd(
    "torchdyn_neuro::loop_forward", _autograd_backward, setup_context=_setup_context, lib=_library
)
