"""The Jacobian of a step that acts on each neuron by itself: a few numbers for each neuron, row and step."""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

Source = Hashable
"""What moves a neuron from outside: its input, feedback of a recurrent connection, or one of its parameters."""


@dataclass(frozen=True)
class Jacobian:
    r"""The slopes of a pointwise step :math:`(y_t, s_t) = f(x_t, s_{t-1}; \theta)`, each [T, B, N].

    What is zero throughout is left out; what is the same for all neurons is [T, B, 1].

    Args:
        size: number of values in the state of a neuron.
        carry: :math:`\partial s^m_t / \partial s^n_{t-1}`, by (m, n).
        read: :math:`\partial y_t / \partial s^n_{t-1}`, by n.
        gain: :math:`\partial s^m_t / \partial \xi_t`, by source and m.
        direct: :math:`\partial y_t / \partial \xi_t`, by source.
    """

    size: int
    carry: dict[tuple[int, int], Tensor]
    read: dict[int, Tensor]
    gain: dict[Source, dict[int, Tensor]]
    direct: dict[Source, Tensor]

    def entries(self) -> list[Tensor]:
        """All that is not zero."""
        gains = [gain for by_state in self.gain.values() for gain in by_state.values()]
        return [*self.carry.values(), *self.read.values(), *gains, *self.direct.values()]

    @property
    def uniform(self) -> bool:
        """Whether all neurons and rows have the same slopes."""
        return all(entry.shape[-1] == 1 and bool((entry == entry[:, :1]).all()) for entry in self.entries())

    def scaled(self, mask: Tensor) -> "Jacobian":
        """The Jacobian of the step whose output is multiplied by ``mask`` [T, B, N]."""
        return Jacobian(
            self.size,
            self.carry,
            {n: mask * slope for n, slope in self.read.items()},
            self.gain,
            {source: mask * slope for source, slope in self.direct.items()},
        )

    def then(self, behind: "Jacobian") -> "Jacobian":
        """The Jacobian of the step whose output goes through another one, with one input, behind."""
        d, inward, through = self.size, behind.gain.get("input", {}), behind.direct.get("input")
        carry, read = dict(self.carry), {d + n: slope for n, slope in behind.read.items()}
        carry |= {(d + m, d + n): slope for (m, n), slope in behind.carry.items()}
        carry |= {(d + m, n): rise * slope for m, rise in inward.items() for n, slope in self.read.items()}
        gain = {source: dict(by_state) for source, by_state in self.gain.items()}
        for source, slope in self.direct.items():
            gain.setdefault(source, {}).update({d + m: rise * slope for m, rise in inward.items()})
        direct: dict[Source, Tensor] = {}
        if through is not None:
            read |= {n: through * slope for n, slope in self.read.items()}
            direct = {source: through * slope for source, slope in self.direct.items()}
        return Jacobian(d + behind.size, carry, read, gain, direct)


def jacobian(
    y: Tensor, afters: list[Tensor], befores: list[Tensor], sources: dict[Source, Tensor], shape: torch.Size
) -> Jacobian:
    """The Jacobian of a step whose outputs depend on inputs of the same element only.

    Then the gradient of the sum of an output is its slope at each element: one backward pass for each output.

    Args:
        y: the output of the step, [T B, N].
        afters: the state after the step, [T B, N] each.
        befores: the state before it.
        sources: what else moves it.
        shape: T and B.
    """
    inputs = [*befores, *sources.values()]
    carry: dict[tuple[int, int], Tensor] = {}
    read: dict[int, Tensor] = {}
    gain: dict[Source, dict[int, Tensor]] = {source: {} for source in sources}
    direct: dict[Source, Tensor] = {}
    for m, out in enumerate([*afters, y]):
        if not out.requires_grad:
            continue
        slopes = torch.autograd.grad(out.sum(), inputs, retain_graph=True, allow_unused=True)
        slopes = [_narrow(slope, shape) for slope in slopes]
        from_states, from_sources = slopes[: len(befores)], slopes[len(befores) :]
        is_output = m == len(afters)
        for n, slope in enumerate(from_states):
            if slope is not None and is_output:
                read[n] = slope
            elif slope is not None:
                carry[m, n] = slope
        for source, slope in zip(sources, from_sources, strict=True):
            if slope is not None and is_output:
                direct[source] = slope
            elif slope is not None:
                gain[source][m] = slope
    return Jacobian(len(afters), carry, read, gain, direct)


def _narrow(slope: Tensor | None, shape: torch.Size) -> Tensor | None:
    """A slope [T, B, N], or [T, B, 1] if all neurons share it; None if it is zero."""
    if slope is None or not slope.any():
        return None
    slope = slope.unflatten(0, shape)
    first = slope[..., :1]
    return first.contiguous() if bool((slope == first).all()) else slope
