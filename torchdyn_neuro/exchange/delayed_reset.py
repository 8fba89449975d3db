"""A reset that comes one step after the spike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.inputs import check_tensor


class DelayedReset(nn.Module):
    r"""What a spike takes from the input of its own neuron one step later, beside a recurrent connection.

    .. math:: y = \mathrm{connection}(s) - \theta\, s

    In front of a neuron without a reset, as the connection of a :class:`~torchdyn_neuro.Recurrent`, it is the reset of
    snnTorch: the threshold is subtracted in the step after the spike and does not decay in between. No gradient goes
    through the reset.

    Args:
        threshold: :math:`\theta`; one for all or one per neuron.
        connection: a recurrent connection; none if omitted.

    Shape:
        - input: [B, \*] spikes
        - output: as the input

    Raises:
        TypeError: from ``forward`` for what is no tensor.

    Source: Eshraghian et al. (2023), Proc. IEEE 111:1016 (snnTorch, ``reset_delay=True``).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> neuron = tdn.LIF(tau_mem=9.5, R=10.0, reset="none")
        >>> tdn.Recurrent(neuron, DelayedReset(1.0))(torch.full((6, 1, 1), 0.6)).flatten()
        tensor([0., 1., 0., 1., 0., 1.])
    """

    threshold: Tensor

    def __init__(
        self, threshold: float | Tensor = 1.0, connection: nn.Module | Callable[[Tensor], Tensor] | None = None
    ):
        super().__init__()
        self.register_buffer("threshold", torch.as_tensor(threshold, dtype=torch.get_default_dtype()).clone())
        self.connection = connection

    def forward(self, spikes: Tensor) -> Tensor:
        check_tensor("DelayedReset", spikes, "a tensor [B, *]")
        taken = self.threshold * spikes.detach()
        return -taken if self.connection is None else self.connection(spikes) - taken
