"""Eligibility traces, carried forward from one piece of a sequence to the next."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .jacobian import Jacobian, Source

Adjoint = dict[int, Tensor]
"""For each value in the state of a neuron, how much something later depends on it, [B, N] or [B, 1]."""


class Eligibility:
    r"""How far the state of each neuron depends on each of its synapses and parameters, by ways inside the neuron.

    With the Jacobian of a pointwise step, a synapse from i to j with presynaptic activity :math:`z_i` has

    .. math:: \epsilon^t_{ji} = \frac{\partial s^t_j}{\partial s^{t-1}_j}\, \epsilon^{t-1}_{ji}
        + \frac{\partial s^t_j}{\partial x^t_j}\, z^t_i, \qquad
        e^t_{ji} = \frac{\partial y^t_j}{\partial s^{t-1}_j}\, \epsilon^{t-1}_{ji}
        + \frac{\partial y^t_j}{\partial x^t_j}\, z^t_i, \qquad
        \Delta_{ji} = \sum_t L^t_j\, e^t_{ji}

    The traces are [B, post, pre] for each value in the state; where the slopes are the same for all neurons, as those
    of a LIF without a gradient through its reset, they are [B, 1, pre]. A piece of k steps costs one update of them,
    whatever k is: within the piece, the sums over time are turned round,

    .. math:: \Delta_{ji} = \sum_b \lambda^0_j\, \epsilon^0_{ji} + \sum_{b,t} \Bigl(
        \lambda^t_j \frac{\partial s^t_j}{\partial x^t_j} + L^t_j \frac{\partial y^t_j}{\partial x^t_j} \Bigr) z^t_i

    with the adjoint :math:`\lambda` of the neuron's own state, and products of matrices do the rest. The result is the
    same for every k, and nothing of the piece is kept.

    Source: Bellec et al. (2020), Nat. Commun. 11:3625, eqs. 1, 13 and 14.
    """

    def __init__(self) -> None:
        self.traces: dict[Source, dict[int, Tensor]] = {}

    def advance(
        self, jacobian: Jacobian, signal: Tensor | None, sources: Mapping[Source, Tensor | None]
    ) -> dict[Source, Tensor]:
        """Go on over a piece of a sequence.

        Args:
            jacobian: of each of its steps.
            signal: the learning signal [T, B, post]; none if nothing is to be learned yet.
            sources: for each synapse-like source, what comes in, [T, B, pre]; None for a parameter of the neuron.

        Returns:
            For each source the sum over steps and rows of signal times eligibility, [post, pre] or [post].
        """
        found: dict[Source, Tensor] = {}
        if signal is not None:
            along, start = _backward(jacobian, {}, signal)
            for source, pre in sources.items():
                weight = _weighted(jacobian, source, along)
                if source in jacobian.direct:
                    weight = _plus(weight, jacobian.direct[source] * signal)
                parts = [] if weight is None else [_summed(weight.expand(signal.shape), pre)]
                for n, adjoint in start.items():
                    trace = self.traces.get(source, {}).get(n)
                    if trace is not None:
                        parts.append(_contracted(adjoint.expand(signal.shape[1:]), trace, pre is not None))
                if parts:
                    found[source] = sum(parts[1:], start=parts[0])
        self._carry(jacobian, sources)
        return found

    def _carry(self, jacobian: Jacobian, sources: Mapping[Source, Tensor | None]) -> None:
        """Move the traces to the end of a piece."""
        entries = jacobian.entries()
        if not entries:
            self.traces = {}
            return
        one = entries[0].new_ones(entries[0].shape[1], 1)
        before, self.traces = self.traces, {source: {} for source in sources}
        for m in range(jacobian.size):
            along, start = _backward(jacobian, {m: one}, None, len(entries[0]))
            for source, pre in sources.items():
                weight, trace = _weighted(jacobian, source, along), None
                if weight is not None:
                    trace = weight.sum(0) if pre is None else _outer(weight, pre)
                for n, adjoint in start.items():
                    old = before.get(source, {}).get(n)
                    if old is not None:
                        slope = adjoint if pre is None else adjoint.unsqueeze(-1)
                        # One pass over the traces, which are what takes the time.
                        trace = slope * old if trace is None else torch.addcmul(trace, slope, old)
                if trace is not None:
                    self.traces[source][m] = trace


def _backward(
    jacobian: Jacobian, last: Adjoint, signal: Tensor | None, steps: int = 0
) -> tuple[dict[int, Tensor], Adjoint]:
    """The adjoint of the state after each step, [T, B, N] or [T, B, 1], and of the state before the first."""
    steps = steps if signal is None else len(signal)
    carry = [(m, n, slope.unbind(0)) for (m, n), slope in jacobian.carry.items()]
    reads = [] if signal is None else [(n, (slope * signal).unbind(0)) for n, slope in jacobian.read.items()]
    along: dict[int, list[tuple[int, Tensor]]] = {}
    adjoint = last
    for t in reversed(range(steps)):
        for m, value in adjoint.items():
            along.setdefault(m, []).append((t, value))
        before: Adjoint = {n: read[t] for n, read in reads}
        for m, n, slope in carry:
            if m not in adjoint:
                continue
            if n not in before:
                before[n] = slope[t] * adjoint[m]
            else:
                before[n] = torch.addcmul(before[n], slope[t], adjoint[m])
        adjoint = before
    return {m: _over_time(values, steps) for m, values in along.items()}, adjoint


def _over_time(values: list[tuple[int, Tensor]], steps: int) -> Tensor:
    """Values of some steps, the last first, as one tensor with zeros elsewhere."""
    widest = max((value for _, value in values), key=Tensor.numel)
    at: list[Tensor] = [torch.zeros_like(widest)] * steps
    for t, value in values:
        at[t] = value if value.shape == widest.shape else value.expand(widest.shape)
    return torch.stack(at)


def _weighted(jacobian: Jacobian, source: Source, along: dict[int, Tensor]) -> Tensor | None:
    """How much something depends on a source in each step, by way of the state after it: [T, B, N] or [T, B, 1]."""
    total = None
    for m, gain in jacobian.gain.get(source, {}).items():
        if m in along:
            total = _plus(total, gain * along[m])
    return total


def _plus(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b


def _summed(weight: Tensor, pre: Tensor | None) -> Tensor:
    """Sum over steps and rows of weight [T, B, post] times what comes in."""
    if pre is None:
        return weight.sum((0, 1))
    return weight.flatten(0, 1).T @ pre.flatten(0, 1)


def _contracted(adjoint: Tensor, trace: Tensor, synaptic: bool) -> Tensor:
    """Sum over rows of an adjoint [B, post] times a trace, [B, post, pre], [B, 1, pre] or [B, post]."""
    if not synaptic:
        return (adjoint * trace).sum(0)
    if trace.shape[1] == 1:
        return adjoint.T @ trace.squeeze(1)
    return torch.einsum("bj,bji->ji", adjoint, trace)


def _outer(weight: Tensor, pre: Tensor) -> Tensor:
    """Sum over steps of weight [T, B, post] times what comes in [T, B, pre]: [B, post, pre]."""
    return torch.bmm(weight.permute(1, 2, 0), pre.transpose(0, 1))
