"""The double-exponential synapse."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.numerics import exprel, mean_decay, mean_response
from ..core.quantities import Positive, Quantity
from ..core.state import State, register_state, widen, zeros_state


def peak_factor(tau_rise: Tensor, tau_decay: Tensor) -> Tensor:
    r"""The inverse of the highest value that the chain of two filters reaches after a jump of 1 in the first.

    At the peak both filters are equal, so its height is :math:`e^{-t_p / \tau_r}` with
    :math:`t_p / \tau_r = \ln(\tau_d / \tau_r) / (1 - \tau_r / \tau_d)`, which is 1 for equal time constants.

    Args:
        tau_rise, tau_decay: time constants of the first and the second filter, ms.

    Example:
        >>> peak_factor(torch.tensor(5.0), torch.tensor(5.0))
        tensor(2.7183)
    """
    return torch.exp(1 / exprel(-torch.log(tau_decay / tau_rise)))


@register_state
class DoubleExponentialSynapseState(NamedTuple):
    """s: synaptic gating; h: what drives it up; both [B, *]."""

    s: Tensor
    h: Tensor


class DoubleExponentialSynapse(Dynamics):
    r"""Synapse with a finite rise: the difference of two exponentials.

    .. math::
        \tau_d \dot s = -s + h, \qquad \tau_r \dot h = -h + \tau_r J \sum_k \delta(t - t_k), \qquad
        s(t) = J\, \frac{\tau_r}{\tau_d - \tau_r} \left(e^{-t / \tau_d} - e^{-t / \tau_r}\right)

    The solution between spikes is exact, so on-grid results do not depend on ``dt``. Value and gradient are finite at
    ``tau_rise = tau_decay``, where it is the alpha synapse.

    Args:
        tau_rise: time constant of the rise, ms.
        tau_decay: time constant of the decay, ms.
        normalize: ``"peak"`` (the response to a spike rises to 1) or ``"area"`` (its integral over ms is 1).
        output: ``"end"`` (the value at the end of a step) or ``"mean"`` (the exact mean over the step that follows, of
            exact charge for a cell that holds it; see :class:`ExponentialSynapse`).
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] spikes (0/1 or counts) or weighted spikes
        - output: [T, B, \*] gating at the end of each step, which a spike of that step has not moved yet; or its mean
          over the step that follows, which one has

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, or ``normalize`` or ``output`` is
            neither of the two.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5; Roth & van Rossum (2009), in Computational Modeling
    Methods for Neuroscientists, ch. 6. The defaults are round values.
    """

    def __init__(
        self,
        tau_rise: Quantity = 1.0,
        tau_decay: Quantity = 5.0,
        *,
        normalize: str = "peak",
        output: str = "end",
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        self.tau_rise = Positive(tau_rise, unit="ms")
        self.tau_decay = Positive(tau_decay, unit="ms")
        self.normalize = one_of("DoubleExponentialSynapse", "normalize", normalize, "peak", "area")
        self.output = one_of("DoubleExponentialSynapse", "output", output, "end", "mean")

    def initial_state(self, x_t: State) -> DoubleExponentialSynapseState:
        return DoubleExponentialSynapseState(s=zeros_state(x_t), h=zeros_state(x_t))

    def step(self, x_t: Tensor, state: DoubleExponentialSynapseState) -> tuple[Tensor, DoubleExponentialSynapseState]:
        tau_rise, tau_decay = self.tau_rise(), self.tau_decay()
        factor = peak_factor(tau_rise, tau_decay) if self.normalize == "peak" else 1 / tau_rise
        a, b = self.dt / tau_rise, self.dt / tau_decay
        s = state.s * torch.exp(-b) + state.h * (b * mean_decay(a, b))
        h = state.h * torch.exp(-a) + widen(x_t) * factor
        y = s if self.output == "end" else s * (-torch.expm1(-b) / b) + h * (b * mean_response(a, b))
        return y.to(x_t.dtype), DoubleExponentialSynapseState(s, h)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, output={self.output!r}, {super().extra_repr()}"
