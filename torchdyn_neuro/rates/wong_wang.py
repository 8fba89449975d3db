"""The decision network of Wong and Wang."""

import torch
from torch import Tensor, nn

from ..connections.lateral_inhibition import LateralInhibition
from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.network import Network, NetworkState
from ..core.quantities import Alias, Positive, Quantity
from ..core.terms import Noise
from ..core.transforms import active_transform
from ..integrators import ExponentialEuler
from .gating_unit import GatingUnit


class WongWang(Network):
    r"""Decision by two populations that compete through slow NMDA receptors, in their two reduced variables.

    .. math::
        \dot S_i = -\frac{S_i}{\tau_S} + (1 - S_i)\, \gamma\, H(x_i), \qquad
        x_i = J_{self} S_i - \sum_{j \ne i} J_{cross} S_j + I_0 + I_i

    Evidence is integrated along an unstable direction until one population wins: two attractors, chosen by the input
    and, with a noise, by chance. :meth:`stimulus` gives the currents of moving dots. The noise of the source is
    ``OrnsteinUhlenbeckNoise(tau=2.0, sigma=0.02 * 2**0.5)``, in nA and ms, with the root of its ``tau_AMPA`` in sigma.

    Args:
        units: number of alternatives; the source has two.
        J_self: coupling of a population to itself, nA.
        J_cross: inhibition between populations, nA.
        J_ext: current per rate of the stimulus, nA per Hz.
        I_0: background current, nA.
        tau_S: time constant of the NMDA receptors, ms.
        gamma: share of the closed receptors that a spike opens.
        activation: the rate H in Hz as a function of the current; ``rates.AbbottChance()`` if omitted.
        S_init: gating before the first step, from 0 to 1.
        integrator: how a step is taken.
        noise: what is added to the current of each population; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] current, nA
        - output: [T, B, \*, units] gating S at the end of each step; :meth:`rates` gives the rates

    Raises:
        TypeError, ValueError: as :class:`GatingUnit` and :class:`LateralInhibition`.

    Source: Wong & Wang (2006), J. Neurosci. 26:1314 (the reduced model without recurrent AMPA receptors, from which all
    defaults are).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> decision = tdn.WongWang()
        >>> S = decision(decision.stimulus(coherence=0.25).expand(2000, 1, 2))
        >>> S[-1].round(decimals=2)
        tensor([[0.6700, 0.0400]])
    """

    J_self = Alias("connection.w_self")
    J_cross = Alias("connection.w")
    I_0 = Alias("neuron.I_0")
    tau_S = Alias("neuron.tau_S")  # noqa: N815
    gamma = Alias("neuron.gamma")
    activation = Alias("neuron.activation")
    S_init = Alias("neuron.S_init")
    integrator = Alias("neuron.integrator")
    noise = Alias("neuron.noise")

    def __init__(
        self,
        units: int = 2,
        *,
        J_self: Quantity = 0.2609,
        J_cross: Quantity = 0.0497,
        J_ext: Quantity = 5.2e-4,
        I_0: Quantity = 0.3255,
        tau_S: Quantity = 100.0,
        gamma: Quantity = 0.641,
        activation: nn.Module | None = None,
        S_init: Quantity = 0.1,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        units = whole_number(type(self).__name__, "units", units, 1)
        unit = GatingUnit(
            tau_S=tau_S, gamma=gamma, I_0=I_0, activation=activation, S_init=S_init,
            integrator=integrator, noise=noise, dt=dt,
        )  # fmt: skip
        super().__init__(unit, LateralInhibition(units, J_cross, w_self=J_self))
        self.units = units
        self.J_ext = Positive(J_ext, unit="nA/Hz")

    def stimulus(self, coherence: float | Tensor, mu_0: float = 30.0) -> Tensor:
        """The currents [*, 2] into two populations, nA, for moving dots of a coherence from -1 to 1.

        Args:
            coherence: share of the dots that move towards the first population; negative: towards the second.
            mu_0: rate of the stimulus without coherence, Hz.

        Raises:
            ValueError: if a coherence is not from -1 to 1, or there are not two populations.
        """
        if self.units != 2:
            raise ValueError(
                f"WongWang: expected two alternatives for a coherence, got {self.units}; pass currents J_ext * rate"
            )
        J_ext = self.J_ext()
        coherence = torch.as_tensor(coherence, dtype=J_ext.dtype, device=J_ext.device)
        if active_transform() is None and not coherence.is_meta and not bool((coherence.abs() <= 1).all()):
            raise ValueError(
                f"WongWang: expected coherences from -1 to 1, got {coherence.tolist()}; divide per cent by 100"
            )
        return J_ext * mu_0 * torch.stack([1 + coherence, 1 - coherence], -1)

    def rates(self, x_t: Tensor, state: NetworkState) -> Tensor:
        """The rates of the populations, Hz.

        Args:
            x_t: the current, [B, \\*, units], nA; a noise does not count.
            state: the state at that moment.
        """
        return self.neuron.rate(x_t + self.connection(state.neuron.S))
