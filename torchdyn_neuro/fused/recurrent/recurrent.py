"""A recurrent layer: a matrix product and a kernel per step, and one product at the end for the weights' gradient."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...core.dynamics import Dynamics
from ...core.layers import has_hooks
from ...core.network import Network, NetworkState
from ...core.recurrent import Recurrent
from ...core.state import State, fill, first_frame, leaves
from ..dispatch import check_compiled, fuse_call, plain_numbers, signature
from ..layout import laid_out_all
from ..operators.registry import get_loop
from ..record.trace import NotPointwise
from . import recurrent_native, recurrent_runtime  # noqa: F401 - the second defines the operators


def takes_recurrent(module: Dynamics, x: State, output_dtype: torch.dtype | None) -> bool:
    """Whether :func:`ready_recurrent` is for a module: a plain linear connection around a neuron with one input."""
    if type(module) not in (Network, Recurrent) or module.steps != 1 or output_dtype is not None:
        return False
    if not _is_plain_linear(module.connection) or module.input is not None or has_hooks(module.neuron):
        return False
    weight = module.connection.weight
    return (
        isinstance(x, Tensor)
        and weight.dtype == x.dtype
        and weight.shape == (x.shape[-1], x.shape[-1])
        # Under autocast the product has a narrower type than the state.
        and not torch.is_autocast_enabled(x.device.type)
    )


def _is_plain_linear(layer: nn.Module) -> bool:
    """Whether a layer is the linear map of its weight and bias and nothing else."""
    kind = type(layer)
    if kind is not nn.Linear and not kind.__dict__.get("plain_linear", False):
        return False
    return not has_hooks(layer)


def ready_recurrent(
    module: Network, x: State, state: NetworkState, language: str
) -> Callable[[], tuple[Tensor, NetworkState]]:
    """What runs a recurrent layer; raises what :func:`~torchdyn_neuro.fused.dispatch.fuse` raises."""
    weight, bias = module.connection.weight, module.connection.bias
    operands = (x, weight, bias, state.output, *leaves(state.neuron))
    call = signature(x, state.neuron, None)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in operands):
        # The neuron's input holds the feedback, which carries every gradient.
        dtype, flat, _ = call.tensors[0]
        call = call._replace(tensors=((dtype, flat, True), *call.tensors[1:]))
    if language == "cpp" and not torch.compiler.is_compiling():
        recurrent_native.compile_ahead(x.dtype)
    found, values = fuse_call(module.neuron, call, language, first_frame(x), state.neuron)
    check_compiled(found, language)
    if len(leaves(found.step.output)) != 1:
        raise NotPointwise(f"{type(module).__name__}: expected a neuron with one output, got several")
    if call.tensors[0][2] and not get_loop(found.key).grad_inputs:
        # Then the feedback brings no gradient either, which the backward loop takes for granted.
        raise NotPointwise(f"{type(module).__name__}: expected a neuron whose input has a gradient, got one without")

    def run() -> tuple[Tensor, NetworkState]:
        if not torch.compiler.is_compiling():
            found.compile()
        frame = x.shape[1:]
        parameters, inners = laid_out_all(values, frame, plain_numbers(found, x))
        states = [leaf if leaf.shape == frame else leaf.expand(frame) for leaf in leaves(state.neuron)]
        before = state.output.to(x.dtype)
        training = torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, before, *states, *parameters))
        drive = x if bias is None else x + bias
        results = torch.ops.torchdyn_neuro.recurrent_forward(
            found.key, found.owner, drive, weight, before, states, parameters, inners, training
        )
        y, last = results[0], results[1 : 1 + len(states)]
        return y, NetworkState(fill(state.neuron, last), state.connection, y[-1].to(state.output.dtype))

    return run
