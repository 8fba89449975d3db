"""Reading out who is first."""

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.lengths import fill_padding, total
from .decoder import Decoder


class FirstSpike(Decoder):
    r"""How early each class fires for the first time.

    .. math:: z_c = -\frac{t_c}{\tau}, \qquad t_c = dt \sum_t \prod_{u \le t} (1 - s_{u,c})

    The product is 1 until the first spike and 0 from it on, so the sum counts the silent steps before it: 0 if the
    first step has a spike, T if none has. A softmax of z has odds of e for a lead of ``tau``. The gradient of the sum
    reaches each step up to the second spike: of a silent one, the time that a spike there would save; of the first
    spike, the time until the second, which would come in its place.

    Args:
        tau: lead that changes a logit by 1, ms.
        dt: time step, ms.

    Shape:
        - input: [T, B, C] spikes, 0 or 1, and lengths [B]
        - output: [B, C]

    Raises:
        ValueError: if ``tau`` or ``dt`` is not positive.

    Source: Mostafa (2017), IEEE Trans. Neural Netw. Learn. Syst. 29:3227 (softmax of minus the first times).

    Example:
        >>> import torch
        >>> FirstSpike(tau=2.0)(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]]]))
        tensor([[-0.5000, -0.0000]])
    """

    def __init__(self, *, tau: float = 10.0, dt: float = 1.0):
        super().__init__()
        self.tau = positive_number("FirstSpike", "tau", tau, unit="ms")
        self.dt = positive_number("FirstSpike", "dt", dt, unit="ms")

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        silent = torch.cumprod(1 - fill_padding(y, lengths), 0)
        return -total(silent, lengths) * (self.dt / self.tau)

    def extra_repr(self) -> str:
        return f"tau={self.tau:g} ms, dt={self.dt:g} ms"
