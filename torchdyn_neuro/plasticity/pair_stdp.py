"""Spike-timing-dependent plasticity of pairs of spikes."""

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.learning_rule import Activity
from ..core.quantities import NonNegative, Positive, Quantity
from .spike_timing import PairTraces, SpikeTiming, check_pairing, counted, decayed


class PairSTDP(SpikeTiming):
    r"""Spike-timing-dependent plasticity: pre before post strengthens, post before pre weakens.

    .. math::
        \Delta w = A_+ (w_{max} - w)^{\mu_+}\, e^{-s / \tau_+} \ (s > 0), \qquad
        \Delta w = -A_- (w - w_{min})^{\mu_-}\, e^{s / \tau_-} \ (s < 0), \qquad s = t_{post} - t_{pre}

    With :math:`\mu = 0` the change does not depend on the weight (additive: Song, Miller & Abbott 2000), with 1 it is
    proportional to the distance from the bound (multiplicative; :math:`\mu_+ = 0, \mu_- = 1`: van Rossum, Bi &
    Turrigiano 2000), between them it is a power of it (Gütig et al. 2003). What the spikes of a step ask for is read
    from the weight before it, and the bounds hold after it. Spikes of the same step do not pair.

    Args:
        A_plus: change by a pair with pre before post, in the unit of the weight.
        A_minus: change by a pair with post before pre, taken off.
        tau_plus: time constant of the window with pre before post, ms.
        tau_minus: time constant of the window with post before pre, ms.
        pairing: ``"all"``: every spike pairs with all that came before it on the other side; ``"nearest"``: with the
            last of them.
        mu_plus: exponent of the distance from ``w_max``; above 0 it asks for ``w_max``.
        mu_minus: exponent of the distance from ``w_min``; above 0 it asks for ``w_min``.
        axonal_delay: what a presynaptic spike takes to the synapse, beyond the delay of the network, ms; a whole number
            of steps.
        dendritic_delay: what a postsynaptic spike takes back to the synapse, ms; a whole number of steps.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares
        - traces: [B, pre, \*] and [B, post, \*]

    Raises:
        ValueError: if an amplitude is negative, a time constant not positive, ``pairing`` neither of the two, an
            exponent negative or without its bound; from ``initial_state`` if a delay is no whole number of steps.

    Source: Song, Miller & Abbott (2000), Nat. Neurosci. 3:919 (additive, and the defaults); van Rossum, Bi &
    Turrigiano (2000), J. Neurosci. 20:8812; Gütig, Aharonov, Rotter & Sompolinsky (2003), J. Neurosci. 23:3697;
    Morrison, Diesmann & Gerstner (2008), Biol. Cybern. 98:459 (pairings, traces).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> rule = tdn.PairSTDP(A_plus=0.1, A_minus=0.1)
        >>> plastic = tdn.Plastic(torch.nn.Linear(1, 1, bias=False), rule)
        >>> no, yes = torch.zeros(1, 1), torch.ones(1, 1)
        >>> state = plastic.learn(yes, no, plastic.initial_state(no))
        >>> (plastic.learn(no, yes, state).weight - state.weight).item()  # 0.1 exp(-1 / 20)
        0.0951...
    """

    def __init__(
        self,
        A_plus: Quantity = 0.005,
        A_minus: Quantity = 0.00525,
        tau_plus: Quantity = 20.0,
        tau_minus: Quantity = 20.0,
        *,
        pairing: str = "all",
        mu_plus: float = 0.0,
        mu_minus: float = 0.0,
        axonal_delay: float = 0.0,
        dendritic_delay: float = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(axonal_delay=axonal_delay, dendritic_delay=dendritic_delay, w_min=w_min, w_max=w_max)
        self.A_plus = NonNegative(A_plus)
        self.A_minus = NonNegative(A_minus)
        self.tau_plus = Positive(tau_plus, unit="ms")
        self.tau_minus = Positive(tau_minus, unit="ms")
        self.pairing = check_pairing("PairSTDP", pairing)
        self.mu_plus = positive_number("PairSTDP", "mu_plus", mu_plus, zero=True)
        self.mu_minus = positive_number("PairSTDP", "mu_minus", mu_minus, zero=True)
        for mu, bound in (("mu_plus", "w_max"), ("mu_minus", "w_min")):
            if getattr(self, mu) and getattr(self, bound) is None:
                raise ValueError(
                    f"PairSTDP: expected {bound} for a change that depends on the distance from it ({mu}), got none; "
                    f"pass {bound}"
                )

    def rest(self, activity: Activity) -> PairTraces:
        return PairTraces(activity.pre, activity.post)

    def respond(self, weight: Tensor, activity: Activity, traces: PairTraces, dt: float) -> tuple[Tensor, PairTraces]:
        pre, post = activity.pre, activity.post
        x, y = decayed(traces.pre, self.tau_plus(), dt), decayed(traces.post, self.tau_minus(), dt)
        up = activity.outer(self.A_plus() * post, x)
        down = activity.outer(self.A_minus() * y, pre)
        if self.mu_plus:
            up = up * _power(self.w_max - weight, self.mu_plus)
        if self.mu_minus:
            down = down * _power(weight - self.w_min, self.mu_minus)
        return up - down, PairTraces(counted(x, pre, self.pairing), counted(y, post, self.pairing))

    def extra_repr(self) -> str:
        exponents = [
            f"{name}={value:g}" for name, value in (("mu_plus", self.mu_plus), ("mu_minus", self.mu_minus)) if value
        ]
        return ", ".join(part for part in (f"pairing={self.pairing!r}", *exponents, super().extra_repr()) if part)


def _power(distance: Tensor, mu: float) -> Tensor:
    """A power of the distance from a bound; 0 at and beyond it, where its slope may be infinite."""
    if mu == 1:
        return distance.clamp(min=0)
    inside = distance > 0
    return torch.where(inside, torch.where(inside, distance, 1) ** mu, 0)
