"""Plasticity of inhibitory synapses that balances excitation."""

from torch import Tensor

from ..core.learning_rule import Activity
from ..core.quantities import NonNegative, Positive, Quantity
from .spike_timing import PairTraces, SpikeTiming, decayed


class InhibitorySTDP(SpikeTiming):
    r"""Inhibition grows where it meets spikes of its target and shrinks where it does not, until the rate is met.

    .. math::
        \Delta w = \eta\, (\bar x_{post} - \alpha) \ \text{ at a spike of pre}, \qquad
        \Delta w = \eta\, \bar x_{pre} \ \text{ at a spike of post}, \qquad \alpha = 2 \rho_0 \tau

    The weight is the strength of an inhibitory synapse, a positive number; the sign of its effect belongs behind it
    (the conductance of a receptor, or a factor of -1 in front of the neurons). Spikes of the same step do not pair.

    Args:
        eta: learning rate, in the unit of the weight.
        rho: target rate :math:`\rho_0` of the postsynaptic neurons, Hz.
        tau: time constant of both traces, ms.
        axonal_delay: what a presynaptic spike takes to the synapse, beyond the delay of the network, ms; a whole number
            of steps.
        dendritic_delay: what a postsynaptic spike takes back to the synapse, ms; a whole number of steps.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares
        - traces: [B, pre, \*] and [B, post, \*]

    Raises:
        ValueError: if ``eta`` or ``rho`` is negative or ``tau`` not positive; from ``initial_state`` if a delay is no
            whole number of steps.

    Source: Vogels, Sprekeler, Zenke, Clopath & Gerstner (2011), Science 334:1569.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> plastic = tdn.Plastic(torch.nn.Linear(1, 1, bias=False), tdn.InhibitorySTDP(eta=1.0, rho=5.0, tau=20.0))
        >>> no, yes = torch.zeros(1, 1), torch.ones(1, 1)
        >>> state = plastic.initial_state(no)
        >>> round((plastic.learn(yes, no, state).weight - state.weight).item(), 4)  # a silent target: -2 rho tau
        -0.2
    """

    def __init__(
        self,
        eta: Quantity = 0.001,
        rho: Quantity = 5.0,
        tau: Quantity = 20.0,
        *,
        axonal_delay: float = 0.0,
        dendritic_delay: float = 0.0,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(axonal_delay=axonal_delay, dendritic_delay=dendritic_delay, w_min=w_min, w_max=w_max)
        self.eta = NonNegative(eta)
        self.rho = NonNegative(rho, unit="Hz")
        self.tau = Positive(tau, unit="ms")

    def rest(self, activity: Activity) -> PairTraces:
        return PairTraces(activity.pre, activity.post)

    def respond(self, weight: Tensor, activity: Activity, traces: PairTraces, dt: float) -> tuple[Tensor, PairTraces]:
        pre, post = activity.pre, activity.post
        x, y = decayed(traces.pre, self.tau(), dt), decayed(traces.post, self.tau(), dt)
        alpha = 2 * self.rho() / 1000 * self.tau()
        at_pre = activity.outer(self.eta() * (y - alpha), pre)
        at_post = activity.outer(self.eta() * post, x)
        return at_pre + at_post, PairTraces(x + pre, y + post)
