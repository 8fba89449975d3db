"""The Hodgkin-Huxley neuron, made of ion channels."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.membrane import Membrane
from ..core.parts import Adaptation, Noise
from ..core.quantities import Constrained, Positive, Quantity, Real
from ..core.state import State, first_leaf, full_state
from ..core.surrogate import Surrogate
from ..integrators import ExponentialEuler
from ..surrogates import ATan
from .channels import IonChannel, Leak, Potassium, Sodium

_LONGEST_EXPLICIT_STEP = 0.025  # ms; in a spike the membrane is as fast as that
_SATURATION = 200.0  # mV; beyond it the rates of the gates would leave the range of the numbers


class HodgkinHuxleyState(NamedTuple):
    """v: membrane potential, [B, *], mV; channels: the gates of each channel, None for one without gates;
    adaptation and noise as in LIF, None if absent.
    """

    v: Tensor
    channels: tuple[State, ...]
    adaptation: State = None
    noise: State = None


class HodgkinHuxley(Membrane):
    r"""Hodgkin-Huxley neuron: a membrane with any set of ion channels.

    .. math::
        C \dot v = I + \sum_c g_c\, p_c(\mathrm{gates}) (E_c - v), \qquad
        \tau_x(v)\, \dot x = x_\infty(v) - x \quad \text{for each gate } x

    It spikes where ``v`` crosses ``v_th`` from below, from one substep to the next; nothing is reset. The default
    integrator moves the potential and the gates by exponentials (Rush-Larsen) and is stable for any step. The gates
    take a potential beyond 200 mV for 200 mV. Adaptation and noise attach if they act as currents, which are held over
    a step.

    Args:
        channels: the ion channels; sodium, potassium and leak of the squid axon if omitted. Further ones are
            :class:`AType`, :class:`MType` and what is written as a small subclass of :class:`IonChannel`. At least one
            must never close.
        C: capacitance, uF/cm^2.
        v_init: potential at the start, with the gates in their steady state there, mV.
        v_th: potential whose upward crossing is a spike, mV.
        surrogate: slope of the spike in the backward pass, per mV.
        integrator: how a step is taken; an explicit one, such as ``RK4()``, takes steps of at most 0.025 ms.
        adaptation: what slows the cell down after its spikes, none if omitted; see :class:`MType` for the channel.
        noise: what makes it random, none if omitted.
        dt: time step, ms; beyond about 0.5 ms give the integrator ``substeps``, or a spike may pass between two steps.

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

    refused_parts = MappingProxyType({"threshold": "its channels make the spikes, which v_th only counts"})
    leaks = False

    def __init__(
        self,
        channels: Iterable[IonChannel] | None = None,
        *,
        C: Quantity = 1.0,
        v_init: Quantity = -65.0,
        v_th: Quantity = 0.0,
        surrogate: Surrogate = ATan(slope=0.1),
        integrator: Integrator = ExponentialEuler(),
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 0.025,
    ):
        super().__init__(integrator=integrator, adaptation=adaptation, noise=noise, dt=dt)
        if not isinstance(surrogate, Surrogate):
            raise TypeError(f"HodgkinHuxley: expected a surrogate such as ATan(), got {surrogate!r}; pass an instance")
        self._check_step()
        self.surrogate = surrogate
        self.channels = nn.ModuleList(_checked([Sodium(), Potassium(), Leak()] if channels is None else channels))
        self.C = Positive(C, unit="uF/cm^2")
        self.v_init = Real(v_init, unit="mV")
        self.v_th = Real(v_th, unit="mV")

    def _check_step(self) -> None:
        step = self.dt / self.integrator.substeps
        if self.integrator.explicit and step > _LONGEST_EXPLICIT_STEP * (1 + 1e-9):
            raise ValueError(
                f"HodgkinHuxley: expected a step of at most {_LONGEST_EXPLICIT_STEP:g} ms for "
                f"{type(self.integrator).__name__}, which spikes make unstable beyond, got {step:g} ms; lower dt, "
                "raise substeps, or use ExponentialEuler()"
            )

    def change_dt(self, dt: float) -> None:
        super().change_dt(dt)
        self._check_step()

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        yield from super().quantities()
        for index, channel in enumerate(self.channels):
            for name, child in channel.named_children():
                if isinstance(child, Constrained):
                    yield f"channels.{index}.{name}", child

    def initial_state(self, x_t: State) -> HodgkinHuxleyState:
        v = full_state(x_t, self.v_init())
        return HodgkinHuxleyState(v, self.gate_kinetics(v)[0], **self.initial_parts(x_t))

    def current_gain(self) -> Tensor:
        return 1 / self.C()

    def resting_potential(self) -> Tensor:
        return self.v_init()

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

    def step(self, x_t: State, state: HodgkinHuxleyState) -> tuple[Tensor, HodgkinHuxleyState]:
        path, _, _ = self.move(self.with_noise(x_t), state)
        spikes = torch.zeros_like(state.v)
        # A spike is shorter than many a step: the crossing may lie in any of the substeps.
        for before, after in zip([state, *path], path, strict=False):
            crossed = (before.v < self.v_th()).to(after.v.dtype) * self.surrogate(after.v - self.v_th())
            spikes = spikes + crossed - spikes * crossed
        return spikes.to(first_leaf(x_t).dtype), self.jump(spikes, path[-1])

    def extra_repr(self) -> str:
        return f"surrogate={self.surrogate!r}, integrator={self.integrator!r}, {super().extra_repr()}"


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
