"""Plasticity by the potential behind the synapse."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.learning_rule import Activity
from ..core.quantities import NonNegative, Positive, Quantity, Real
from ..core.state import State, register_state
from .spike_timing import SpikeTiming, decayed


@register_state
class VoltageTraces(NamedTuple):
    r"""pre: trace of the spikes, [B, \*], 1/ms; v_minus, v_plus, v_mean: averages of the potential, [B, \*], mV, the
    last () without homeostasis.
    """

    pre: Tensor
    v_minus: Tensor
    v_plus: Tensor
    v_mean: State = ()


class VoltageSTDP(SpikeTiming):
    r"""Plasticity by presynaptic spikes and the postsynaptic potential, from which spike timing follows.

    .. math::
        \dot w = -A_{LTD}\, S\, [\bar v_- - \theta_-]_+
        + A_{LTP}\, \bar x\, [v - \theta_+]_+ [\bar v_+ - \theta_-]_+

    with averages of the potential, :math:`\tau_\pm \dot{\bar v}_\pm = v - \bar v_\pm`, and the trace
    :math:`\tau_x \dot{\bar x} = -\bar x + S` of the presynaptic spikes, which jumps by :math:`1 / \tau_x`. Averages
    and trace are read before they take in the step. With ``v_ref`` depression is homeostatic: its amplitude follows the
    mean depolarisation squared,

    .. math::
        A_{LTD} \to A_{LTD}\, (\bar{\bar v} - v_{rest})^2 / v_{ref}^2, \qquad
        \tau_{mean}\, \dot{\bar{\bar v}} = v - \bar{\bar v},

    where the paper takes the mean over a window of a second.

    Args:
        A_LTD: amplitude of depression, per mV.
        A_LTP: amplitude of potentiation, per mV^2.
        theta_minus: above which the averages count, mV.
        theta_plus: above which the potential counts, mV.
        tau_x: time constant of the presynaptic trace, ms.
        tau_minus: time constant of the average for depression, ms.
        tau_plus: time constant of the average for potentiation, ms.
        v_spike: the potential in the step of a spike, mV, which the state of neurons with a reset no longer shows;
            ``None`` for neurons whose potential makes the spike, such as those of Hodgkin and Huxley.
        v_rest: where the averages start, and from where a depolarisation counts, mV.
        v_ref: the mean depolarisation at which the amplitude of depression is ``A_LTD``, mV; in the paper its square is
            60 mV^2. ``None``: the amplitude is constant.
        tau_mean: time constant of the mean, ms; it asks for ``v_ref``.
        w_min: the least weight; none if omitted.
        w_max: the greatest weight; none if omitted.

    Shape:
        - weight: [B, post, pre, \*], or [post, pre, \*] for one that the batch shares
        - traces: [B, pre, \*] and [B, post, \*]

    Raises:
        ValueError: if an amplitude is negative or a time constant not positive, or ``tau_mean`` comes without
            ``v_ref``; from the first step if the neurons behind have no potential ``v``.

    Source: Clopath, Büsing, Vasilaki & Gerstner (2010), Nat. Neurosci. 13:344; the defaults are their fit to visual
    cortex.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> plastic = tdn.Plastic(torch.nn.Linear(3, 2), tdn.VoltageSTDP(w_min=0.0, w_max=3.0), dt=0.1)
        >>> _, (state, _) = tdn.Chain(plastic, tdn.AdEx(dt=0.1)).scan(torch.ones(10, 1, 3))
        >>> state.weight.shape
        torch.Size([1, 2, 3])
    """

    def __init__(
        self,
        A_LTD: Quantity = 14e-5,
        A_LTP: Quantity = 8e-5,
        *,
        theta_minus: Quantity = -70.6,
        theta_plus: Quantity = -45.3,
        tau_x: Quantity = 15.0,
        tau_minus: Quantity = 10.0,
        tau_plus: Quantity = 7.0,
        v_spike: Quantity | None = 20.0,
        v_rest: Quantity = -70.6,
        v_ref: Quantity | None = None,
        tau_mean: Quantity | None = None,
        w_min: float | None = None,
        w_max: float | None = None,
    ):
        super().__init__(w_min=w_min, w_max=w_max)
        self.A_LTD = NonNegative(A_LTD, unit="1/mV")
        self.A_LTP = NonNegative(A_LTP, unit="1/mV^2")
        self.theta_minus = Real(theta_minus, unit="mV")
        self.theta_plus = Real(theta_plus, unit="mV")
        self.tau_x = Positive(tau_x, unit="ms")
        self.tau_minus = Positive(tau_minus, unit="ms")
        self.tau_plus = Positive(tau_plus, unit="ms")
        self.v_spike = None if v_spike is None else Real(v_spike, unit="mV")
        self.v_rest = Real(v_rest, unit="mV")
        if v_ref is None and tau_mean is not None:
            raise ValueError(
                "VoltageSTDP: expected v_ref for a depression that follows the mean potential (tau_mean), got none; "
                "pass v_ref, in mV"
            )
        self.v_ref = None if v_ref is None else Positive(v_ref, unit="mV")
        self.tau_mean = None if v_ref is None else Positive(1000.0 if tau_mean is None else tau_mean, unit="ms")

    def rest(self, activity: Activity) -> VoltageTraces:
        average = activity.post + self.v_rest()
        return VoltageTraces(activity.pre, average, average, () if self.v_ref is None else average)

    def respond(
        self, weight: Tensor, activity: Activity, traces: VoltageTraces, dt: float
    ) -> tuple[Tensor, VoltageTraces]:
        v = activity.field("v").to(weight.dtype)
        if self.v_spike is not None:
            v = torch.where(activity.post > 0, self.v_spike(), v)
        x = decayed(traces.pre, self.tau_x(), dt)
        low, high = ((average - self.theta_minus()).relu() for average in (traces.v_minus, traces.v_plus))
        up = activity.outer(dt * self.A_LTP() * (v - self.theta_plus()).relu() * high, x)
        amplitude, mean = self.A_LTD(), traces.v_mean
        if self.v_ref is not None:
            amplitude = amplitude * ((mean - self.v_rest()) / self.v_ref()).square()
            mean = v + decayed(mean - v, self.tau_mean(), dt)
        down = activity.outer(amplitude * low, activity.pre)
        return up - down, VoltageTraces(
            x + activity.pre / self.tau_x(),
            v + decayed(traces.v_minus - v, self.tau_minus(), dt),
            v + decayed(traces.v_plus - v, self.tau_plus(), dt),
            mean,
        )
