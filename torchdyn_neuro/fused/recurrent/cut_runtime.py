"""The loop of a step with matrix products as two operators of torch, ``cut_forward`` and ``cut_backward``."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...core.dynamics import Dynamics
from ...core.state import State, fill, leaves
from ...core.tensors import last_axes_fit
from ...core.transforms import batched
from ...native.compiler import NUMBERS
from ..layout import laid_out
from ..operators.direct import Operation, direct, grouped
from ..operators.replay import registered_step, replayed_gradients
from ..operators.runtime import watched
from ..record.trace import NotPointwise
from . import cut_loops
from .cut import Cut, get_cut
from .cut_loops import backward_results, forward_results, keeps, widths_of
from .lines import check_lines, merged, split

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define(
    "cut_forward(str key, int owner, Tensor[] inputs, Tensor[] states, Tensor[] parameters, SymInt[] inners, "
    "Tensor[] matrices, bool training, bool keep) -> Tensor[]"
)
_library.define(
    "cut_backward(str key, Tensor[] inputs, Tensor[] states, Tensor[] parameters, SymInt[] inners, Tensor[] matrices, "
    "Tensor[] saved, bool keep, Tensor?[] output_gradients, Tensor?[] last_gradients) -> Tensor[]"
)


def ready_cut(
    module: Dynamics,
    owner: int,
    cut: Cut,
    output: State,
    values: list[Tensor],
    matrices: list[Tensor],
    numbers: Sequence[Tensor],
    x: State,
    state: State,
    marks: Sequence[int],
) -> Callable[[], tuple[State, State]]:
    """What runs ``module``.

    Args:
        module: whose step it is.
        owner: the number of the step for second derivatives.
        cut: the step.
        output: the structure of the outputs.
        values: its parameters.
        matrices: those of its products, then lags and shares.
        numbers: what follows them that no frame goes with: its plain numbers, the number of rows.
        x, state: input and first state.
        marks: the numbers of the results that have no gradient.
    """
    inputs, states = leaves(x), leaves(state)
    # Frames are of one width, or each of its own.
    graph = cut.graph
    several = bool(graph.matrices or graph.pairs)
    synapses = {number: pair for number, *pair in graph.pairs}
    states, histories = split(graph, states)
    counts = dict.fromkeys(synapses, 2) | {graph.row: 0}
    axes = [[counts.get(number, 1) for number in group] for group in graph.widths[:2]]
    axes = [axes[0] or [1] * len(inputs), axes[1] or [1] * len(states)]
    groups = [*zip(inputs, axes[0], strict=True)], [*zip(states, axes[1], strict=True)]
    lead = torch.broadcast_shapes(
        *(leaf.shape[1 : leaf.ndim - count if several else None] for leaf, count in groups[0]),
        *(leaf.shape[: leaf.ndim - count if several else None] for leaf, count in groups[1]),
    )

    def frame(leaf: Tensor, count: int = 1) -> Sequence[int]:
        return (*lead, *leaf.shape[leaf.ndim - count :]) if several else lead

    inputs = [leaf.expand(leaf.shape[0], *frame(leaf, count)) for leaf, count in groups[0]]
    shared = [number in graph.shared for number in graph.widths[1]] or [False] * len(states)
    states = [
        leaf if alone else leaf.expand(frame(leaf, count))
        for (leaf, count), alone in zip(groups[1], shared, strict=True)
    ]
    check_lines(module, cut, histories, frame, matrices)
    states = merged(graph, states, histories)
    _check(module, cut, inputs, states, matrices)
    widths = widths_of(cut, inputs, states, matrices)
    pairs = []
    for value, number in zip(values, (graph.widths[3] or (0,) * len(values))[: len(values)], strict=True):
        if number not in synapses:
            pairs.append(laid_out(value, frame(value if value.ndim else inputs[0])))
            continue
        goal = *(() if number in graph.shared else lead), *(widths[k] for k in synapses[number])
        if not last_axes_fit(value.shape, goal):
            raise NotPointwise(
                f"{type(module).__name__}: expected parameters that broadcast to a value for each synapse, "
                f"{goal[-2]} x {goal[-1]}, got one of shape {tuple(value.shape)}; run it with backend('eager')"
            )
        pairs.append(laid_out(value, goal))
    pairs += [(each, 1) for each in numbers]
    parameters, inners = [value for value, _ in pairs], [inner for _, inner in pairs]
    operands = (*inputs, *states, *parameters, *matrices)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in operands)
    count = len(cut.graph.outputs)

    def run() -> tuple[State, State]:
        results = _run(cut.key, owner, inputs, states, parameters, inners, matrices, training, marks)
        return fill(output, results[:count]), fill(state, results[count : count + len(states)])

    return run


def _check(
    module: Dynamics, cut: Cut, inputs: Sequence[Tensor], states: Sequence[Tensor], matrices: Sequence[Tensor]
) -> None:
    reason = None
    if torch.is_autocast_enabled(inputs[0].device.type):
        reason = "autocast, under which a product has a narrower type than the state"
    elif cut.dtype not in NUMBERS or len({*cut.dtypes, *(m.dtype for m in matrices if m.is_floating_point())}) > 1:
        reason = "matrices of other types than the frames"
    elif None in widths_of(cut, inputs, states, matrices):
        shapes = ", ".join(" x ".join(map(str, weight.shape)) for weight in matrices)
        width = inputs[0].shape[-1]
        reason = f"{shapes} where all have to be {width} x {width}"
    elif prod(inputs[0].shape) == 0 or 0 in widths_of(cut, inputs, states, matrices):
        reason = "a frame without elements"
    if reason:
        raise NotPointwise(f"{type(module).__name__}: expected products that a fused loop can take, got {reason}")


def _run(
    key: str,
    owner: int,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    matrices: list[Tensor],
    training: bool,
    marks: Sequence[int],
) -> Sequence[Tensor]:
    given = key, owner, inputs, states, parameters, inners, matrices, training
    if watched():
        # Not by the sizes, which may be any.
        return torch.ops.torchdyn_neuro.cut_forward(*given, training)
    if not training:
        return cut_forward(*given, False)
    cut = get_cut(key)
    keep = keeps(cut, inputs, widths_of(cut, inputs, states, matrices))
    operation = Operation(cut_forward, _setup_context, _autograd_backward)
    operands = inputs, states, parameters, matrices
    return direct(operation, lambda *groups: (key, owner, *groups[:3], inners, groups[3], True, keep), operands, marks)


def cut_forward(key: str, owner: int, inputs: list[Tensor], *operands: Any) -> list[Tensor]:
    """The forward loop; a recording of it is shared by all layers of one equation and size, whoever owns the step."""
    return cut_loops.loops(inputs[0])[0](key, inputs, *operands)


def cut_backward(key: str, inputs: list[Tensor], *operands: Any) -> list[Tensor]:
    """The backward loop."""
    return cut_loops.loops(inputs[0])[1](key, inputs, *operands)


def _fake_forward(
    key: str,
    owner: int,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    matrices: list[Tensor],
    training: bool,
    keep: bool,
) -> list[Tensor]:
    groups = forward_results(get_cut(key), inputs, states, matrices, training, keep)
    return [tensor for group in groups for tensor in group]


def _fake_backward(
    key: str, inputs: list[Tensor], states: list[Tensor], parameters: list[Tensor], inners: list[int], *rest: Any
) -> list[Tensor]:
    groups = backward_results(get_cut(key), inputs, states, parameters, rest[0])
    return [tensor for group in groups for tensor in group]


def _setup_context(ctx: Any, inputs: tuple, output: Sequence[Tensor]) -> None:
    key, owner, sequences, states, parameters, inners, matrices, training, keep = inputs
    ctx.set_materialize_grads(False)
    if not training:
        return
    ctx.key, ctx.inners, ctx.keep = key, inners, keep
    ctx.counts = len(sequences), len(states), len(parameters), len(matrices)
    ctx.step = registered_step(owner)
    saved = output[len(get_cut(key).graph.outputs) + len(states) :]
    ctx.save_for_backward(*sequences, *states, *parameters, *matrices, *saved)


def _autograd_backward(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple:
    cut = get_cut(ctx.key)
    graph, count, held = cut.graph, len(cut.graph.outputs), ctx.counts[1]
    inputs, states, parameters, matrices, saved = grouped(ctx.saved_tensors, ctx.counts)
    output_gradients, last_gradients = list(gradients[:count]), gradients[count : count + held]
    arriving = [last_gradients[k] for k in cut.arriving]
    if all(gradient is None for gradient in (*output_gradients, *arriving)):
        nothing = ([None] * size for size in ctx.counts)
        groups = [*nothing]
    elif torch.is_grad_enabled() or batched(gradients):
        # Plain numbers come behind the parameters, and are no operands of the step.
        own = parameters[: len(ctx.step.sources)]
        values = [*own, *matrices]
        *found, last = replayed_gradients(ctx.step, inputs, states, values, output_gradients, last_gradients)
        numbers = [None] * (len(parameters) - len(own))
        groups = [*found, [*last[: len(own)], *numbers], last[len(own) :]]
    else:
        run = torch.ops.torchdyn_neuro.cut_backward if watched() else cut_backward
        results = iter(
            run(ctx.key, inputs, states, parameters, ctx.inners, matrices, saved, ctx.keep, output_gradients, arriving)
        )
        grad_inputs = [None if node is None else next(results) for node in graph.grad_inputs]
        carried = {k: next(results) for k in cut.arriving}
        grad_parameters = [None if node is None else next(results) for node in graph.grad_parameters]
        by_matrix = {k: next(results) for k in cut.learned}
        grad_states = [carried.get(k) for k in range(held)]
        groups = [grad_inputs, grad_states, grad_parameters, [by_matrix.get(k) for k in range(len(matrices))]]
    first, second, third, fourth = groups
    return None, None, first, second, third, None, fourth, None, None


for _device in ("CPU", "CUDA"):
    _library.impl("cut_forward", cut_forward, _device)
    _library.impl("cut_backward", cut_backward, _device)
torch.library.register_fake("torchdyn_neuro::cut_forward", _fake_forward, lib=_library)
torch.library.register_fake("torchdyn_neuro::cut_backward", _fake_backward, lib=_library)
torch.library.register_autograd(
    "torchdyn_neuro::cut_forward", _autograd_backward, setup_context=_setup_context, lib=_library
)
