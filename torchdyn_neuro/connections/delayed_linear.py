"""The dense connection with a delay per synapse."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.checks import one_of
from ..core.quantities import Learned, Quantity
from ..core.state import State
from ..synapses.delay_line import DelayLine


class DelayedLinear(DelayLine):
    r"""Dense connection in which each synapse has a weight and a delay.

    .. math:: y_i(t) = \sum_j w_{ij}\, x_j(t - d_{ij}) + b_i

    A sequence is one convolution over time. Kernels, annealing and the state are those of :class:`Delay`; inside
    ``Recurrent`` the delay adds to the one step that every recurrent connection takes.

    Args:
        in_features: number of presynaptic neurons.
        out_features: number of postsynaptic neurons.
        delay: delay, ms: one for all, [in_features] or [out_features, in_features]; ``"uniform"``: one per synapse,
            learned, drawn between 0 and ``max_delay``.
        max_delay: what the buffer holds, ms; the longest fixed delay if omitted. A learned delay stays below it.
        bias: add a learned bias.
        kernel: ``"linear"`` or ``"gaussian"``.
        width: standard deviation of the Gaussian at the start, ms; a quarter of ``max_delay`` if omitted.
        final_width: its standard deviation at the end of annealing, ms; half a step if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, in_features]
        - state: history [B, steps, \*, in_features]
        - output: [T, B, \*, out_features]

    Raises:
        ValueError: if a delay is negative or longer than ``max_delay``, or learned without ``max_delay``; if a width is
            not positive, or given with ``kernel="linear"``.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier (2024), ICLR (learned delays as Gaussian kernels in time).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> layer = tdn.DelayedLinear(3, 2, "uniform", max_delay=25.0, kernel="gaussian")
        >>> layer(torch.zeros(10, 4, 3)).shape
        torch.Size([10, 4, 2])
    """

    plain_line: ClassVar[bool] = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        delay: Quantity | str = 5.0,
        *,
        max_delay: float | None = None,
        bias: bool = False,
        kernel: str = "linear",
        width: float | None = None,
        final_width: float | None = None,
        dt: float = 1.0,
    ):
        if isinstance(delay, str):
            delay = self._drawn(delay, max_delay, (out_features, in_features))
        super().__init__(delay, max_delay=max_delay, kernel=kernel, width=width, final_width=final_width, dt=dt)
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound)) if bias else None
        if self.delay.start.shape not in {(), (in_features,), (out_features, in_features)}:
            raise ValueError(
                f"DelayedLinear: expected one delay, ({in_features},) or ({out_features}, {in_features}), got shape "
                f"{tuple(self.delay.start.shape)}; pass one delay per synapse"
            )

    @classmethod
    def _drawn(cls, delay: str, max_delay: float | None, shape: tuple[int, int]) -> Learned:
        one_of(cls.__name__, "delay", delay, "uniform")
        if max_delay is None:
            raise ValueError(
                f'{cls.__name__}: expected max_delay with delay="uniform", got none; pass the longest delay, in ms'
            )
        # Strictly inside, for what is learned could never leave a bound.
        return Learned(torch.empty(shape).uniform_(0.01, 0.99) * max_delay)

    @property
    def reads_by_taps(self) -> bool:
        return self.delay.start.ndim < 2

    @property
    def line_weight(self) -> str:
        return "weight" if self.reads_by_taps else "window_weight"

    @property
    def window_weight(self) -> Tensor:
        """The weight of each neuron in each frame of a line: [out_features, (steps + 1) in_features]."""
        return self.kernel_over_time().transpose(0, 1).flatten(1)

    def kernel_over_time(self) -> Tensor:
        """What each synapse gives of the frames, oldest first: [steps + 1, out_features, in_features]."""
        shares = self.lag_weights()
        return (self.weight * shares.reshape(self.steps + 1, *[1] * (3 - shares.ndim), *shares.shape[1:])).flip(0)

    def read(self, line: Tensor) -> Tensor:
        shape = line.shape
        rows = line.reshape(shape[0], -1, shape[-1]).permute(1, 2, 0)
        y = functional.conv1d(rows, self.kernel_over_time().permute(1, 2, 0).to(rows.dtype), self.bias)
        return y.permute(2, 0, 1).reshape(-1, *shape[1:-1], self.out_features)

    def check_input(self, x: State) -> None:
        super().check_input(x)
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"DelayedLinear: expected an input [T, B, *, {self.in_features}], got shape {tuple(x.shape)}; "
                "the last axis holds the presynaptic neurons"
            )

    def check_quantities(self, x: Tensor) -> None:
        # A delay per synapse fits the weights, not the neurons; only its dtype is left to check.
        super().check_quantities(x.new_empty(1, 1, self.out_features, self.in_features))

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {super().extra_repr()}"
