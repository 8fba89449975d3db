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

    Args:
        tau: time constant, ms.
        normalize: ``"peak"`` (a spike adds 1) or ``"area"`` (a spike adds 1 / tau).
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] spikes (0/1 or counts) or weighted spikes
        - output: [T, B, \*] gating after the step's arrivals

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive, or ``normalize`` is neither of the two.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5. The default is a round value.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.ExponentialSynapse(tau=2.0)(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)).flatten()
        tensor([1.0000, 0.6065, 0.3679])
    """

    def __init__(self, tau: Quantity = 5.0, *, normalize: str = "peak", dt: float = 1.0):
        super().__init__(dt=dt)
        self.tau = Positive(tau, unit="ms")
        self.normalize = one_of("ExponentialSynapse", "normalize", normalize, "peak", "area")

    def initial_state(self, x_t: State) -> ExponentialSynapseState:
        return ExponentialSynapseState(s=zeros_state(x_t))

    def step(self, x_t: Tensor, state: ExponentialSynapseState) -> tuple[Tensor, ExponentialSynapseState]:
        arrivals = widen(x_t)
        jump = arrivals if self.normalize == "peak" else arrivals / self.tau()
        s = state.s * torch.exp(-self.dt / self.tau()) + jump
        return s.to(x_t.dtype), ExponentialSynapseState(s)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, {super().extra_repr()}"
