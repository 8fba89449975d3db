"""Which results of a loop have a gradient: those to which something that wants one leads, as torch would say."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .places import Source
from .recorder import Operand
from .step import FrozenStep

_SIZE = 2


class Differentiable(NamedTuple):
    """For each number of steps, which outputs and which last states have a gradient.

    Args:
        steps: after one step, after two, ...: flags of the outputs so far, and of the states.
        period: the number of entries at the end that repeat for ever.
    """

    steps: tuple[tuple[tuple[bool, ...], tuple[bool, ...]], ...]
    period: int

    def after(self, count: int) -> tuple[bool, ...]:
        """The flags of the outputs and the last states of a sequence of so many steps."""
        known = len(self.steps)
        place = count - 1 if count <= known else known - self.period + (count - 1 - known) % self.period
        outputs, states = self.steps[place]
        return (*outputs, *states)


def differentiable(
    step: FrozenStep,
    inputs: Sequence[Operand],
    states: Sequence[Operand],
    parameters: Sequence[Operand],
    matrices: Sequence[tuple[torch.dtype, bool, tuple[int, ...]]],
) -> Differentiable:
    """Run a step on small tensors until the states that have a gradient come round again.

    Args:
        step: the step.
        inputs, states, parameters: its operands, with whether they want a gradient.
        matrices: type of each matrix, whether it wants a gradient, and its shape; then those of lags and shares.
    """
    ndim = len(inputs[0].broadcast)

    def made(operand: Operand, wanted: bool) -> torch.Tensor:
        axes = operand.broadcast
        sizes = [1 if flat else _SIZE for flat in axes] if len(axes) < ndim else [_SIZE] * max(ndim, len(axes))
        return torch.ones(sizes, dtype=operand.dtype).requires_grad_(wanted)

    def before(number: int, flag: bool) -> torch.Tensor:
        # A line may be of any length; the shortest one leaves no choice of the frame that is read.
        state = made(states[number], flag)
        return state.detach()[:, None][:, :0].requires_grad_(flag) if number in step.lines else state

    def factor(source: Source, dtype: torch.dtype, wanted: bool) -> torch.Tensor:
        if source.name == "lags":
            return torch.zeros(1, dtype=dtype)
        size = (1,) if source.name == "shares" else (_SIZE, _SIZE)
        return torch.ones(size, dtype=dtype).requires_grad_(wanted)

    with torch.inference_mode(False), torch.enable_grad():
        values = [made(p, p.gradient) for p in parameters]
        pairs = zip(step.matrices, matrices, strict=True)
        values += [factor(source, dtype, wanted) for source, (dtype, wanted, _) in pairs]
        flags, seen, found = tuple(s.gradient for s in states), [], []
        outputs: tuple[bool, ...] = ()
        while flags not in seen:
            seen.append(flags)
            held = [before(k, flag) for k, flag in enumerate(flags)]
            ys, after = step([made(x, x.gradient) for x in inputs], held, values)
            now = tuple(y.requires_grad for y in ys)
            outputs = tuple(a or b for a, b in zip(outputs or now, now, strict=True))
            flags = tuple(s.requires_grad for s in after)
            found.append((outputs, flags))
        period = len(seen) - seen.index(flags)
        if period > 1 or found[-period:] != [found[-1]] * period:
            # The flags of the outputs add up over a whole round.
            found += [(outputs, state) for _, state in found[-period:]]
    return Differentiable(tuple(found), period)
