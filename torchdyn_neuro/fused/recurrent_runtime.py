"""The loop of a recurrent layer as two operators of torch, ``recurrent_forward`` and ``recurrent_backward``.

Each step is a matrix product and one call of the kernels of :mod:`~torchdyn_neuro.fused.loops`; the gradient of the
weights is one product at the end.
"""

from typing import Any

import torch
from torch import Tensor

from .cuda_graph import repeated
from .eager import replayed_recurrent_gradients
from .event_product import gather_outer_product, gather_product
from .loops import Loop, get_loop
from .runtime import backward_results, summed
from .transforms import batched

_MOST_ACTIVE = 0.25
"""Share of active outputs above which the dense product of a step is the faster one."""

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define(
    "recurrent_forward(str key, int owner, Tensor drive, Tensor weight, Tensor before, Tensor[] states, "
    "Tensor[] parameters, SymInt[] inners, bool training) -> Tensor[]"
)
_library.define(
    "recurrent_backward(str key, Tensor inputs, Tensor y, Tensor weight, Tensor before, Tensor[] states, "
    "Tensor[] checkpoints, Tensor[] parameters, SymInt[] inners, Tensor? y_gradient, Tensor?[] last_gradients) "
    "-> Tensor[]"
)


def _forward_results(key: str, drive: Tensor, states: list[Tensor], training: bool) -> list[Tensor]:
    """Buffers: outputs, last states, then for training the inputs with feedback and the checkpoints."""
    loop = get_loop(key)
    y = drive.new_empty(drive.shape)
    last = [state.new_empty(state.shape) for state in states]
    if not training:
        return [y, *last]
    rows = (drive.shape[0] - 1) // loop.every
    saved = [states[k].new_empty((rows, *states[k].shape)) for k in loop.backward_plan.states]
    return [y, *last, drive.new_empty(drive.shape), *saved]


def _recurrent_forward(
    key: str,
    owner: int,
    drive: Tensor,
    weight: Tensor,
    before: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    training: bool,
) -> list[Tensor]:
    loop = get_loop(key)
    results = _forward_results(key, drive, states, training)
    y, last = results[0], results[1 : 1 + len(states)]
    checkpoints = results[2 + len(states) :]
    # Without training one frame of inputs is enough.
    inputs = results[1 + len(states)] if training else drive.new_empty((1, *drive.shape[1:]))
    for target, state in zip(last, states, strict=True):
        target.copy_(state)
    parameters = [parameter.contiguous() for parameter in parameters]
    feedback, columns = before.contiguous(), weight.t()
    gathers = drive.device.type == "cpu"
    if gathers:
        columns, drive = columns.contiguous(), drive.contiguous()
    none = [None] * len(states)
    for t in range(drive.shape[0]):
        if training and t and t % loop.every == 0:
            for k, checkpoint in zip(loop.backward_plan.states, checkpoints, strict=True):
                checkpoint[t // loop.every - 1].copy_(last[k])
        frame = inputs[t] if training else inputs[0]
        operands = _matrix(feedback), columns, _matrix(drive[t]), _matrix(frame)
        if not (gathers and gather_product(*operands, _MOST_ACTIVE)):
            torch.addmm(operands[2], *operands[:2], out=operands[3])
        # The states are read before they are written, so they can be their own successors.
        loop.kernels.forward([frame[None]], last, parameters, inners, [y[t : t + 1]], last, none, 1)
        feedback = y[t]
    return results


def _fake_forward(
    key: str,
    owner: int,
    drive: Tensor,
    weight: Tensor,
    before: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    training: bool,
) -> list[Tensor]:
    return _forward_results(key, drive, states, training)


def _backward_results(
    loop: Loop, inputs: Tensor, weight: Tensor, before: Tensor, parameters: list[Tensor]
) -> list[Tensor]:
    """Buffers for the gradients of the drive, the weights, the first feedback, the first states, the parameters."""
    first, _, sums = backward_results(loop, inputs.shape, inputs, parameters)
    return [
        inputs.new_empty(inputs.shape),
        weight.new_empty(weight.shape),
        before.new_empty(before.shape),
        *first,
        *sums,
    ]


def _recurrent_backward(
    key: str,
    inputs: Tensor,
    y: Tensor,
    weight: Tensor,
    before: Tensor,
    states: list[Tensor],
    checkpoints: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    y_gradient: Tensor | None,
    last_gradients: list[Tensor | None],
) -> list[Tensor]:
    loop = get_loop(key)
    plan = loop.backward_plan
    results = _backward_results(loop, inputs, weight, before, parameters)
    drive_gradient, weight_gradient, feedback = results[:3]
    carried, sums = results[3 : 3 + len(plan.carried)], results[3 + len(plan.carried) :]
    partial = [torch.empty_like(total) for total in sums]
    for total in sums:
        total.zero_()
    for target, gradient in zip(carried, last_gradients, strict=True):
        target.zero_() if gradient is None else target.copy_(gradient)
    feedback.zero_()
    parameters = [parameter.contiguous() for parameter in parameters]
    arriving = torch.empty_like(feedback)
    for begin in reversed(range(0, inputs.shape[0], loop.every)):
        segment = inputs[begin : begin + loop.every]
        start = [
            state.contiguous() if begin == 0 else saved[begin // loop.every - 1]
            for state, saved in zip(states, checkpoints, strict=True)
        ]
        rows = _replay(loop, segment, start, parameters, inners)
        for r in reversed(range(segment.shape[0])):
            t = begin + r
            now = start if r == 0 else [row[r - 1] for row in rows]
            if y_gradient is None:
                arriving.copy_(feedback)
            else:
                torch.add(y_gradient[t], feedback, out=arriving)
            loop.kernels.backward(
                [segment[r : r + 1]] if plan.inputs else [],
                now,
                now,
                parameters,
                inners,
                [arriving[None]] if plan.output_gradients else [],
                carried,
                carried,
                [drive_gradient[t : t + 1]],
                partial,
                1,
                (1, *inputs.shape[1:]),
            )
            for total, part in zip(sums, partial, strict=True):
                total.add_(part)
            torch.mm(_matrix(drive_gradient[t]), weight, out=_matrix(feedback))
    _weight_gradient(drive_gradient, before, y, weight_gradient)
    return results


def _weight_gradient(drive_gradient: Tensor, before: Tensor, y: Tensor, result: Tensor) -> None:
    """The gradients of all steps times the outputs that were fed back to them."""
    fed_back, arriving = _matrix(y[:-1]), _matrix(drive_gradient[1:])
    columns = result.new_empty((result.shape[1], result.shape[0])) if y.device.type == "cpu" else None
    if columns is not None and y.shape[0] > 1 and gather_outer_product(fed_back, arriving, columns, _MOST_ACTIVE):
        result.copy_(columns.t())
    else:
        torch.mm(arriving.t(), fed_back, out=result)
    result.addmm_(_matrix(drive_gradient[0]).t(), _matrix(before))


def _replay(
    loop: Loop, segment: Tensor, start: list[Tensor], parameters: list[Tensor], inners: list[int]
) -> list[Tensor]:
    """The states before every step of a segment but its first, which ``start`` holds."""
    plan, graph = loop.backward_plan, loop.graph
    steps, frame = segment.shape[0], segment.shape[1:]
    if steps == 1 or not plan.states:
        return []
    # The others do not act on these: any value does.
    every = [segment.new_zeros(frame, dtype=leaf.dtype) for leaf in graph.states]
    rows: list[Tensor | None] = [None] * len(every)
    for k, state in zip(plan.states, start, strict=True):
        every[k] = state
        rows[k] = state.new_empty((steps - 1, *frame))
    last = [torch.empty_like(state) for state in every]
    y = segment.new_empty(segment.shape)
    loop.kernels.forward([segment], every, parameters, inners, [y], last, rows, 1)
    return [rows[k] for k in plan.states]


def _fake_backward(
    key: str,
    inputs: Tensor,
    y: Tensor,
    weight: Tensor,
    before: Tensor,
    states: list[Tensor],
    checkpoints: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    y_gradient: Tensor | None,
    last_gradients: list[Tensor | None],
) -> list[Tensor]:
    return _backward_results(get_loop(key), inputs, weight, before, parameters)


def _matrix(x: Tensor) -> Tensor:
    return x.view(-1, x.shape[-1]) if x.is_contiguous() else x.reshape(-1, x.shape[-1])


def _setup_context(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    key, owner, drive, weight, before, states, parameters, inners, training = inputs
    ctx.key, ctx.owner, ctx.inners, ctx.counts = key, owner, inners, (len(states), len(parameters))
    ctx.set_materialize_grads(False)
    if training:
        y, fed, checkpoints = output[0], output[1 + len(states)], output[2 + len(states) :]
        ctx.save_for_backward(drive, fed, y, weight, before, *states, *parameters, *checkpoints)


def _autograd_backward(ctx: Any, gradients: list[Tensor | None]) -> tuple:
    loop = get_loop(ctx.key)
    plan, (states_count, parameters_count) = loop.backward_plan, ctx.counts
    drive, inputs, y, weight, before, *rest = ctx.saved_tensors
    states, rest = rest[:states_count], rest[states_count:]
    parameters, checkpoints = rest[:parameters_count], rest[parameters_count:]
    y_gradient, last_gradients = gradients[0], gradients[1 : 1 + states_count]
    if torch.is_grad_enabled() or batched(gradients):
        outer, first, own = replayed_recurrent_gradients(
            ctx.owner, drive, weight, before, states, parameters, gradients[: 1 + states_count]
        )
        return (None, None, *outer, first, own, None, None)
    if y_gradient is None and all(gradient is None for gradient in last_gradients):
        return *[None] * 5, [None] * states_count, [None] * parameters_count, None, None
    results = torch.ops.torchdyn_neuro.recurrent_backward(
        ctx.key,
        inputs,
        y,
        weight,
        before,
        [states[k] for k in plan.states],
        checkpoints,
        parameters,
        ctx.inners,
        y_gradient,
        [last_gradients[k] for k in plan.carried],
    )
    drive_gradient, weight_gradient, feedback = results[:3]
    carried = dict(zip(plan.carried, results[3:], strict=False))
    sums = dict(zip(loop.grad_parameters, results[3 + len(plan.carried) :], strict=True))
    frame = inputs.shape[1:]
    return (
        None,
        None,
        drive_gradient,
        weight_gradient,
        feedback,
        [carried.get(k) for k in range(states_count)],
        [summed(sums[k], parameters[k], frame) if k in sums else None for k in range(parameters_count)],
        None,
        None,
    )


_library.impl("recurrent_forward", _recurrent_forward, "CPU")
_library.impl("recurrent_backward", _recurrent_backward, "CPU")
# Every step launches kernels of microseconds, which only a recording keeps up with.
_library.impl("recurrent_forward", repeated(_recurrent_forward), "CUDA")
_library.impl("recurrent_backward", repeated(_recurrent_backward), "CUDA")
torch.library.register_fake("torchdyn_neuro::recurrent_forward", _fake_forward, lib=_library)
torch.library.register_fake("torchdyn_neuro::recurrent_backward", _fake_backward, lib=_library)
torch.library.register_autograd(
    "torchdyn_neuro::recurrent_forward", _autograd_backward, setup_context=_setup_context, lib=_library
)
