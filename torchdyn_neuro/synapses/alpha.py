"""The alpha synapse."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.numerics import mean_ramp
from ..core.quantities import Positive, Quantity
from ..core.state import State, register_state, widen, zeros_state


@register_state
class AlphaSynapseState(NamedTuple):
    """s: synaptic gating; h: what drives it up; both [B, *]."""

    s: Tensor
    h: Tensor


class AlphaSynapse(Dynamics):
    r"""Synapse whose response to a spike rises and falls with one time constant.

    .. math::
        \tau \dot s = -s + h, \qquad \tau \dot h = -h + \tau J \sum_k \delta(t - t_k), \qquad
        s(t) = J\, \frac{t}{\tau}\, e^{-t / \tau}

    The solution between spikes is exact, so on-grid results do not depend on ``dt``.

    Args:
        tau: time from a spike to the peak of its response, ms.
        normalize: ``"peak"`` (the response rises to 1, J = e) or ``"area"`` (its integral over ms is 1, J = 1 / tau).
        output: ``"end"`` (the value at the end of a step) or ``"mean"`` (the exact mean over the step that follows, of
            exact charge for a cell that holds it; see :class:`ExponentialSynapse`).
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] spikes (0/1 or counts) or weighted spikes
        - output: [T, B, \*] gating at the end of each step, which a spike of that step has not moved yet; or its mean
          over the step that follows, which one has

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive, or ``normalize`` or ``output`` is neither of the two.

    Source: Rall (1967), J. Neurophysiol. 30:1138; Rotter & Diesmann (1999), Biol. Cybern. 81:381. The default is a
    round value.
    """

    def __init__(self, tau: Quantity = 5.0, *, normalize: str = "peak", output: str = "end", dt: float = 1.0):
        super().__init__(dt=dt)
        self.tau = Positive(tau, unit="ms")
        self.normalize = one_of("AlphaSynapse", "normalize", normalize, "peak", "area")
        self.output = one_of("AlphaSynapse", "output", output, "end", "mean")

    def initial_state(self, x_t: State) -> AlphaSynapseState:
        return AlphaSynapseState(s=zeros_state(x_t), h=zeros_state(x_t))

    def step(self, x_t: Tensor, state: AlphaSynapseState) -> tuple[Tensor, AlphaSynapseState]:
        arrivals, gap = widen(x_t), self.dt / self.tau()
        jump = arrivals * math.e if self.normalize == "peak" else arrivals / self.tau()
        s = (state.s + state.h * gap) * torch.exp(-gap)
        h = state.h * torch.exp(-gap) + jump
        y = s if self.output == "end" else s * (-torch.expm1(-gap) / gap) + h * (gap * mean_ramp(gap))
        return y.to(x_t.dtype), AlphaSynapseState(s, h)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, output={self.output!r}, {super().extra_repr()}"
