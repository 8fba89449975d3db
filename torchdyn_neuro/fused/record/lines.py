"""Lines of past frames inside a step: what stands in for a delay while a step is recorded, and writes it down.

A state that is a line of frames is never shifted. While a step is recorded one frame stands for the whole line: what is
pushed is its next state, and what is read is a product like that of a matrix, :class:`~.graph.LineRead`. Which frames
are read, and the share of each, are operands that the delay computes before the loop.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.dynamics import Dynamics
from ...core.layers import has_hooks
from ...core.state import State, widen
from .builder import Refusal
from .graph import LineRead, Node, ordered
from .products import Product
from .synapses import of_width

if TYPE_CHECKING:
    from .recorder import Recorder

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define("line(Tensor x, Tensor history, int taps, int matrix, bool transposed) -> Tensor")
_library.define("line_outer(Tensor gradient, Tensor x, Tensor history, int taps) -> Tensor")
_library.define("line_push(Tensor x, Tensor history) -> Tensor")
_library.impl("line_push", lambda x, history: x.clone(), "CPU")
_library.impl("line", lambda x, history, taps, matrix, transposed: x.clone(), "CPU")
_library.impl("line_outer", lambda gradient, x, history, taps: gradient.clone(), "CPU")


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, history: Tensor, taps: int, matrix: int) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, history)
        ctx.taps, ctx.matrix = taps, matrix
        y = torch.ops.torchdyn_neuro.line(x, history, taps, matrix, False)
        return y, torch.ops.torchdyn_neuro.line_push(x, history)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, after: Tensor | None) -> tuple[Tensor | None, ...]:
        # What arrives at the frames of the last state is there from the start.
        x, history = ctx.saved_tensors
        if gradient is None:
            raise Refusal("a line of frames from which no gradient comes back")
        if ctx.taps >= 0:
            torch.ops.torchdyn_neuro.line_outer(gradient, x, history, ctx.taps)
        return torch.ops.torchdyn_neuro.line(gradient, history, ctx.taps, ctx.matrix, True), None, None, None


class LineStandIn(Dynamics):
    """In the place of a delay: reads the line of frames in its state, multiplies by a matrix and adds a bias.

    While a step is recorded this is written down; where the operands have values it is computed.

    Args:
        dt: time step, ms.
        matrix: the number of the matrix among those of the step; ``None`` if there is none.
        bias: the bias, for its type; ``None`` if there is none.

    Attributes:
        taps: the number of the lags with which the line is read; below zero if the matrix is multiplied by all frames
            of the line, oldest first.
    """

    def __init__(self, dt: float, matrix: int | None, bias: Tensor | None):
        super().__init__(dt=dt)
        self.taps, self.matrix = -1, -1 if matrix is None else matrix
        for name in ("lags", "shares", "weight"):
            self.register_buffer(name, None)
        self.register_buffer("bias", None if bias is None else torch.zeros((), dtype=bias.dtype))

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        y, history = self._recorded(x_t, state) if self._is_recorded() else self._computed(x_t, state)
        if self.bias is not None:
            y = y + self.bias
        return y.to(x_t.dtype), state._replace(history=history)

    def _is_recorded(self) -> bool:
        return self.shares is None and self.weight is None

    def _recorded(self, x_t: Tensor, state: State) -> tuple[Tensor, Tensor]:
        whole = self.matrix if self.taps < 0 else -1
        y, history = _Read.apply(widen(x_t), state.history, self.taps, whole)
        return (y if self.matrix < 0 else Product.apply(y, self.matrix)), history

    def _computed(self, x_t: Tensor, state: State) -> tuple[Tensor, Tensor]:
        line = torch.cat([state.history, widen(x_t).unsqueeze(1)], 1)
        frame = (line.shape[0], 1, *line.shape[2:])
        if self.shares is None:
            y = line.movedim(1, -2).flatten(-2)
        else:
            places = (line.shape[1] - 1 - lag for lag in self.lags)
            y = sum(
                share.to(line.dtype) * line.gather(1, place.expand(frame)).squeeze(1)
                for share, place in zip(self.shares, places, strict=True)
            )
        return (y if self.weight is None else functional.linear(y, self.weight.to(y.dtype))), line[:, 1:]


class Lines:
    """The lines of a step while it is recorded.

    Args:
        recorder: what writes the step down.

    Attributes:
        leaves: the number of each line by the leaf that stands for it.
        pushed: what each line is given, as its next state.
        gradients: of what each line is given, the part that comes back through it.
        outers: for the gradients of shares: how a line is read, the gradient of that, and what is pushed.
    """

    def __init__(self, recorder: "Recorder"):
        self.recorder = recorder
        self.leaves: dict[Node, int] = {}
        self.pushed: dict[int, Node] = {}
        self.gradients: dict[int, Node] = {}
        self.outers: list[tuple[LineRead, Node, Node]] = []

    def record(self, func: Any, x: Tensor, *args: Any) -> Tensor:
        """Write down an operation of this module."""
        recorder, result = self.recorder, func(x, *args)
        if func._schema.name == "torchdyn_neuro::line_push":
            line, source = self._number(*args), recorder.node(x)
            if line in self.pushed or x.shape != args[0].shape:
                raise Refusal("a line of frames that takes more than one frame in a step, or one of another shape")
            self.pushed[line] = recorder._interned("pushed", (source, line), x.dtype)
            recorder._bind_new(result, self.pushed[line], source)
            return result
        if func._schema.name == "torchdyn_neuro::line_outer":
            pushed, history, taps = args
            source = recorder.node(pushed)
            self.outers.append((LineRead(self._number(history), taps, -1), recorder.node(x), source))
            recorder._bind(result, source)
            return result
        history, taps, matrix, transposed = args
        line, source = self._number(history), recorder.node(x)
        if source.dtype not in (torch.float32, torch.float64):
            raise Refusal(f"a line of frames of {source.dtype}")
        shape = history.shape
        if matrix >= 0 and not transposed and recorder.matrices:
            shape = of_width(history.shape, recorder.matrices[matrix][1])
        result = x[..., :1].expand(shape).contiguous() if x.shape != shape else result
        node = recorder._interned("product", (source, LineRead(line, taps, matrix), transposed), x.dtype)
        recorder._bind_new(result, node, source)
        if transposed:
            self.gradients[line] = node
        return result

    def _number(self, history: Tensor) -> int:
        line = self.leaves.get(self.recorder.node(history))
        if line is None:
            raise Refusal("a delay whose state is not the one that the step was given")
        return line

    def given(self, next_states: list[Node], results: list[Node]) -> tuple[Node, ...]:
        """What each line is given; raises if one takes another way through a step than to be pushed and read once.

        Args:
            next_states: what follows each line.
            results: all else that the step computes.
        """
        same = all(self.pushed.get(line) is node for line, node in enumerate(next_states))
        given = tuple(node.args[0] for node in next_states) if same else ()
        nodes = ordered([*results, *given]) if self.leaves else ()
        if not same or any(node in self.leaves or node.op == "pushed" for node in nodes):
            raise Refusal("a line of frames that is not handed on by its own delay alone, once in a step")
        return given


def is_plain_line(layer: nn.Module) -> bool:
    """Whether a layer is a delay that :class:`LineStandIn` can stand in for."""
    if not type(layer).__dict__.get("plain_line", False):
        return False
    return not {"forward", "step", "scan"} & vars(layer).keys() and not has_hooks(layer)
