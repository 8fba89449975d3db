"""The leaky integrate-and-fire neuron with sub-threshold adaptation."""

import math
from typing import Self, Unpack

import torch
from torch import Tensor

from ..adaptation import SubThresholdAdaptation
from ..core.checks import positive_number
from ..core.quantities import Alias, Quantity
from .lif import LIF, AdaptingLIFOptions


class AdLIF(LIF):
    r"""Adaptive leaky integrate-and-fire neuron whose adaptation follows the potential.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R (I - w), \qquad
        \tau_w \dot w = -w + a (v - v_{rest}) + b \sum_k \delta(t - t_k)

    A spike adds :math:`b / \tau_w` to ``w``. With :math:`a > 0` the cell oscillates below threshold if
    :math:`4 R a \tau_m \tau_w > (\tau_w - \tau_m)^2`. It is ``LIF(adaptation=...)`` by name; see
    :class:`SubThresholdAdaptation` for how the coupled pair is solved.

    Args:
        tau_mem: membrane time constant, ms.
        tau_w: time constant of the adaptation, ms.
        a: coupling to the potential, input per unit of potential.
        b: strength of the jumps, input times ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant is not positive, and as :class:`LIF`.

    Source: Bittar & Garner (2022), Front. Neurosci. 16:865897, whose ``a`` and ``b`` are those of a map from step to
    step and mean something else: :meth:`from_map` takes them as printed; Baronig et al. (2025), Nat. Commun. 16:5776.
    The defaults are round values, from no source.
    """

    tau_w = Alias("adaptation.tau")
    a = Alias("adaptation.a")
    b = Alias("adaptation.b")

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_w: Quantity = 100.0,
        *,
        a: Quantity = 0.5,
        b: Quantity = 10.0,
        **options: Unpack[AdaptingLIFOptions],
    ):
        super().__init__(tau_mem, adaptation=SubThresholdAdaptation(tau_w, a=a, b=b), **options)

    @classmethod
    def from_map(
        cls,
        tau_mem: float | Tensor,
        tau_w: float | Tensor,
        *,
        a: float | Tensor,
        b: float | Tensor,
        dt: float = 1.0,
        **options: Unpack[AdaptingLIFOptions],
    ) -> Self:
        r"""The neuron with ``a`` and ``b`` as a source prints them that writes it as a map from step to step.

        .. math::
            u_t = \alpha (u_{t-1} - \theta s_{t-1}) + (1 - \alpha)(I_t - w_t), \quad
            w_t = \beta w_{t-1} + a' u_{t-1} + b' s_{t-1}, \quad
            \alpha = e^{-dt / \tau_m},\; \beta = e^{-dt / \tau_w}

        It is this cell with :math:`a = a' / (1 - \beta)` and :math:`b = \tau_w b'`, but that the map holds the current
        of the adaptation over a step, in which it decays here.

        Args:
            tau_mem: membrane time constant, ms; in the source, 5 to 25 steps.
            tau_w: time constant of the adaptation, ms; in the source, 30 to 120 steps.
            a: :math:`a'` of the map; in the source, from -1 to 1.
            b: :math:`b'` of the map; in the source, from 0 to 2.
            dt: time step, ms.
            options: as of the class. Its quantities are fixed; to learn them, pass :func:`~torchdyn_neuro.Learned`
                values of the converted ``a`` and ``b`` to the class, or use
                :class:`~torchdyn_neuro.layers.AdLIFPopulation`.

        Raises:
            ValueError: if ``dt`` is not positive, and as the class.

        Source: Bittar & Garner (2022), Front. Neurosci. 16:865897.

        Example:
            >>> import torchdyn_neuro as tdn
            >>> cell = tdn.AdLIF.from_map(10.0, 50.0, a=0.5, b=1.0)
            >>> cell.a, cell.b
            (Real(25.2508), Real(50))
        """
        dt = positive_number(cls.__name__, "dt", dt, unit="ms")
        released = -torch.expm1(-dt / tau_w) if isinstance(tau_w, Tensor) else -math.expm1(-dt / tau_w)
        return cls(tau_mem, tau_w, a=a / released, b=b * tau_w, dt=dt, **options)
