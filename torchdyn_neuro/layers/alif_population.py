"""ALIF neurons that differ in their time constants."""

from ..core.quantities import Learned
from ..core.surrogate import Surrogate
from ..neurons import ALIF
from .population import Population, Range, drawn, learned_within


class ALIFPopulation(Population):
    r"""LIF neurons with adaptive thresholds, each with time constants of its own, learned within ranges.

    .. math:: \tau_i \dot v_i = -v_i + I_i, \qquad \tau_{a,i} \dot a_i = -a_i + \beta_i \sum_k \delta(t - t_k)

    Args:
        tau_mem: range of the membrane time constant, ms; from one step to six if omitted.
        tau_a: range of the time constant of the threshold, ms; from 10 to 100 steps if omitted.
        jump: range of what a spike adds to the threshold, :math:`\beta / \tau_a`; learned as ``beta``, above zero.
        surrogate: slope of the spike; ``Damped()`` if omitted.
        dt: time step, ms.

    Raises:
        ValueError: if a range is empty or ``dt`` not positive.

    Source: Bellec et al. (2018), NeurIPS; Yin, Corradi & Bohte (2021), Nat. Mach. Intell. 3:905 (learned time
    constants). The ranges are round values, from no source.

    Example:
        >>> ALIFPopulation(dt=10.0)(128).tau_a.start.shape
        torch.Size([128])
    """

    def __init__(
        self,
        tau_mem: Range | None = None,
        tau_a: Range | None = None,
        *,
        jump: Range = (0.05, 0.5),
        surrogate: Surrogate | None = None,
        dt: float = 1.0,
    ):
        super().__init__(surrogate=surrogate, dt=dt)
        self.tau_mem = self.read_range("tau_mem", (self.dt, 6 * self.dt) if tau_mem is None else tau_mem)
        self.tau_a = self.read_range("tau_a", (10 * self.dt, 100 * self.dt) if tau_a is None else tau_a)
        self.jump = self.read_range("jump", jump, zero=True)

    def __call__(self, *shape: int) -> ALIF:
        tau_mem, tau_a = learned_within(shape, self.tau_mem), learned_within(shape, self.tau_a)
        beta = Learned(drawn(shape, self.jump) * tau_a.value, low=0.0)
        return ALIF(tau_mem, tau_a, beta=beta, surrogate=self.surrogate, dt=self.dt)
