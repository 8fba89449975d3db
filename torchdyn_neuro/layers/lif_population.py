"""LIF neurons that differ in their time constant."""

from ..core.surrogate import Surrogate
from ..neurons import LIF
from .population import Population, Range, learned_within


class LIFPopulation(Population):
    r"""LIF neurons, each with a membrane time constant of its own, learned within a range.

    .. math:: \tau_i \dot v_i = -v_i + I_i, \qquad \tau_i \sim \mathrm{uniform}

    A time constant of one to six steps lets normalized currents (mean zero, variance of order one) reach the threshold;
    behind five steps and more it averages them away, and the layer is silent.

    Args:
        tau_mem: range of the membrane time constant, ms; from one step to six if omitted.
        surrogate: slope of the spike; ``Damped()`` if omitted.
        dt: time step, ms.

    Raises:
        ValueError: if a range is empty or ``dt`` not positive.

    Source: Perez-Nieves et al. (2021), Nat. Commun. 12:5791 (time constants that differ and learn); the range from
    runs on spoken digits at 10 ms.

    Example:
        >>> LIFPopulation(tau_mem=(10.0, 60.0), dt=10.0)(128).tau_mem.start.shape
        torch.Size([128])
    """

    def __init__(self, tau_mem: Range | None = None, *, surrogate: Surrogate | None = None, dt: float = 1.0):
        super().__init__(surrogate=surrogate, dt=dt)
        self.tau_mem = self.read_range("tau_mem", (self.dt, 6 * self.dt) if tau_mem is None else tau_mem)

    def __call__(self, *shape: int) -> LIF:
        return LIF(learned_within(shape, self.tau_mem), surrogate=self.surrogate, dt=self.dt)
