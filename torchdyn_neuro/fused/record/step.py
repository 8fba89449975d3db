"""The step of a module as it was, for what no kernel computes: which results have a gradient, second derivatives."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core.stand_in import stand_in
from ...core.state import State, fill, leaves, lines_of, map_state
from .guards import WorldGuard, ambient
from .places import Source
from .recorder import Operand


class FrozenStep:
    """``(inputs, states, parameters) -> (outputs, next_states)`` of a module as it was, on lists of tensors.

    Args:
        module: a frozen copy of the dynamics.
        sources: where the parameters are.
        x: an input, for its structure.
        state: a state, for its structure.
        output_dtype: type of the outputs, that of the step if omitted.
        matrices: where the matrices of products, and lags and shares, are; their values follow the parameters, but in
            a recording.

    Attributes:
        lines: the numbers of the states that are lines of past frames.
        output: the structure of the outputs, once it has run.
        world: what outside the module it depends on, once that is known.
        changes: until then, the attributes of the modules that it ran on, after and before.
        settings: those of torch under which it was recorded.
        unused: the sources whose values no result needs: the module that has it, its name, its type and number of axes.
    """

    def __init__(
        self,
        module: nn.Module,
        sources: Sequence[Source],
        x: State,
        state: State,
        output_dtype: torch.dtype | None = None,
        matrices: Sequence[Source] = (),
    ):
        self.module = module
        self.sources, self.matrices = tuple(sources), tuple(matrices)
        self.x = structure(x)
        self.state = structure(state)
        self.output_dtype = output_dtype
        self.lines = tuple(k for k, line in enumerate(lines_of(self.state)) if line)
        self.output: State = None
        self.world: WorldGuard | None = None
        self.changes: list[tuple[dict, dict]] = []
        self.settings = ambient()
        self.unused: list[tuple[nn.Module, str | None, torch.dtype, int]] = []
        self._owners = [module.get_submodule(source.path) for source in (*self.sources, *self.matrices)]

    def __call__(
        self, inputs: Sequence[Tensor], states: Sequence[Tensor], parameters: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        values: dict[nn.Module, dict[str | None, Tensor]] = {}
        for owner, source, value in zip(self._owners, (*self.sources, *self.matrices), parameters, strict=False):
            values.setdefault(owner, {})[source.name] = value
        for owner, name, dtype, axes in self.unused:
            # A tensor without axes would be a number, and others of another type.
            values.setdefault(owner, {})[name] = inputs[0].new_zeros((1,) * axes, dtype=dtype)
        module = stand_in(self.module, values)
        before = None if self.world else [(each, dict(vars(each))) for each in module.modules()]
        y, state = module.step(fill(self.x, inputs), fill(self.state, states))
        if before is not None:
            self.changes += [(vars(each), attributes) for each, attributes in before]
        if self.output_dtype is not None:
            y = map_state(lambda leaf: leaf.to(self.output_dtype), y)
        self.output = structure(y)
        return leaves(y), leaves(state)

    def with_sources(self, used: Sequence[int], operands: Sequence[Operand]) -> "FrozenStep":
        """The same step with some of its sources only.

        Args:
            used: their numbers.
            operands: what goes with all sources.
        """
        kept = [self.sources[k] for k in used]
        step = FrozenStep(self.module, kept, self.x, self.state, self.output_dtype, self.matrices)
        step.output, step.world, step.settings = self.output, self.world, self.settings
        step.unused = [
            (owner, source.name, operand.dtype, len(operand.broadcast))
            for k, (owner, source, operand) in enumerate(zip(self._owners, self.sources, operands, strict=False))
            if k not in used
        ]
        return step


def structure(tree: State) -> State:
    """A tree of the same structure that holds no tensor."""
    return map_state(lambda leaf: True, tree)
