"""Spike-timing-dependent plasticity of triplets of spikes."""

from typing import Any, NamedTuple

from torch import Tensor

from ..core.checks import one_of
from ..core.learning_rule import Activity
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.state import register_state
from .presets import PFISTER_2006
from .spike_timing import SpikeTiming, check_pairing, counted, decayed


@register_state
class TripletTraces(NamedTuple):
    r"""pre, post: fast traces on either side; slow_pre, slow_post: slow ones; all [B, \*], with a jump of 1."""

    pre: Tensor
    post: Tensor
    slow_pre: Tensor
    slow_post: Tensor


class TripletSTDP(SpikeTiming):
    r"""STDP whose changes grow with the activity before: pairs, and triplets of two pre or two post and one other.

    .. math::
        \Delta w = r_1 (A_2^+ + A_3^+ o_2) \ \text{ at a spike of post}, \qquad
        \Delta w = -o_1 (A_2^- + A_3^- r_2) \ \text{ at a spike of pre}

    The presynaptic traces :math:`r_1, r_2` decay with :math:`\tau_+, \tau_x`, the postsynaptic :math:`o_1, o_2` with
    :math:`\tau_-, \tau_y`. All are read before they count the spikes of the step: a slow trace before its own
    increment, so that the first spike of a train finds none, and spikes of the same step do not pair. For independent
    Poisson spikes the mean change is that of :class:`TripletRate`.

    Args:
        A2_plus: change by a pair with pre before post.
        A3_plus: change by a triplet post, pre, post, beyond it.
        A2_minus: change by a pair with post before pre, taken off.
        A3_minus: change by a triplet pre, post, pre, taken off beyond it.
        tau_plus: time constant of the fast presynaptic trace, ms.
        tau_minus: time constant of the fast postsynaptic trace, ms.
        tau_x: time constant of the slow presynaptic trace, ms.
        tau_y: time constant of the slow postsynaptic trace, ms.
        eta: all changes in units of what the paper gives them in, which is the weight at the start.
        pairing: ``"all"``: traces count all spikes so far; ``"nearest"``: the last one only.
        axonal_delay: what a presynaptic spike takes to the synapse, beyond the delay of the network, ms; a whole number
            of steps.
        dendritic_delay: what a postsynaptic spike takes back to the synapse, ms; a whole number of steps.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares
        - traces: [B, pre, \*] and [B, post, \*]

    Raises:
        ValueError: if an amplitude is negative, a time constant not positive or ``pairing`` neither of the two; from
            ``initial_state`` if a delay is no whole number of steps.

    Source: Pfister & Gerstner (2006), J. Neurosci. 26:9673, eqs. 3 and 4; the defaults are the full model of all
    spikes in visual cortex, Table 3.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> tdn.TripletSTDP.preset("hippocampus/nearest/minimal").tau_y
        Positive(48 ms)
    """

    def __init__(
        self,
        A2_plus: Quantity = 5e-10,
        A3_plus: Quantity = 6.2e-3,
        A2_minus: Quantity = 7e-3,
        A3_minus: Quantity = 2.3e-4,
        *,
        tau_plus: Quantity = 16.8,
        tau_minus: Quantity = 33.7,
        tau_x: Quantity = 101.0,
        tau_y: Quantity = 125.0,
        eta: Quantity = 1.0,
        pairing: str = "all",
        axonal_delay: float = 0.0,
        dendritic_delay: float = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(axonal_delay=axonal_delay, dendritic_delay=dendritic_delay, w_min=w_min, w_max=w_max)
        self.A2_plus = NonNegative(A2_plus)
        self.A3_plus = NonNegative(A3_plus)
        self.A2_minus = NonNegative(A2_minus)
        self.A3_minus = NonNegative(A3_minus)
        self.tau_plus = Positive(tau_plus, unit="ms")
        self.tau_minus = Positive(tau_minus, unit="ms")
        self.tau_x = Positive(tau_x, unit="ms")
        self.tau_y = Positive(tau_y, unit="ms")
        self.eta = NonNegative(eta)
        self.pairing = check_pairing("TripletSTDP", pairing)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "TripletSTDP":
        """One of the published fits, such as ``"visual_cortex/all/full"``.

        Args:
            name: a key of :data:`PFISTER_2006`: tissue, pairing and form.
            changes: any argument of the class, to use instead of the preset's.

        Raises:
            ValueError: if there is no such fit.
        """
        return cls(**{**PFISTER_2006[one_of(cls.__name__, "name", name, *PFISTER_2006)], **changes})

    def rest(self, activity: Activity) -> TripletTraces:
        return TripletTraces(activity.pre, activity.post, activity.pre, activity.post)

    def respond(
        self, weight: Tensor, activity: Activity, traces: TripletTraces, dt: float
    ) -> tuple[Tensor, TripletTraces]:
        pre, post = activity.pre, activity.post
        r1, o1 = decayed(traces.pre, self.tau_plus(), dt), decayed(traces.post, self.tau_minus(), dt)
        r2, o2 = decayed(traces.slow_pre, self.tau_x(), dt), decayed(traces.slow_post, self.tau_y(), dt)
        up = activity.outer(self.eta() * post * (self.A2_plus() + self.A3_plus() * o2), r1)
        down = activity.outer(self.eta() * o1, pre * (self.A2_minus() + self.A3_minus() * r2))
        after = zip((r1, o1, r2, o2), (pre, post, pre, post), strict=True)
        return up - down, TripletTraces(*(counted(trace, spikes, self.pairing) for trace, spikes in after))

    def extra_repr(self) -> str:
        return ", ".join(part for part in (f"pairing={self.pairing!r}", super().extra_repr()) if part)
