"""Recurrent connections around any neuron."""

from torch import nn

from .dynamics import Dynamics
from .network import Network


class Recurrent(Network):
    r"""Feeds the output of a neuron back through a connection, one step later.

    .. math:: (y_t, s_t) = \mathrm{neuron}(x_t + \mathrm{connection}(y_{t-1}), s_{t-1})

    It is ``Network(neuron, connection, delay=dt)`` by name. The gradient of a spike goes around the loop once in each
    step: with the default surrogate of most cells it explodes when the neurons become active and many steps count (a
    mean over time as the readout). Give the neuron a ``Damped`` surrogate, and the connection orthogonal weights scaled
    by 0.2; :class:`~torchdyn_neuro.layers.RecurrentBlock` does both.

    Args:
        neuron: the dynamics, whose output has the shape of its input, or of each of its inputs.
        connection: maps one frame [B, \*] of outputs to inputs: a layer such as ``nn.Linear``, or dynamics.
        input: for a neuron with several inputs, such as ``ConductanceLIF``: which of them the feedback is added to, by
            its place or its name.

    Shape:
        - input: [T, B, \*]; with several inputs as in :class:`Network`
        - output: [T, B, \*]

    Raises:
        TypeError, ValueError: as :class:`Network`.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4, bias=False))
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
        >>> excited = tdn.Recurrent(tdn.ConductanceLIF(), nn.Linear(4, 4), input=0)
        >>> excited((torch.ones(10, 2, 4), torch.ones(10, 2, 4))).shape
        torch.Size([10, 2, 4])
    """

    def __init__(self, neuron: Dynamics, connection: nn.Module, *, input: int | str | None = None):
        super().__init__(neuron, connection, input=input)

    def _stepwise(self) -> bool:
        return True
