"""Homeostasis of the threshold."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.context import real_steps
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.repeat import is_recorded
from ..core.state import Shared, State, register_state, zeros_state
from ..core.terms import Adaptation


@register_state
class SharedThreshold(NamedTuple):
    """theta: what is added to the threshold, one value for each neuron, in all rows of the batch."""

    theta: Shared


class ThresholdHomeostasis(Adaptation):
    r"""A threshold that rises with every spike and falls between them until the neuron fires at a given rate.

    .. math:: v_{th} \to v_{th} + \theta, \qquad
        \dot\theta = a \Bigl(\sum_k \delta(t - t_k) - r_0\Bigr) - \frac{\theta}{\tau}

    Without a decay (``tau=None``) the neuron fires at :math:`r_0` in the end, whatever its input, if any threshold lets
    it. With ``rate=0`` and a long ``tau`` it is the threshold of Diehl & Cook: neurons that fire often become harder to
    excite, so that all take part. An :class:`AdaptiveThreshold` is for short-term memory, this one for balance.

    Args:
        step: what a spike adds, ``a``; the source has 0.05 mV at a threshold 13 mV above rest, here 0.004 at 1.
        rate: the rate :math:`r_0`, Hz.
        tau: time constant of the decay, ms; ``None`` for none.
        rows: ``"each"``: every row of the batch has thresholds of its own; ``"mean"`` or ``"sum"``: one for all, which
            takes the mean or the sum of the changes, as the weights of a :class:`Plastic` connection can.
        frozen: if true, the threshold stays.

    Raises:
        ValueError: if ``step`` or ``rate`` is negative, ``tau`` is not positive, or ``rows`` is none of the three; by
            the cell, for one threshold for all rows with an ``Interpolated`` integrator.

    Source: Diehl & Cook (2015), Front. Comput. Neurosci. 9:99 (``rate=0``); Zhang & Linden (2003), Nat. Rev. Neurosci.
    4:885 (intrinsic plasticity towards a rate).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.LIF(adaptation=ThresholdHomeostasis(0.05, rate=20.0, tau=None))
        >>> spikes = cell(torch.full((4000, 1, 2), 3.0) * torch.tensor([1.0, 3.0]))
        >>> (1000 * spikes[2000:].mean((0, 1))).round()
        tensor([20., 20.])
    """

    on_threshold: ClassVar[bool] = True

    def __init__(
        self,
        step: Quantity = 0.004,
        *,
        rate: Quantity = 0.0,
        tau: Quantity | None = 1e7,
        rows: str = "each",
        frozen: bool = False,
    ):
        super().__init__()
        self.step = NonNegative(step)
        self.rate = NonNegative(rate, unit="Hz")
        self.tau = None if tau is None else Positive(tau, unit="ms")
        self._rows = one_of("ThresholdHomeostasis", "rows", rows, "each", "mean", "sum")
        self.frozen = frozen

    @property
    def rows(self) -> str:
        """Whose thresholds they are: ``"each"``, ``"mean"`` or ``"sum"``."""
        return self._rows

    @property
    def shared(self) -> bool:
        """Whether all rows of a batch have one variable."""
        return self.rows != "each"

    def initial_state(self, x_t: State) -> State:
        zeros = zeros_state(x_t)
        if self.shared and not self.frozen and real_steps() is not None:
            raise ValueError(
                f"ThresholdHomeostasis: expected rows='each' for padded sequences, got {self.rows!r}: the padding of "
                "some rows would move the threshold of all; or make batches of one length"
            )
        return SharedThreshold(zeros.sum(0)) if self.shared else zeros

    def threshold(self, value: State, v: Tensor, dt: float) -> Tensor:
        return value.theta if self.shared else value

    def increment(self) -> Tensor:
        return self.step()

    def jump(self, value: State, spikes: Tensor) -> State:
        if self.frozen:
            return value
        if not self.shared:
            return super().jump(value, spikes)
        if not is_recorded() and not spikes.shape[0]:
            return value  # an empty batch has no mean
        fired = spikes.mean(0) if self.rows == "mean" else spikes.sum(0)
        return SharedThreshold(value.theta + fired * self.increment())

    def derivative(self, value: State, above_rest: Tensor) -> State:
        theta = value.theta if self.shared else value
        change = torch.zeros_like(theta)
        if not self.frozen:
            change = change - self._fall(above_rest)
            change = change if self.tau is None else change - theta / self.tau()
        return SharedThreshold(change) if self.shared else change

    def relax(self, value: State, above_rest: Tensor, dt: float | Tensor) -> State:
        if self.frozen:
            return value
        theta, fall = value.theta if self.shared else value, self._fall(above_rest)
        if self.tau is None:
            theta = theta - dt * fall
        else:
            lowest = -fall * self.tau()
            theta = lowest + (theta - lowest) * torch.exp(-dt / self.tau())
        return SharedThreshold(theta) if self.shared else theta

    def _fall(self, above_rest: Tensor) -> Tensor:
        """How fast the threshold falls without spikes, per ms; where all rows sum their changes, once for each."""
        fall = self.step() * self.rate() / 1000
        return fall * above_rest.shape[0] if self.rows == "sum" else fall

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"rows={self.rows!r}", "frozen" if self.frozen else "", super().extra_repr()]))
