"""The exponential synapse."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.quantities import Positive, Quantity
from ..core.state import State, register_state, widen, zeros_state


@register_state
class ExponentialSynapseState(NamedTuple):
    """s: synaptic gating, [B, *]."""

    s: Tensor


class ExponentialSynapse(Dynamics):
    r"""First-order low-pass filter of a spike train.

    .. math:: \tau \dot s = -s + \tau \sum_k \delta(t - t_k)

    The solution between spikes is exact, so on-grid results do not depend on ``dt``.

    The arrivals of frame n act at the end of step n, where step n of the cell that is fed begins; the cell holds the
    frame over its step::

        synapse  |---- step n ----|                       "end":  s here, after the arrivals
                                  ^ arrivals of frame n
        cell                      |---- step n ----|      "mean": the mean of s over this step

    Held at ``"end"``, a spike carries :math:`dt / (1 - e^{-dt/\tau})` instead of :math:`\tau`, 10 % too much for
    ``dt = tau / 5``. Held at ``"mean"``, :math:`\bar s = s\, \frac{\tau}{dt} (1 - e^{-dt/\tau})`, its charge is exact.

    Args:
        tau: time constant, ms.
        normalize: ``"peak"`` (a spike adds 1) or ``"area"`` (a spike adds 1 / tau).
        output: ``"end"`` (the value at the end of a step) or ``"mean"`` (the exact mean over the step that follows).
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] spikes (0/1 or counts) or weighted spikes
        - output: [T, B, \*] gating after the step's arrivals, or its mean until the next ones

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive, or ``normalize`` or ``output`` is neither of the two.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5. The default is a round value.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.ExponentialSynapse(tau=2.0)(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)).flatten()
        tensor([1.0000, 0.6065, 0.3679])
        >>> tdn.ExponentialSynapse(tau=2.0, output="mean")(torch.eye(3, 1).unsqueeze(1)).flatten()
        tensor([0.7869, 0.4773, 0.2895])
    """

    def __init__(self, tau: Quantity = 5.0, *, normalize: str = "peak", output: str = "end", dt: float = 1.0):
        super().__init__(dt=dt)
        self.tau = Positive(tau, unit="ms")
        self.normalize = one_of("ExponentialSynapse", "normalize", normalize, "peak", "area")
        self.output = one_of("ExponentialSynapse", "output", output, "end", "mean")

    def initial_state(self, x_t: State) -> ExponentialSynapseState:
        return ExponentialSynapseState(s=zeros_state(x_t))

    def step(self, x_t: Tensor, state: ExponentialSynapseState) -> tuple[Tensor, ExponentialSynapseState]:
        arrivals, gap = widen(x_t), self.dt / self.tau()
        jump = arrivals if self.normalize == "peak" else arrivals / self.tau()
        s = state.s * torch.exp(-gap) + jump
        y = s if self.output == "end" else s * (-torch.expm1(-gap) / gap)
        return y.to(x_t.dtype), ExponentialSynapseState(s)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, output={self.output!r}, {super().extra_repr()}"
