"""The generalized leaky integrate-and-fire neurons of the Allen Institute."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Alias, Constrained, Positive, Quantity, Real, readable
from ..core.spiking import Spiking, Threshold
from ..core.state import State, register_state, zeros_state
from ..integrators import RK4
from ..surrogates import ATan


@register_state
class GLIFState(NamedTuple):
    """The state of a GLIF neuron, every leaf [B, *].

    v: membrane potential, mV; currents: after-spike currents, pA, () below level 3; theta_spike and theta_voltage:
    threshold components, mV, () at the levels without them; refractory, adaptation and noise as in LIF, () if
    absent.
    """

    v: Tensor
    currents: State = ()
    theta_spike: State = ()
    theta_voltage: State = ()
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


_RULED = (2, 4, 5)
_OF_LEVELS = {
    "v_reset": ((1, 3), -78.85),
    "f_v": (_RULED, 0.2),
    "delta_v": (_RULED, 18.51),
    "delta_s": (_RULED, 0.37),
    "b_s": (_RULED, 0.009),
    "a_v": ((5,), 0.005),
    "b_v": ((5,), 0.09),
    "tau_currents": ((3, 4, 5), (1000 / 3, 10.0)),
    "delta_currents": ((3, 4, 5), (-9.18, -198.94)),
    "f_currents": ((3, 4, 5), (1.0, 1.0)),
}
"""The levels that an argument belongs to, and its default there."""


@dataclass(frozen=True)
class GLIFThreshold(Threshold):
    """The moving threshold of a GLIF neuron, and its reset rule."""

    def level(self, cell: "GLIF", state: GLIFState) -> Tensor:
        parts = (part for part in (state.theta_spike, state.theta_voltage) if isinstance(part, Tensor))
        return sum(parts, start=super().level(cell, state))

    def apply(self, cell: "GLIF", spikes: Tensor, v: Tensor) -> Tensor:
        if cell.level in (1, 3):
            return super().apply(cell, spikes, v)
        if self.detach_reset:
            spikes = spikes.detach()
        return (1 - spikes) * v + spikes * (cell.E_L() + cell.f_v() * (v - cell.E_L()) + cell.delta_v())

    def check(self, cell: "GLIF") -> None:
        if cell.level in (1, 3):
            super().check(cell)
            return
        rest, threshold = cell.E_L.start, cell.v_th.start
        after = rest + cell.f_v.start * (threshold - rest) + cell.delta_v.start
        if readable(after) and not (after < threshold + cell.delta_s.start).all():
            raise ValueError(
                f"GLIF: expected a reset below the threshold, got {after.max().item():g} mV after a spike at "
                f"{threshold.min().item():g} mV; lower f_v or delta_v, otherwise every step would spike"
            )


class GLIF(Spiking, integrator=RK4(), surrogate=ATan(slope=0.1), dt=0.05):
    r"""Generalized leaky integrate-and-fire neuron, levels 1 to 5.

    .. math::
        C \dot v &= -g_L (v - E_L) + I + \sum_j I_j, \qquad \dot I_j = -I_j / \tau_j \\
        \dot\theta_s &= -b_s \theta_s, \qquad \dot\theta_v = a_v (v - E_L) - b_v \theta_v \\
        v \ge \theta_\infty + \theta_s + \theta_v &: \text{ spike, }
        v \leftarrow E_L + f_v (v - E_L) + \delta_v,\
        \theta_s \leftarrow \theta_s e^{-b_s t_{ref}} + \delta_s,\
        I_j \leftarrow f_j I_j e^{-t_{ref} / \tau_j} + \delta_j

    ========  =======================================================================
    level 1   leak, fixed threshold, reset to ``v_reset``
    level 2   level 1 with the reset rule of v and the spike-dependent threshold
    level 3   level 1 with after-spike currents
    level 4   levels 2 and 3 together
    level 5   level 4 with the voltage-dependent threshold
    ========  =======================================================================

    The model was fitted to recordings from which the spikes were cut out, and describes what is left at the end of the
    cut. So the decay over the refractory period is part of the jump, and for its length potential, currents and
    thresholds all stand still. The equation between spikes is linear with time constants far above the default step, so
    that RK4, the default, is exact to eight digits; ExponentialEuler is stable at any step, but first order, because
    the equations are coupled.

    Args:
        level: which of the mechanisms take part, 1 to 5.
        C: membrane capacitance, pF.
        g_L: leak conductance, nS.
        E_L: leak reversal potential, mV.
        theta_inf: threshold at rest, mV; the ``v_th`` of the base class.
        v_reset: potential after a spike at levels 1 and 3, mV.
        f_v: fraction of the potential above E_L that a spike leaves.
        delta_v: potential added at the reset, mV; the paper's reset subtracts it.
        delta_s: threshold added by a spike, mV.
        b_s: decay rate of that threshold, 1/ms.
        a_v: rate at which the threshold follows the potential, 1/ms.
        b_v: decay rate of that threshold, 1/ms.
        tau_currents: time constants of the after-spike currents, ms.
        delta_currents: current added by a spike to each of them, pA.
        f_currents: fraction of each of them that a spike leaves.
        t_ref: refractory period, ms, a whole number of steps.

    Shape:
        - input: [T, B, \*] current, pA
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``level`` is not 1 to 5, if an argument belongs to another level, if a rate, time constant,
            ``C``, ``g_L`` or ``dt`` is not positive, if the after-spike currents are not given in equal number, if the
            reset does not lead below the threshold, or if ``dt`` is too long for an explicit integrator.

    Source: Teeter et al. (2018), Nat. Commun. 9:709; Mihalas & Niebur (2009), Neural Comput. 21:704. The defaults are
    the level-5 fit to cell 490626718 of the Allen Cell Types Database, rounded as in the ``glif_psc`` model of NEST.
    """

    theta_inf = Alias("v_th")

    def __init__(
        self,
        level: int = 5,
        *,
        C: Quantity = 58.72,
        g_L: Quantity = 9.43,
        E_L: Quantity = -78.85,
        theta_inf: Quantity = -51.68,
        v_reset: Quantity | None = None,
        f_v: Quantity | None = None,
        delta_v: Quantity | None = None,
        delta_s: Quantity | None = None,
        b_s: Quantity | None = None,
        a_v: Quantity | None = None,
        b_v: Quantity | None = None,
        tau_currents: Sequence[Quantity] | None = None,
        delta_currents: Sequence[Quantity] | None = None,
        f_currents: Sequence[Quantity] | None = None,
        t_ref: float = 3.75,
        **options: Unpack[SpikingOptions],
    ):
        if level not in (1, 2, 3, 4, 5):
            raise ValueError(f"GLIF: expected level to be 1, 2, 3, 4 or 5, got {level!r}; choose one of them")
        given = {name: value for name, value in locals().items() if name in _OF_LEVELS and value is not None}
        foreign = sorted(name for name in given if level not in _OF_LEVELS[name][0])
        if foreign:
            raise ValueError(
                f"GLIF: expected the arguments of level {level}, got {', '.join(foreign)}, which belong to level "
                f"{', '.join(map(str, _OF_LEVELS[foreign[0]][0]))}; leave them out or choose another level"
            )
        value = {name: given.get(name, default) for name, (_, default) in _OF_LEVELS.items()}
        ruled = level in (2, 4, 5)
        super().__init__(
            v_th=theta_inf,
            v_reset=E_L if ruled else value["v_reset"],
            t_ref=t_ref,
            unit="mV",
            rule=GLIFThreshold,
            **options,
        )
        self.level = level
        self.C = Positive(C, unit="pF")
        self.g_L = Positive(g_L, unit="nS")
        self.E_L = Real(E_L, unit="mV")
        if ruled:
            self.f_v = Real(value["f_v"])
            self.delta_v = Real(value["delta_v"], unit="mV")
            self.delta_s = Real(value["delta_s"], unit="mV")
            self.b_s = Positive(value["b_s"], unit="1/ms")
            self.v_reset = None  # the reset rule takes its place
        if level == 5:
            self.a_v = Real(value["a_v"], unit="1/ms")
            self.b_v = Positive(value["b_v"], unit="1/ms")
        sizes = [len(value[name]) for name in ("tau_currents", "delta_currents", "f_currents")]
        self.n_currents = sizes[0] if level >= 3 else 0
        if level >= 3:
            if len(set(sizes)) > 1:
                raise ValueError(
                    "GLIF: expected tau_currents, delta_currents and f_currents of one length, got "
                    f"{sizes[0]}, {sizes[1]} and {sizes[2]}; give one of each per current"
                )
            for j in range(self.n_currents):
                setattr(self, f"tau_current_{j}", Positive(value["tau_currents"][j], unit="ms"))
                setattr(self, f"delta_current_{j}", Real(value["delta_currents"][j], unit="pA"))
                setattr(self, f"f_current_{j}", Real(value["f_currents"][j]))

    def time_constants(self) -> dict[str, Tensor]:
        constants = {"C / g_L": self.C() / self.g_L()}
        if self.level in (2, 4, 5):
            constants["1 / b_s"] = 1 / self.b_s()
        if self.level == 5:
            constants["1 / b_v"] = 1 / self.b_v()
        return constants

    @property
    def tau_currents(self) -> tuple[Constrained, ...]:
        """Time constants of the after-spike currents."""
        return self._of_each_current("tau_current")

    @property
    def delta_currents(self) -> tuple[Constrained, ...]:
        """What a spike adds to each of them."""
        return self._of_each_current("delta_current")

    @property
    def f_currents(self) -> tuple[Constrained, ...]:
        """The fraction of each of them that a spike leaves."""
        return self._of_each_current("f_current")

    def _of_each_current(self, name: str) -> tuple[Constrained, ...]:
        return tuple(getattr(self, f"{name}_{j}") for j in range(self.n_currents))

    def _each_current(self, name: str) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f"{name}_{j}")() for j in range(self.n_currents))

    def initial_state(self, x_t: State) -> GLIFState:
        return GLIFState(
            currents=tuple(zeros_state(x_t) for _ in range(self.n_currents)) if self.level >= 3 else (),
            theta_spike=zeros_state(x_t) if self.level in (2, 4, 5) else (),
            theta_voltage=zeros_state(x_t) if self.level == 5 else (),
            **self.initial_terms(x_t, self.E_L()),
        )

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.C(), rest=self.E_L())

    def relaxation(self, x_t: Tensor, state: GLIFState) -> tuple[GLIFState, GLIFState]:
        target = GLIFState(v=self.E_L() + sum(state.currents, start=x_t) / self.g_L())
        tau = GLIFState(v=self.C() / self.g_L())
        if state.currents:
            target = target._replace(
                currents=tuple(_unless_held(state, i, torch.zeros_like(i)) for i in state.currents)
            )
            tau = tau._replace(currents=self._each_current("tau_current"))
        if isinstance(state.theta_spike, Tensor):
            rest = torch.zeros_like(state.theta_spike)
            target = target._replace(theta_spike=_unless_held(state, state.theta_spike, rest))
            tau = tau._replace(theta_spike=1 / self.b_s())
        if isinstance(state.theta_voltage, Tensor):
            followed = self.a_v() / self.b_v() * (state.v - self.E_L())
            target = target._replace(theta_voltage=_unless_held(state, state.theta_voltage, followed))
            tau = tau._replace(theta_voltage=1 / self.b_v())
        return target, tau

    def on_spike(self, spikes: Tensor, state: GLIFState) -> GLIFState:
        held = self.t_ref
        # (1 - spikes) s + spikes (f s + delta), written so that a neuron without a spike keeps its state exactly.
        if isinstance(state.theta_spike, Tensor):
            lost = -torch.expm1(-held * self.b_s())
            state = state._replace(theta_spike=state.theta_spike + spikes * (self.delta_s() - lost * state.theta_spike))
        if state.currents:
            names = ("f_current", "tau_current", "delta_current")
            jumps = zip(state.currents, *(self._each_current(name) for name in names), strict=True)
            state = state._replace(
                currents=tuple(
                    i + spikes * ((f * torch.exp(-held / tau) - 1) * i + delta) for i, f, tau, delta in jumps
                )
            )
        return state

    def extra_repr(self) -> str:
        return f"level={self.level}, {super().extra_repr()}"


def _unless_held(state: GLIFState, value: Tensor, target: Tensor) -> Tensor:
    """Where a value goes; in the refractory period to itself, so that it stands still."""
    return target if isinstance(state.refractory, tuple) else torch.where(state.refractory > 0, value, target)
