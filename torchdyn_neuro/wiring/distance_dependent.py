"""Random connections between neurons that lie close to each other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from .draw import CHANCE, Rule
from .wiring import Wiring


@dataclass(frozen=True, eq=False)
class DistanceDependent(Wiring):
    r"""The probability that two neurons are connected falls with their distance.

    .. math:: P(j \to i) = p\, k(d_{ij}), \qquad k(d) = e^{-d^2 / 2 w^2},\ e^{-d / w} \text{ or } [d \le w]

    Args:
        p: the probability at no distance.
        width: w, in the unit of the positions.
        positions_pre, positions_post: places of the neurons in the plane, [neurons, 2].
        profile: ``"gaussian"``, ``"exponential"`` or ``"disc"``.
        period: length of the sides of the square beyond which the plane repeats itself, from 0 on; no borders if given.
        self_connections: whether a neuron of a population may be connected to itself.

    Raises:
        ValueError: if ``p`` is not from 0 to 1, the width or the period is not positive, or positions are not
            finite or have another shape; when it is drawn, if their number is not that of the neurons.

    Source: Hellwig (2000), Biol. Cybern. 82:111 (a Gaussian, between cells of the visual cortex).

    Example:
        >>> places = torch.rand(100, 2)
        >>> DistanceDependent(0.5, 0.1, places, places, period=1.0).rule(100, 100, True, 0).profile
        'gaussian'
    """

    p: float
    width: float
    positions_pre: Tensor
    positions_post: Tensor
    profile: str = "gaussian"
    period: float | None = None
    self_connections: bool = True

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float)) or not 0 <= self.p <= 1:
            raise self.refuse("a probability from 0 to 1", repr(self.p), "pass e.g. 0.1")
        positive_number(owner, "width", self.width)
        one_of(owner, "profile", self.profile, "gaussian", "exponential", "disc")
        if self.period is not None:
            positive_number(owner, "period", self.period)
        for places in (self.positions_pre, self.positions_post):
            if not isinstance(places, Tensor) or places.ndim != 2 or places.shape[1] != 2:
                got = f"shape {tuple(places.shape)}" if isinstance(places, Tensor) else repr(places)
                raise self.refuse("positions [neurons, 2]", got, "give two coordinates of each neuron")
            if not torch.isfinite(places).all():
                raise self.refuse("finite positions", "others", "give each neuron a place")

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        places = [x.detach().to("cpu", torch.float64).contiguous() for x in (self.positions_pre, self.positions_post)]
        if [len(x) for x in places] != [pre, post]:
            raise self.refuse(
                f"positions of {pre} and {post} neurons", f"{[len(x) for x in places]}", "give one of each"
            )
        if self.period is not None:
            places = [x.remainder(self.period) for x in places]
        return Rule(
            CHANCE,
            pre,
            post,
            chance=float(self.p),
            profile=self.profile,
            width=float(self.width),
            period=float(self.period or 0),
            positions=(places[0], places[1]),
            apart=same and not self.self_connections,
        )

    def expected(self, pre: int, post: int, same: bool) -> float:
        return self.p * pre * post
