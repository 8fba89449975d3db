"""Time-to-first-spike coding."""

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from .encoder import Encoder


class Latency(Encoder):
    r"""Every value becomes one spike, the earlier the larger the value.

    .. math::
        t = (1 - x)\,(T - 1)\,dt \quad \text{(linear)}, \qquad
        t = \tau \ln\frac{x}{x - \theta} \quad \text{(log)}

    The second is when a leaky integrator with the constant input ``x`` reaches ``theta``. A value below ``theta``
    never spikes, nor does one whose time lies beyond the sequence. Times are rounded to whole steps.

    Args:
        steps: length T of the sequence.
        form: ``"linear"`` or ``"log"``.
        theta: values below it stay silent.
        tau: time constant of the log form, ms.
        dt: time step, ms.

    Shape:
        - input: [B, \*], values within 0 and 1
        - output: [T, B, \*] spikes, 0 or 1; at most one per value

    Raises:
        ValueError: if ``steps``, ``theta``, ``tau`` or ``dt`` is not positive, or ``form`` is neither of the two.

    Source: Thorpe, Delorme & Van Rullen (2001), Neural Networks 14:715; for the log form Gerstner et al. (2014),
    Neuronal Dynamics, ch. 1.3.

    Example:
        >>> import torch
        >>> Latency(steps=3)(torch.tensor([[1.0, 0.5, 0.0]]))[:, 0].T.tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self, steps: int, *, form: str = "linear", theta: float = 0.01, tau: float = 20.0, dt: float = 1.0):
        super().__init__(steps, dt=dt)
        self.form = one_of("Latency", "form", form, "linear", "log")
        self.theta = positive_number("Latency", "theta", theta)
        self.tau = positive_number("Latency", "tau", tau, unit="ms")

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        if self.form == "linear":
            step = torch.round((1 - x.clamp(max=1)) * (self.steps - 1))
        else:
            step = torch.round(self.tau / self.dt * torch.log(x / (x - self.theta)))
        # NaN and infinity (values at or below theta) equal no step.
        clock = torch.arange(self.steps, device=x.device, dtype=x.dtype).view(-1, *[1] * x.ndim)
        return ((clock == step) & (x >= self.theta)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, form={self.form!r}"
