"""Izhikevich's neuron."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.integrator import Drive
from ..core.numerics import limited_square
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Alias, Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, register_state
from ..core.upstroke import QuadraticUpstroke
from ..integrators import RK4, Euler
from ..surrogates import ATan
from .presets import IZHIKEVICH_2003

_SQUARE, _LINEAR, _CONSTANT, _START = 0.04, 5.0, 140.0, -65.0
_BEND = 20.0  # mV above the bottom of the parabola, where the upstroke begins
_PRINTED = Euler(substeps=2)
_LARGEST = 1e4  # mV; the published scheme overshoots by up to some 1e3 mV, and overflows far beyond


@register_state
class IzhikevichState(NamedTuple):
    """v: membrane potential, mV; u: recovery, mV/ms; both [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    u: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class Izhikevich(Spiking, integrator=RK4(), surrogate=ATan(slope=0.1), dt=0.1):
    r"""Izhikevich's neuron: a quadratic upstroke and a linear recovery.

    .. math::
        \dot v &= 0.04 v^2 + 5 v + 140 - u + I \\
        \dot u &= a (b v - u) \\
        v \ge 30\ \mathrm{mV} &: \text{ spike, } v \leftarrow c,\ u \leftarrow u + d

    With ``scheme="ode"`` an integrator solves this equation. Within every stage v is clipped at ``v_peak`` in both
    equations, and far below rest, where a step could not resolve the parabola, its tangent takes its place: an
    overshoot makes no spike and does not leak into u. RK4 is the default, for at 0.1 ms its error is below that of the
    grid on which spikes lie; the equation is no linear relaxation, so ExponentialEuler does not apply.

    ``scheme="izhikevich2003"`` is the program printed in the paper, which is not that equation: in a step of 1 ms the
    cells above 30 mV are reset first, then v takes two Euler steps of 0.5 ms, then u one of 1 ms with the new v. Its
    spikes therefore show one step after the crossing, its overshoot enters u, and a strong inhibition can throw v
    across the parabola into a spike. It keeps v within 10 V, far beyond what the published cells reach.

    Args:
        a: rate of the recovery, 1/ms.
        b: sensitivity of the recovery to the potential, 1/ms.
        c: potential after a spike, mV; the ``v_reset`` of the base class.
        d: recovery added by a spike, mV/ms.
        v_peak: where the upstroke is cut and the spike counted, mV; the threshold ``v_th`` of the base class.
        t_ref: refractory period, ms; only with ``scheme="ode"``.
        scheme: ``"ode"`` or ``"izhikevich2003"``.

    Shape:
        - input: [T, B, \*] current, mV/ms
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``a`` or ``dt`` is not positive, if ``v_peak`` is not above ``c``, if ``dt`` is too long or the
            integrator does not apply, or if the published scheme is given an integrator, a refractory period,
            adaptation, noise or another ``dt``.

    Source: Izhikevich (2003), IEEE Trans. Neural Netw. 14:1569, whose regular-spiking values are the defaults.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.Izhikevich.preset("FS", scheme="izhikevich2003")
        >>> spikes = cell(torch.full((200, 1, 1), 10.0))
    """

    v_peak = Alias("v_th")
    c = Alias("v_reset")

    def __init__(
        self,
        *,
        a: Quantity = 0.02,
        b: Quantity = 0.2,
        c: Quantity = -65.0,
        d: Quantity = 8.0,
        v_peak: Quantity = 30.0,
        t_ref: float = 0.0,
        scheme: str = "ode",
        **options: Unpack[SpikingOptions],
    ):
        printed = one_of("Izhikevich", "scheme", scheme, "ode", "izhikevich2003") == "izhikevich2003"
        given = [name for name in ("integrator", "adaptation", "noise") if options.get(name) is not None]
        given += ["t_ref"] * (t_ref != 0) + ["dt"] * (options.get("dt", 1.0) != 1)
        if printed and given:
            raise ValueError(
                'Izhikevich: expected scheme="izhikevich2003" without integrator, t_ref, adaptation, noise or a dt '
                f'other than 1 ms, for it fixes them, got {", ".join(given)}; drop that or use scheme="ode"'
            )
        if printed:
            options = {**options, "integrator": _PRINTED, "dt": 1.0}
        super().__init__(v_th=v_peak, v_reset=c, t_ref=t_ref, unit="mV", **options)
        self.scheme = scheme
        self.a = Positive(a, unit="1/ms")
        self.b = Real(b, unit="1/ms")
        self.d = Real(d, unit="mV/ms")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Izhikevich":
        """One of the published cell types: ``"RS"``, ``"IB"``, ``"CH"``, ``"FS"`` or ``"LTS"``.

        Args:
            name: a key of :data:`IZHIKEVICH_2003`.
            changes: any argument of the class, to use instead of the preset's.

        Raises:
            ValueError: if there is no such type.
        """
        return cls(**{**IZHIKEVICH_2003[one_of(cls.__name__, "name", name, *IZHIKEVICH_2003)], **changes})

    def _check(self) -> None:
        if self.scheme == "izhikevich2003":
            if self.dt != 1:
                raise ValueError(
                    f'Izhikevich: expected a step of 1 ms for scheme="izhikevich2003", got {self.dt:g} ms; use '
                    'scheme="ode"'
                )
            if self.integrator != _PRINTED or self.terms or self.t_ref:
                raise ValueError(
                    'Izhikevich: expected scheme="izhikevich2003" without integrator, t_ref, adaptation or noise, for '
                    'it fixes them, got one of them; use scheme="ode"'
                )
        super()._check()

    def time_constants(self) -> dict[str, Tensor]:
        return {"1 / a": 1 / self.a()}

    def initial_state(self, x_t: State) -> IzhikevichState:
        started = self.initial_terms(x_t, _START)
        return IzhikevichState(u=self.b() * started["v"], **started)

    def membrane(self) -> Membrane:
        upstroke = QuadraticUpstroke(torch.full_like(self.a(), -_LINEAR / (2 * _SQUARE)), _BEND, self.v_th())
        return Membrane(gain=torch.ones_like(self.a()), rest=self._rest(), upstroke=upstroke)

    def _rest(self) -> Tensor:
        """Where v rests together with u without input; the bottom of its parabola where it does not rest."""
        slope = _LINEAR - self.b()
        # Far from zero for all published cells; where the two roots merge, the slope of the root would be infinite.
        inside = torch.clamp(slope * slope - 4 * _SQUARE * _CONSTANT, min=1e-6)
        return -(slope + torch.sqrt(inside)) / (2 * _SQUARE)

    def derivative(self, x_t: Tensor, state: IzhikevichState) -> IzhikevichState:
        v = torch.minimum(state.v, self.v_th())
        # Where the slope of the parabola is -1 / step.
        lowest = -(self.steps_per_ms + _LINEAR) / (2 * _SQUARE)
        parabola = _SQUARE * limited_square(v, lowest) + _LINEAR * v + _CONSTANT
        return IzhikevichState(v=parabola - state.u + x_t, u=self.a() * (self.b() * v - state.u))

    def step(self, x_t: Tensor | Drive, state: IzhikevichState) -> tuple[Tensor, IzhikevichState]:
        if self.scheme == "ode":
            return super().step(x_t, state)
        dtype = state.v.dtype if callable(x_t) else x_t.dtype
        spikes, state = self.fire(state, [state])
        v, u = state.v, state.u
        for fraction in (0.0, 0.5):
            current = x_t(fraction, state._replace(v=v)) if callable(x_t) else x_t.to(v.dtype)
            v = v + 0.5 * ((_SQUARE * v + _LINEAR) * v + _CONSTANT - u + current)
            v = torch.clamp(v, -_LARGEST, _LARGEST)
        u = u + self.a() * (self.b() * v - u)
        return spikes.to(dtype), state._replace(v=v, u=u)

    def on_spike(self, spikes: Tensor, state: IzhikevichState) -> IzhikevichState:
        return state._replace(u=state.u + self.d() * spikes)

    def extra_repr(self) -> str:
        return f"scheme={self.scheme!r}, {super().extra_repr()}"
