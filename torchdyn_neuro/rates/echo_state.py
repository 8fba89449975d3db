"""The echo state network."""

from torch import nn

from ..connections.fixed_random import FixedRandom
from ..core.quantities import Alias, Quantity
from ..core.terms import Noise
from .activations import Tanh
from .rate_network import RateNetwork


class EchoState(RateNetwork):
    r"""A reservoir: a rate network with random weights that stay as they are; only what reads it out is learned.

    .. math:: r_{n+1} = (1 - a)\, r_n + a\, F(W r_n + I_{n+1}), \qquad a = 1 - e^{-dt / \tau}

    That is the exponential Euler step of :math:`\tau \dot r = -r + F(W r + I)`, and for :math:`\tau \ll dt` the map of
    Jaeger. The units keep a fading memory of the input, and mix it;
    :func:`~torchdyn_neuro.decoding.ridge_readout` reads it out, and :func:`~torchdyn_neuro.analysis.memory_capacity`
    says how much there is.

    Args:
        units: number of units.
        tau: time constant, ms: one, or one per unit.
        radius: spectral radius of the weights; below 1 the past fades.
        density: share of the weights that are not zero.
        orthogonal: take a random orthogonal matrix times ``radius`` for the weights.
        seed: of the weights.
        activation: the function F; ``rates.Tanh()`` if omitted, ``nn.Identity()`` for a linear reservoir.
        r_init: rate before the first step.
        noise: what is added to the input of each unit, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] input of each unit
        - output: [T, B, \*, units] rate at the end of each step

    Raises:
        TypeError, ValueError: as :class:`RateNetwork` and :class:`FixedRandom`.

    Source: Jaeger (2001), GMD Report 148; Jaeger, Lukosevicius, Popovici & Siewert (2007), Neural Netw. 20:335 (leaky
    units).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> reservoir = tdn.EchoState(100, tau=5.0, radius=0.95, density=0.1)
        >>> reservoir(torch.ones(10, 2, 100)).shape, list(reservoir.parameters())
        (torch.Size([10, 2, 100]), [])
    """

    radius = Alias("connection.radius")
    density = Alias("connection.density")
    orthogonal = Alias("connection.orthogonal")
    seed = Alias("connection.seed")

    def __init__(
        self,
        units: int,
        tau: Quantity = 10.0,
        *,
        radius: float = 0.9,
        density: float = 1.0,
        orthogonal: bool = False,
        seed: int = 0,
        activation: nn.Module | None = None,
        r_init: Quantity = 0.0,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(
            units,
            tau,
            activation=Tanh() if activation is None else activation,
            connection=FixedRandom(units, radius=radius, density=density, orthogonal=orthogonal, seed=seed),
            r_init=r_init,
            noise=noise,
            dt=dt,
        )
