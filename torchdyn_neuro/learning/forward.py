"""What the methods share that go forward in time: pieces of the sequence, errors, weights of their own."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.checks import one_of, whole_number
from ..core.context import padded
from ..core.dynamics import Dynamics
from ..core.state import State, leaves
from ..models.classifier import SpikingClassifier
from .cell import Walk
from .eligibility import Eligibility
from .errors import Errors
from .jacobian import Jacobian
from .method import Gradients, LearningMethod, Outcome, with_gradients
from .stages import Run, Stage, stages_of

PROBES = 64
"""Random states at which a readout is looked at, to see whether it is linear."""


class Piece(NamedTuple):
    """What all stages have done over a piece of a sequence.

    runs: one of each stage; states: those of each stage at its end; slope: that of the loss in the output of the last
    stage, [T, B, C], or None where the loss is not known yet.
    """

    runs: list[Run]
    states: list[list[State]]
    slope: Tensor | None


class Sequence:
    """What a method remembers while a sequence goes on; it does not grow.

    Args:
        stages: of the model, the reading of the outputs included.
        errors: of the outputs.
    """

    def __init__(self, stages: list[Stage], errors: Errors):
        self.stages, self.errors = stages, errors
        self.traces = [Eligibility() for _ in stages]
        self.gradients = Gradients()
        self.more: dict[Any, Any] = {}
        self._linear_readout: bool | None = None

    @property
    def hidden(self) -> list[int]:
        """The stages before the last of which anything can be learned."""
        return [index for index, stage in enumerate(self.stages[:-1]) if stage.learns]

    def linear_readout(self, run: Run) -> bool:
        """Whether the last stage, behind its weights, is a linear filter, the same for all outputs."""
        if self._linear_readout is None:
            self._linear_readout = _is_linear_filter(self.stages[-1], run.walk.x)
        return self._linear_readout


class ForwardInTime(LearningMethod):
    r"""Base of the methods that go forward in time, layer by layer, and keep nothing of what is over.

    The sequence is taken in pieces of ``block`` steps, for speed alone: the gradients are the same for every ``block``.
    A norm over the batch goes by its running statistics (``RunningNorm``), for those of the whole sequence are not
    known. A subclass writes :meth:`go_on`.

    Args:
        error: ``"running"`` (the loss is judged after every step as if the sequence ended there) or ``"end"``. A loss
            of every step (``EveryStep``) is itself with both.
        block: steps that are worked on at once.
    """

    def __init__(self, *, error: str = "running", block: int = 64):
        super().__init__()
        self.error = one_of(type(self).__name__, "error", error, "end", "running")
        self.block = whole_number(type(self).__name__, "block", block, 1)
        self.weights = nn.ParameterDict()
        """Feedback or readout weights of the method itself, by stage."""

    def stages(self, model: nn.Module) -> list[Stage]:
        """The stages of a model; raises in words where there are none."""
        return stages_of(type(self).__name__, model)

    def prepare(self, model: nn.Module) -> None:
        self.stages(model)

    def go_on(self, sequence: Sequence, piece: Piece) -> None:
        """Add what a piece gives to the gradients."""
        raise NotImplementedError(f"{type(self).__name__} does not define go_on(sequence, piece)")

    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        if isinstance(model, SpikingClassifier):
            model.check_input(x)
        stages = self.stages(model)
        errors = Errors(type(self).__name__, loss, target, len(x), self.error, lengths)
        clocks = [part.dt for stage in stages for part in stage.inner if isinstance(part, Dynamics)]
        stages[-1].append(errors.reading(clocks[0] if clocks else 1.0))
        sequence = Sequence(stages, errors)
        with torch.no_grad():
            for piece in self._pieces(sequence, x):
                with torch.autocast(x.device.type, enabled=False):
                    self.go_on(sequence, piece)
            value, decoded = errors.result()
            for stage in stages:
                stage.cell.settle()
        return Outcome(with_gradients(value, sequence.gradients), decoded)

    def _pieces(self, sequence: Sequence, x: Tensor) -> Iterator[Piece]:
        """Run the stages over the sequence, piece by piece."""
        states: list[list[State] | None] = [None] * len(sequence.stages)
        lengths, seen = sequence.errors.lengths, 0
        x = x if lengths is None else x[: int(lengths.max())]
        for piece in x.split(self.block):
            real = None if lengths is None else (lengths - seen).clamp(0, len(piece))
            seen += len(piece)
            runs, y = [], piece
            with padded(real):
                for index, stage in enumerate(sequence.stages):
                    run, states[index] = stage.run(y, states[index])
                    stage.cell.watch(run.walk)
                    runs.append(run)
                    y = run.y
            yield Piece(runs, list(states), sequence.errors.slope(y))

    def learn_readout(self, sequence: Sequence, piece: Piece) -> Jacobian:
        """Learn the last stage, whose learning signal is the error itself; returns its Jacobian."""
        stage, run = sequence.stages[-1], piece.runs[-1]
        jacobian = stage.linearized(run, piece.states[-1])
        sums = sequence.traces[-1].advance(jacobian, piece.slope, stage.incoming(run))
        stage.hand_over(sums, sequence.gradients)
        return jacobian

    def draw(self, model: nn.Module, *, learned: bool, towards: str) -> None:
        """Draw weights between each hidden stage that learns and the outputs, [neurons, outputs] or the other way.

        Args:
            model: whose stages they belong to.
            learned: whether they can be learned.
            towards: ``"neurons"`` or ``"outputs"``.
        """
        stages = self.stages(model)
        shapes = {}
        for index, stage in enumerate(stages[:-1]):
            if not stage.learns:
                continue
            if stage.width is None or stages[-1].width is None:
                raise ValueError(
                    f"{type(self).__name__}: expected layers that say how many neurons they have, got none in front of "
                    "the neurons; begin each layer with nn.Linear"
                )
            shapes[f"stage{index}"] = stage.width, stages[-1].width
        device = next((parameter.device for parameter in model.parameters()), None)
        dtype = next((parameter.dtype for parameter in model.parameters()), None)
        self.weights.clear()
        for name, (neurons, outputs) in shapes.items():
            shape = (neurons, outputs) if towards == "neurons" else (outputs, neurons)
            drawn = torch.randn(shape, dtype=dtype, device=device) / neurons**0.5
            self.weights[name] = nn.Parameter(drawn, requires_grad=learned)

    def drawn(self, index: int) -> Tensor:
        """The weights of a stage."""
        name = f"stage{index}"
        if name not in self.weights:
            raise ValueError(
                f"{type(self).__name__}: expected weights of its own for each layer that learns, got none for layer "
                f"{index}; call prepare(model) once, before the optimizer is made"
            )
        return self.weights[name]


def _is_linear_filter(stage: Stage, x: Tensor) -> bool:
    if stage.cell.networks or stage.tail:
        return False
    generator = torch.Generator().manual_seed(0)

    def drawn(like: Tensor) -> Tensor:
        if not like.is_floating_point():
            return like
        return 3 * torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    rows = drawn(x.new_empty(PROBES, x.shape[-1]))
    states = stage.cell.start(rows)
    befores = [[drawn(leaf).unsqueeze(0) for leaf in leaves(state)] for state in states]
    rows = rows.unsqueeze(0)
    return stage.cell.linearized(Walk(rows, rows, befores, {}), states, []).uniform
