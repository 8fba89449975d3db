"""The Hodgkin-Huxley neuron, made of ion channels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking, Threshold
from ..core.state import State, register_state
from ..integrators import ExponentialEuler
from ..surrogates import ATan
from .channels import IonChannel, Leak, Potassium, Sodium

_SATURATION = 200.0  # mV; beyond it the rates of the gates would leave the range of the numbers


@register_state
class HodgkinHuxleyState(NamedTuple):
    """v: membrane potential, [B, *], mV; channels: the gates of each channel, () for one without gates;
    adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    channels: tuple[State, ...]
    adaptation: State = ()
    noise: State = ()


@dataclass(frozen=True)
class UpwardCrossing(Threshold):
    """A spike where the potential crosses ``v_th`` from below, from one substep to the next; nothing is reset."""

    movable: ClassVar[bool] = False

    def meet(self, cell: Spiking, before: State, path: Sequence[State]) -> Tensor:
        spikes = torch.zeros_like(before.v)
        # A spike is shorter than many a step: the crossing may lie in any of the substeps.
        for earlier, later in zip([before, *path[:-1]], path, strict=True):
            crossed = (earlier.v < cell.v_th()).to(later.v.dtype) * self.surrogate(later.v - cell.v_th())
            spikes = spikes + crossed - spikes * crossed
        return spikes


class HodgkinHuxley(Spiking, integrator=ExponentialEuler(), surrogate=ATan(slope=0.1), v_init=-65.0, dt=0.025):
    r"""Hodgkin-Huxley neuron: a membrane with any set of ion channels.

    .. math::
        C \dot v = I + \sum_c g_c\, p_c(\mathrm{gates}) (E_c - v), \qquad
        \tau_x(v)\, \dot x = x_\infty(v) - x \quad \text{for each gate } x

    It spikes where ``v`` crosses ``v_th`` from below, from one substep to the next; nothing is reset. The default
    integrator moves the potential and the gates by exponentials (Rush-Larsen) and is stable for any step. The gates
    take a potential beyond 200 mV for 200 mV. It starts at ``v_init``, with the gates in their steady state there.
    Adaptation and noise attach if they act as currents, which are held over a step.

    Args:
        channels: the ion channels; sodium, potassium and leak of the squid axon if omitted. Further ones are
            :class:`AType`, :class:`MType` and what is written as a small subclass of :class:`IonChannel`. At least one
            must never close.
        C: capacitance, uF/cm^2.
        v_th: potential whose upward crossing is a spike, mV.

    Shape:
        - input: [T, B, \*] current, uA/cm^2
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        TypeError: if a channel is no :class:`IonChannel`.
        ValueError: if ``C`` or ``dt`` is not positive, if there is no channel, if ``dt`` is too long for an explicit
            integrator, or if a part acts on the threshold, which only counts the spikes.

    Source: Hodgkin & Huxley (1952), J. Physiol. 117:500; Rush & Larsen (1978), IEEE Trans. Biomed. Eng. 25:389.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.HodgkinHuxley()(torch.full((2000, 1, 2), 10.0)).sum(0)
        tensor([[4., 4.]])
    """

    _longest_explicit_step = 0.025  # in a spike the membrane is as fast as that

    def __init__(
        self,
        channels: Iterable[IonChannel] | None = None,
        *,
        C: Quantity = 1.0,
        v_th: Quantity = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, reset="none", unit="mV", rule=UpwardCrossing, **options)
        self.channels = nn.ModuleList(_checked([Sodium(), Potassium(), Leak()] if channels is None else channels))
        self.C = Positive(C, unit="uF/cm^2")

    def initial_state(self, x_t: State) -> HodgkinHuxleyState:
        started = self.initial_terms(x_t, self.v_init())
        return HodgkinHuxleyState(channels=self.gate_kinetics(started["v"])[0], **started)

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.C(), rest=self.v_init(), leaks=False)

    def gate_kinetics(self, v: Tensor) -> tuple[tuple[State, ...], tuple[State, ...]]:
        """The steady states and the time constants of the gates of all channels at the potential ``v``."""
        v = torch.clamp(v, -_SATURATION, _SATURATION)
        steady, tau = zip(*(channel.kinetics(v) for channel in self.channels), strict=True)
        return steady, tau

    def relaxation(self, x_t: Tensor, state: HodgkinHuxleyState) -> tuple[HodgkinHuxleyState, HodgkinHuxleyState]:
        open_ = [channel.conductance(gates) for channel, gates in zip(self.channels, state.channels, strict=True)]
        pull = sum(g_c * channel.E_rev() for g_c, channel in zip(open_, self.channels, strict=True))
        g = sum(open_)
        steady, tau = self.gate_kinetics(state.v)
        return HodgkinHuxleyState((x_t + pull) / g, steady), HodgkinHuxleyState(self.C() / g, tau)


def _checked(channels: Iterable[IonChannel]) -> list[IonChannel]:
    channels = list(channels)
    if not channels:
        raise ValueError("HodgkinHuxley: expected at least one channel, got none; pass for example [Leak()]")
    for channel in channels:
        if not isinstance(channel, IonChannel):
            raise TypeError(
                f"HodgkinHuxley: expected ion channels, got {type(channel).__name__}; pass Sodium(), Potassium(), "
                "Leak(), or subclass IonChannel"
            )
    return channels
