"""A step recorded once: its graph, and whether it still holds."""

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...core.state import State
from .audit import Audit
from .builder import Refusal
from .frozen import RECORDINGS, Frozen
from .graph import StepGraph
from .guards import ModuleGuard, WorldGuard, observed
from .numbers import Log, Numbers, lifted, other_numbers
from .places import Source
from .reads import World
from .recorder import Operand
from .step import FrozenStep
from .synapses import NO_PAIRS, SHARED, Pairs
from .trace import NotPointwise, Operands, trace_other_numbers, trace_step


class Recording:
    """What was recorded of a module, or why nothing was, with the guards under which that holds.

    Args:
        module: the dynamics.
        training: whether gradients are wanted.
    """

    def __init__(self, module: nn.Module, training: bool):
        reason = observed()
        if reason:
            raise NotPointwise(reason)
        try:
            self.frozen: Frozen | None = Frozen(module)
        except Refusal as refusal:
            raise NotPointwise(str(refusal)) from None
        self.training = training
        self.module_guard = ModuleGuard(self.frozen)
        self.world_guard: WorldGuard | None = None
        self.sources = self.frozen.sources
        self.live = self.frozen.live
        self.matrices, self.taps = self.frozen.matrices, self.frozen.taps
        self.live_matrices, self.live_taps = self.frozen.live_matrices, self.frozen.live_taps
        self.described = describe(self.operands(), training)
        self.by_width = bool(self.matrices or self.taps)
        self.lasts = self._lasts(self.operands())
        self.described_matrices = self._describe_matrices()
        self.numbers: Numbers | None = None
        self.result: Any = None

    def frozen_step(
        self, sources: Sequence[Source], x: State, state: State, output_dtype: torch.dtype | None
    ) -> FrozenStep:
        """The step with these sources as its parameters."""
        return FrozenStep(self.frozen.module, sources, x, state, output_dtype, (*self.matrices, *self.taps))

    def trace(
        self,
        step: FrozenStep,
        inputs: Sequence[Operand],
        states: Sequence[Operand],
        parameters: Sequence[Operand],
        on_cpu: bool,
        matrices: Sequence[tuple[int, int]] = (),
        pairs: Pairs = NO_PAIRS,
    ) -> StepGraph:
        """Record the step and find what it depends on; raises :class:`NotPointwise`.

        Its plain numbers are then in ``numbers``, and in the graph as entries of one more leaf.
        """
        audit, frozen, log = Audit(), self.frozen, Log()
        graph = trace_step(step, inputs, states, parameters, audit, on_cpu, log, matrices, pairs, step.lines)
        if pairs:
            parameters = [replace(p, width=k) for p, k in zip(parameters, graph.widths[3], strict=True)]
        try:
            frozen.check_unchanged(step.changes)
            world = World(audit, frozen)
            self.module_guard, self.world_guard = ModuleGuard(frozen, world), WorldGuard(world)
            if not (self.module_guard.holds() and self.world_guard.holds()):
                raise Refusal("a step that changes what it reads")
        except Refusal as refusal:
            raise NotPointwise(str(refusal)).with_traceback(refusal.__traceback__) from None
        step.world, step.changes = self.world_guard, []
        for only in (None, "dt"):
            with other_numbers(frozen.numbers, only):
                other = trace_other_numbers(step, inputs, states, parameters, on_cpu, matrices, pairs, step.lines)
            found = other and lifted(graph, log, *other)
            if found:
                graph, self.numbers = found
                break
        frozen.forget_tensors()
        return graph

    def values(self) -> list[Tensor] | None:
        """The operands for a call, all of them; ``None`` if the recording does not hold for it."""
        if not self.module_guard.holds() or not (self.world_guard is None or self.world_guard.holds()):
            return None
        values = self.operands()
        if (self.matrices or self.taps) and self._describe_matrices() != self.described_matrices:
            return None
        same = describe(values, self.training) == self.described and self._lasts(values) == self.lasts
        return values if same else None

    def with_widths(
        self, operands: Operands, widths: Sequence[int | tuple[int, ...]] | None
    ) -> tuple[Operands, list[tuple[int, int]], Pairs]:
        """Inputs, states and all sources with the numbers of their widths, those of the matrices and of synapses.

        They are as they were, and there are none of matrices, where all widths are the same.

        Args:
            operands: these.
            widths: of inputs and states; ``None`` if unknown.
        """
        if self.taps and widths is None:
            raise NotPointwise("lines of frames while torch compiles")
        shapes = [shape for *_, shape in self.described_matrices[: len(self.matrices)]]
        synapses = dict.fromkeys(width for width in widths or () if isinstance(width, tuple))  # or one for each row
        frames = [width for width in widths or () if width not in synapses]
        every = [*frames, *(size for shape in (*shapes, *synapses) for size in shape[:2]), *synapses]
        numbers = {width: k for k, width in enumerate(dict.fromkeys(every))}
        matrices = [(numbers[outputs], numbers[inputs]) for outputs, inputs in shapes]
        if synapses:
            self.by_width = True
            self.lasts = self._lasts(self.operands())
            pairs = Pairs((numbers[pair], tuple(numbers[width] for width in pair[:2])) for pair in synapses)
            pairs.shared = frozenset(numbers[pair] for pair in synapses if pair[2:])
            return self._numbered(operands, widths, numbers), matrices, pairs
        # A leaf of width one broadcasts; a product of that width does not, where it is not that of all.
        alike = len({*numbers} - {1}) <= 1 and not any(1 in shape for shape in shapes)
        if not shapes or len(numbers) == 1 or (alike and widths):
            return operands, [], NO_PAIRS
        if widths is None:
            raise NotPointwise("frames of several widths while torch compiles")
        return self._numbered(operands, widths, numbers), matrices, NO_PAIRS

    def _numbered(self, operands: Operands, widths: Sequence[Any], numbers: dict[Any, int]) -> Operands:
        synapses = [width for width in numbers if isinstance(width, tuple)]

        def number(width: Any) -> int:
            if not isinstance(width, tuple) or width in numbers:
                return numbers.get(width, 0)
            # One value for each postsynaptic neuron, or for each presynaptic one.
            fitting = [pair for pair in synapses if pair and width == (pair[0], 1)]
            return numbers[fitting[0]] if fitting else numbers.get(width[1], 0)

        count = len(operands[0])
        groups = zip(operands, (widths[:count], widths[count:], self.lasts), strict=True)

        def numbered(operand: Operand, width: Any) -> Operand:
            if isinstance(width, tuple) and width not in numbers and (*width, SHARED) in numbers:
                width = *width, SHARED
            # One value for each synapse is that, where there is one neuron on a side, too.
            broadcast = (False,) * len(operand.broadcast) if width in synapses else operand.broadcast
            return replace(operand, width=number(width), broadcast=broadcast)

        return tuple([numbered(o, width) for o, width in zip(*pair, strict=True)] for pair in groups)

    def _lasts(self, values: Sequence[Tensor]) -> list[Any]:
        """Where frames may have several widths, the last axes of the operands, one or two of them."""
        if not self.by_width:
            return []
        shapes = [tuple(value.shape[-2:]) for value in values]
        return [shape if len(shape) == 2 else shape[0] if shape else None for shape in shapes]

    def _describe_matrices(self) -> list[tuple[torch.dtype, bool, tuple[int, ...]]]:
        return [(w.dtype, self.training and w.requires_grad, tuple(w.shape)) for w in self.matrix_values()]

    def matrix_values(self) -> list[Tensor]:
        """The matrices of products, then lags and shares, as they are now."""
        weights = (getattr(layer, name) for layer, name in self.live_matrices)
        return [*weights, *(value for layer in self.live_taps for value in layer.taps())]

    def operands(self) -> list[Tensor]:
        """The values of all sources, as they are now."""
        pairs = zip(self.sources, self.live, strict=True)
        return [owner() if source.name is None else owner[source.name] for source, owner in pairs]


def describe(values: Sequence[Tensor], training: bool) -> tuple[tuple[torch.dtype, tuple[bool, ...], bool], ...]:
    """What a recording depends on of its operands, beside their elements."""
    return tuple((v.dtype, tuple(size == 1 for size in v.shape), training and v.requires_grad) for v in values)


class Recordings:
    """What was recorded of a module, by the kind of call; a copy of the module starts with nothing."""

    most_kinds, most_variants = 64, 16

    def __init__(self, owner: nn.Module | None = None):
        self.owner = None if owner is None else weakref.ref(owner)
        self.by_kind: dict[Any, list[Recording]] = {}
        self.by_width = False  # whether a recording depends on the widths of frames
        self.prepared: dict[Any, Any] = {}  # what was worked out for calls of a finer kind

    def find(self, kind: Any) -> tuple[Recording, list[Tensor]] | None:
        """The recording that holds for a call of this kind, and the values of its operands."""
        for recording in reversed(self.by_kind.get(kind, ())):
            values = recording.values()
            if values is not None:
                return recording, values
        return None

    def add(self, kind: Any, recording: Recording) -> None:
        """Keep a recording, and of old ones no more than can be of use."""
        if len(self.by_kind) >= self.most_kinds:
            self.by_kind.clear()
        variants = self.by_kind.setdefault(kind, [])
        variants.append(recording)
        del variants[: -self.most_variants]

    def keep(self, kind: Any, prepared: Any) -> None:
        """Keep what was worked out for a kind of call."""
        if len(self.prepared) >= self.most_kinds:
            self.prepared.clear()
        self.prepared[kind] = prepared

    def __reduce__(self) -> tuple:
        return Recordings, ()

    def __deepcopy__(self, memo: dict) -> "Recordings":
        return Recordings()


def recordings_of(module: nn.Module) -> Recordings:
    """What was recorded of ``module`` so far."""
    attributes = vars(module)
    found = attributes.get(RECORDINGS)
    # One that came with a copy of the attributes belongs to another module.
    if found is None or found.owner is None or found.owner() is not module:
        found = attributes[RECORDINGS] = Recordings(module)
    return found
