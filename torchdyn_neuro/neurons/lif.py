"""The leaky integrate-and-fire neuron."""

from typing import NamedTuple, TypedDict, Unpack

import torch
from torch import Tensor

from ..core.ode import Membrane
from ..core.options import AdaptationOption, CellOptions, NoiseOption, SpikingOptions, describes
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking
from ..core.state import State, register_state
from ..integrators import ExponentialEuler
from ..surrogates import ATan


@register_state
class LIFState(NamedTuple):
    """v: membrane potential, [B, *]; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


@describes
class LIFOptions(TypedDict, total=False):
    """What a named special case of :class:`LIF` hands on to it.

    R: membrane resistance, potential per unit of input.
    v_rest: resting potential, mV or dimensionless.
    v_th: threshold, as ``v_rest``.
    v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
    t_ref: refractory period, ms, a whole number of steps.
    """

    R: Quantity
    v_rest: Quantity
    v_th: Quantity
    v_reset: Quantity | None
    t_ref: float


@describes
class ResetOption(TypedDict, total=False):
    """The reset of a special case that has no other default for it.

    reset: ``"subtract"`` (``v -= v_th - v_rest``), ``"value"`` (``v = v_reset``), ``"zero"`` or ``"none"``.
    """

    reset: str


class AdaptingLIFOptions(LIFOptions, ResetOption, CellOptions, NoiseOption, total=False):
    """What a LIF with an adaptation of its own takes beside that.

    R, v_rest, v_th, v_reset, t_ref, reset: as in :class:`LIF`.
    surrogate, detach_reset, integrator, v_init, dt, noise: as in every spiking cell.
    """


class NoisyLIFOptions(LIFOptions, ResetOption, CellOptions, AdaptationOption, total=False):
    """What a LIF with a noise of its own takes beside that.

    R, v_rest, v_th, v_reset, t_ref, reset: as in :class:`LIF`.
    surrogate, detach_reset, integrator, v_init, dt, adaptation: as in every spiking cell.
    """


class ParametricLIFOptions(LIFOptions, SpikingOptions, total=False):
    """What a LIF with a reset of its own takes beside that.

    R, v_rest, v_th, v_reset, t_ref: as in :class:`LIF`.
    surrogate, detach_reset, integrator, v_init, dt, adaptation, noise: as in every spiking cell.
    """


class LIF(Spiking, integrator=ExponentialEuler(), surrogate=ATan()):
    r"""Leaky integrate-and-fire neuron.

    .. math:: \tau_m \dot v = -(v - v_{rest}) + R I, \qquad v \ge v_{th}: \text{ spike and reset}

    Its rate under a constant current is
    :math:`1 / (t_{ref} + \tau_m \ln\frac{R I + v_{rest} - v_{reset}}{R I + v_{rest} - v_{th}})`, zero at or below
    rheobase. The default integrator is exact for an input that is constant over the step.

    Args:
        tau_mem: membrane time constant, ms.
        R: membrane resistance, potential per unit of input.
        v_rest: resting potential, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
        reset: ``"subtract"`` (``v -= v_th - v_rest``), ``"value"`` (``v = v_reset``), ``"zero"`` or
            ``"none"``.
        t_ref: refractory period, ms, a whole number of steps.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, if the reset does not lead below the threshold, or if
            ``dt`` is too long for an explicit integrator.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 1.3. The defaults are round values: a membrane of 20 ms and a
    threshold of one.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> spikes = tdn.LIF(tau_mem=tdn.Learned(20.0))(torch.full((100, 1, 3), 1.5))
        >>> spikes.sum(0)
        tensor([[4., 4., 4.]], grad_fn=<SumBackward1>)
    """

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        *,
        R: Quantity = 1.0,
        v_rest: Quantity = 0.0,
        v_th: Quantity = 1.0,
        v_reset: Quantity | None = None,
        reset: str = "subtract",
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, v_rest=v_rest, reset=reset, t_ref=t_ref, **options)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.R = Positive(R)

    def initial_state(self, x_t: State) -> LIFState:
        return LIFState(**self.initial_terms(x_t, self.v_rest()))

    def membrane(self) -> Membrane:
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest())

    def relaxation(self, x_t: Tensor, state: LIFState) -> tuple[LIFState, LIFState]:
        return LIFState(v=self.v_rest() + self.R() * x_t), LIFState(v=self.tau_mem())

    def flow(self, x_t: Tensor, state: LIFState, dt: float | Tensor) -> LIFState:
        target, tau = self.relaxation(x_t, state)
        return state._replace(v=target.v + (state.v - target.v) * torch.exp(-dt / tau.v))
