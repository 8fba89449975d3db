"""The network of excitatory and inhibitory rate units."""

from torch import nn

from ..connections.dale_linear import DaleLinear
from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.network import Network
from ..core.quantities import Alias, Quantity
from ..core.terms import Noise
from ..integrators import ExponentialEuler
from .activations import ThresholdLinear
from .rate_unit import RateUnit


class EINetwork(Network):
    r"""Rate units of which each excites all its targets or inhibits all of them (Dale's law).

    .. math::
        \tau \dot r = -r + F(W r + I), \qquad W = \begin{pmatrix} W_{EE} & -W_{EI} \\ W_{IE} & -W_{II} \end{pmatrix}

    The excitatory units are the first ones. The signs are part of how the weights follow from their parameters
    (:class:`DaleLinear`), so that no optimiser can break them; inhibition starts stronger, so that the two balance.

    Args:
        excitatory: number of excitatory units.
        inhibitory: number of inhibitory units.
        tau: time constant, ms: one, or one per unit.
        activation: the function F, see :class:`RateUnit`; ``rates.ThresholdLinear()`` if omitted.
        r_init: rate before the first step.
        integrator: how a step is taken; the default takes the coupling from the start of the step.
        noise: what is added to the input of each unit, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, excitatory + inhibitory] input of each unit
        - output: [T, B, \*, excitatory + inhibitory] rate at the end of each step

    Raises:
        TypeError, ValueError: as :class:`RateUnit`; ``ValueError`` if there is no unit of a kind.

    Source: Song, Yang & Wang (2016), PLoS Comput. Biol. 12:e1004792.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.EINetwork(8, 2)
        >>> layer(torch.rand(5, 3, 10)).shape
        torch.Size([5, 3, 10])
        >>> layer.connection.weight[0].sign().tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    """

    tau = Alias("neuron.tau")
    activation = Alias("neuron.activation")
    r_init = Alias("neuron.r_init")
    integrator = Alias("neuron.integrator")
    noise = Alias("neuron.noise")

    def __init__(
        self,
        excitatory: int,
        inhibitory: int,
        tau: Quantity = 10.0,
        *,
        activation: nn.Module | None = None,
        r_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        owner = type(self).__name__
        excitatory = whole_number(owner, "excitatory", excitatory, 1)
        inhibitory = whole_number(owner, "inhibitory", inhibitory, 1)
        activation = ThresholdLinear() if activation is None else activation
        unit = RateUnit(tau, activation=activation, r_init=r_init, integrator=integrator, noise=noise, dt=dt)
        super().__init__(unit, DaleLinear(excitatory, inhibitory))
        self.excitatory, self.inhibitory, self.units = excitatory, inhibitory, excitatory + inhibitory
