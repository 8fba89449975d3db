"""The loop of a recurrent layer as two operators of torch, ``recurrent_forward`` and ``recurrent_backward``.

Each step is a matrix product and one call of the kernels of a loop: in C++ for some rows of the batch at a time
(:mod:`~.recurrent_native`), or for all of them (:mod:`~.recurrent_steps`). The gradient of the weights is one product
at the end.
"""

from typing import Any

import torch
from torch import Tensor

from ...core.transforms import batched
from ...sparse.event_product import gather_outer_product, matrix
from ..operators.cuda_graph import repeated
from ..operators.loops import Loop
from ..operators.registry import get_loop
from ..operators.replay import registered_step, replayed_recurrent_gradients
from ..operators.runtime import backward_results, grouped, rows_contiguous, summed
from . import recurrent_native, recurrent_steps
from .recurrent_operands import BackwardOperands, ForwardOperands

_MOST_ACTIVE = 0.25
"""Share of active outputs above which the dense product of a step is the faster one."""

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define(
    "recurrent_forward(str key, int owner, Tensor drive, Tensor weight, Tensor before, "
    "Tensor[] states, Tensor[] parameters, SymInt[] inners, bool training) -> Tensor[]"
)
_library.define(
    "recurrent_backward(str key, Tensor inputs, Tensor y, Tensor weight, Tensor before, "
    "Tensor[] states, Tensor[] checkpoints, Tensor[] parameters, SymInt[] inners, Tensor? y_gradient, "
    "Tensor?[] last_gradients) -> Tensor[]"
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
    inputs = results[1 + len(states)] if training else None
    for target, state in zip(last, states, strict=True):
        target.copy_(state)
    before, parameters = before.contiguous(), [parameter.contiguous() for parameter in parameters]
    way = recurrent_native if recurrent_native.takes(loop, weight, (drive, before)) else recurrent_steps
    operands = ForwardOperands(
        drive=rows_contiguous(drive),
        weight=weight,
        before=before,
        inputs=inputs,
        y=y,
        states=last,
        checkpoints=checkpoints,
        parameters=parameters,
        inners=inners,
    )
    way.run_forward(loop, operands, _MOST_ACTIVE)
    return results


_repeated_forward = repeated(lambda key, *operands: _recurrent_forward(key, 0, *operands))


def recorded_forward(key: str, owner: int, *operands: Any) -> list[Tensor]:
    """The forward loop from a recording that all layers of one equation and one size share, whoever owns the step."""
    return _repeated_forward(key, *operands)


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
    carried, sums = results[3 : 3 + len(plan.carried)], results[3 + len(plan.carried) :]
    for target, gradient in zip(carried, last_gradients, strict=True):
        target.zero_() if gradient is None else target.copy_(gradient)
    arriving = [] if y_gradient is None else [y_gradient]
    alike = inputs, before, *arriving
    way = recurrent_native if recurrent_native.takes(loop, weight, alike) else recurrent_steps
    operands = BackwardOperands(
        inputs=inputs,
        y_gradient=None if y_gradient is None else rows_contiguous(y_gradient),
        weight=weight,
        drive_gradient=results[0],
        before_gradient=results[2],
        carried=carried,
        states=[state.contiguous() for state in states],
        checkpoints=checkpoints,
        parameters=[parameter.contiguous() for parameter in parameters],
        inners=inners,
        sums=sums,
    )
    way.run_backward(loop, operands)
    _weight_gradient(results[0], before, y, results[1])
    return results


def _weight_gradient(drive_gradient: Tensor, before: Tensor, y: Tensor, result: Tensor) -> None:
    """The gradients of all steps times the outputs that were fed back to them."""
    fed_back, arriving = matrix(y[:-1]), matrix(drive_gradient[1:])
    columns = result.new_empty((result.shape[1], result.shape[0])) if y.device.type == "cpu" else None
    if columns is not None and y.shape[0] > 1 and gather_outer_product(fed_back, arriving, columns, _MOST_ACTIVE):
        result.copy_(columns.t())
    else:
        torch.mm(arriving.t(), fed_back, out=result)
    result.addmm_(matrix(drive_gradient[0]).t(), matrix(before))


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


recorded_backward = repeated(_recurrent_backward)


def _setup_context(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    key, owner, drive, weight, before, states, parameters, inners, training = inputs
    ctx.set_materialize_grads(False)
    if not training:
        return
    ctx.key, ctx.inners, ctx.counts = key, inners, (5, len(states), len(parameters))
    ctx.step = registered_step(owner)
    y, fed, checkpoints = output[0], output[1 + len(states)], get_loop(key).kept(output[2 + len(states) :])
    ctx.save_for_backward(drive, fed, y, weight, before, *states, *parameters, *checkpoints)


def _autograd_backward(ctx: Any, gradients: list[Tensor | None]) -> tuple:
    loop = get_loop(ctx.key)
    plan = loop.backward_plan
    (drive, inputs, y, weight, before), states, parameters, checkpoints = grouped(ctx.saved_tensors, ctx.counts)
    states_count, parameters_count = len(states), len(parameters)
    y_gradient, last_gradients = gradients[0], gradients[1 : 1 + states_count]
    if torch.is_grad_enabled() or batched(gradients):
        outer, first, own = replayed_recurrent_gradients(
            ctx.step, drive, weight, before, states, parameters, gradients[: 1 + states_count]
        )
        return (None, None, *outer, first, own, None, None)
    if y_gradient is None and all(gradient is None for gradient in last_gradients):
        return *[None] * 5, [None] * states_count, [None] * parameters_count, None, None
    read = [states[k] for k in plan.states]
    results = torch.ops.torchdyn_neuro.recurrent_backward(
        ctx.key,
        inputs,
        y,
        weight,
        before,
        read,
        loop.completed(checkpoints, read, inputs.shape[0]),
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
_library.impl("recurrent_forward", recorded_forward, "CUDA")
_library.impl("recurrent_backward", recorded_backward, "CUDA")
torch.library.register_fake("torchdyn_neuro::recurrent_forward", _fake_forward, lib=_library)
torch.library.register_fake("torchdyn_neuro::recurrent_backward", _fake_backward, lib=_library)
torch.library.register_autograd(
    "torchdyn_neuro::recurrent_forward", _autograd_backward, setup_context=_setup_context, lib=_library
)
