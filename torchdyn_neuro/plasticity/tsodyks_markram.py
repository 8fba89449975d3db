"""Short-term plasticity: facilitation and depression of transmitter release."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.quantities import Positive, Quantity, UnitInterval
from ..core.state import State, first_leaf, full_state, register_state, widen, zeros_state


@register_state
class TsodyksMarkramState(NamedTuple):
    """u: utilisation, () without facilitation; R: resources, () without depression; both [B, *], from 0 to 1."""

    u: State
    R: State


class TsodyksMarkram(Dynamics):
    r"""Short-term synaptic plasticity: each spike releases the share ``u`` of the resources ``R`` that are there.

    .. math::
        \dot u = \frac{U - u}{\tau_f} + U (1 - u) S, \qquad \dot R = \frac{1 - R}{\tau_d} - u^+ R^- S

    The minus marks the value just before a spike, the plus the one just after it; ``u`` jumps first, then
    :math:`u^+ R^-` is released. Three forms of the equation are in use:

    - ``"tm"``: as above; the first spike releases :math:`U + U (1 - U) = 2 U - U^2`.
    - ``"m98"``: ``u`` decays to 0 instead of ``U``, so that the first spike releases ``U``.
    - ``"text"``: as ``"tm"``, but a spike uses up the constant share ``U`` of the resources, :math:`R^+ = R^- (1 - U)`,
      while it releases :math:`u^+ R^-`: what is released is not what is lost.

    Between spikes the solution is exact, so results on the grid do not depend on ``dt``. Without facilitation
    (``tau_f=None``) ``u`` is ``U`` at every spike, in all forms; without depression (``tau_d=None``) ``R`` is 1. What
    the spikes of a frame release stands in the same frame. One module before an ``nn.Linear`` has one state per
    presynaptic neuron; :class:`PlasticLinear` has one per synapse.

    Args:
        U: utilisation of resources at rest, from 0 to 1.
        tau_f: time constant of facilitation, ms; ``None`` for depression only.
        tau_d: time constant of recovery from depression, ms; ``None`` for facilitation only.
        form: ``"tm"``, ``"m98"`` or ``"text"``.
        max_count: the most spikes that one step may hold; they are taken one after the other, with no time between.
            Every further one costs as much as the first.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] spikes, 0 or 1, or counts up to ``max_count``
        - output: [T, B, \*] resources released in the step; scale them with the weights that follow

    Raises:
        ValueError: if a parameter is out of its bounds; from ``scan`` and ``forward`` for counts below 0 or above
            ``max_count``. (``step`` and compiled graphs do not look at values: they take a count as the nearest bound.)

    Source: Tsodyks & Markram (1997), PNAS 94:719; Markram, Wang & Tsodyks (1998), PNAS 95:5323; Tsodyks, Pawelzik &
    Markram (1998), Neural Comput. 10:821 (``"m98"``); Mongillo, Barak & Tsodyks (2008), Science 319:1543 (``"tm"`` and
    the defaults).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> depressing = tdn.TsodyksMarkram(U=0.5, tau_f=None, tau_d=800.0, form="m98")
        >>> depressing(torch.ones(3, 1, 1)).flatten()
        tensor([0.5000, 0.2503, 0.1256])
    """

    def __init__(
        self,
        U: Quantity = 0.2,
        tau_f: Quantity | None = 1500.0,
        tau_d: Quantity | None = 200.0,
        *,
        form: str = "tm",
        max_count: int = 1,
        dt: float = 1.0,
    ):
        super().__init__(dt=dt)
        self.U = UnitInterval(U)
        self.tau_f = None if tau_f is None else Positive(tau_f, unit="ms")
        self.tau_d = None if tau_d is None else Positive(tau_d, unit="ms")
        self.form = one_of("TsodyksMarkram", "form", form, "tm", "m98", "text")
        if not isinstance(max_count, int) or isinstance(max_count, bool) or max_count < 1:
            raise ValueError(f"TsodyksMarkram: expected max_count to be 1, 2, ..., got {max_count!r}; pass an integer")
        self.max_count = max_count

    def initial_state(self, x_t: State) -> TsodyksMarkramState:
        return TsodyksMarkramState(
            u=() if self.tau_f is None else full_state(x_t, self.rest()),
            R=() if self.tau_d is None else zeros_state(x_t) + 1,
        )

    def rest(self) -> Tensor | float:
        """What ``u`` decays to."""
        return 0.0 if self.form == "m98" else self.U()

    def step(self, x_t: Tensor, state: TsodyksMarkramState) -> tuple[Tensor, TsodyksMarkramState]:
        count = widen(x_t)
        u, R = self.recover(state)
        released = None
        for taken in range(self.max_count):
            # Not a clamp, which passes no gradient at 0 and 1. A spike that is not there passes none, but for the
            # first one, which may be about to come.
            left = count - taken
            absent = left <= 0 if taken else left < 0
            spike = torch.where(left > 1, torch.ones_like(left), torch.where(absent, torch.zeros_like(left), left))
            u, R, share = self.release(spike, u, R)
            released = share if released is None else released + share
        return released.to(x_t.dtype), TsodyksMarkramState(u, R)

    def recover(self, state: TsodyksMarkramState) -> TsodyksMarkramState:
        """The state one step later if no spike comes."""
        u, R = state
        if isinstance(u, Tensor):
            u = self.rest() + (u - self.rest()) * torch.exp(-self.dt / self.tau_f())
        if isinstance(R, Tensor):
            R = 1 - (1 - R) * torch.exp(-self.dt / self.tau_d())
        return TsodyksMarkramState(u, R)

    def release(self, spike: Tensor, u: State, R: State) -> tuple[State, State, Tensor]:
        """``u`` and ``R`` after one spike (1) or none (0), and what it releases."""
        if isinstance(u, Tensor):
            u = u + self.U() * (1 - u) * spike
        share = (u if isinstance(u, Tensor) else self.U()) * spike
        if not isinstance(R, Tensor):
            return u, R, share
        loss = self.U() * spike if self.form == "text" else share
        return u, R - loss * R, share * R

    def check_input(self, x: State) -> None:
        super().check_input(x)
        self.check_counts(first_leaf(x))

    def check_counts(self, counts: Tensor) -> None:
        """Raise if a count of spikes is below 0 or above ``max_count``."""
        counts = counts.detach()
        # Compiled and captured graphs cannot look at values.
        if torch.compiler.is_compiling() or (counts.is_cuda and torch.cuda.is_current_stream_capturing()):
            return
        lowest, highest = counts.aminmax()
        if lowest < 0 or highest > self.max_count:  # false for NaN, which is left for the loss to show
            raise ValueError(
                f"TsodyksMarkram: expected spike counts from 0 to {self.max_count} per step, got values from "
                f"{lowest.item():g} to {highest.item():g}; put weights behind it, and raise max_count for more spikes "
                "in a step"
            )

    def extra_repr(self) -> str:
        parts = [f"form={self.form!r}"]
        parts += [] if self.tau_f is not None else ["depression only"]
        parts += [] if self.tau_d is not None else ["facilitation only"]
        return ", ".join([*parts, super().extra_repr()])
