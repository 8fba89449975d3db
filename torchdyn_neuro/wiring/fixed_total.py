"""A given number of random connections."""

from dataclasses import dataclass

from ..core.checks import whole_number
from .draw import DEGREE, Rule, shared_out
from .wiring import Wiring


@dataclass(frozen=True)
class FixedTotal(Wiring):
    """So many synapses, the two neurons of each drawn at random; two neurons may be connected more than once.

    Args:
        synapses: their number.
        self_connections: whether a neuron of a population may be connected to itself.

    Raises:
        TypeError: if ``synapses`` is no integer.
        ValueError: if it is negative, or, when it is drawn, if there are no two neurons for one.

    Source: Potjans & Diesmann (2014), Cereb. Cortex 24:785.

    Example:
        >>> FixedTotal(20_000).expected(1000, 500, same=False)
        20000.0
    """

    synapses: int
    self_connections: bool = True

    def __post_init__(self) -> None:
        whole_number(type(self).__name__, "synapses", self.synapses, 0)

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        apart = same and not self.self_connections
        if self.synapses > (2**31 - 1) * (pre if post > apart else 0):
            most = (2**31 - 1) * pre if post > apart else 0
            raise self.refuse(
                f"at most {most} synapses between {pre} and {post} neurons", f"{self.synapses}", "take fewer"
            )
        degrees = shared_out(pre, self.synapses, stream)
        return Rule(DEGREE, pre, post, degrees=degrees, apart=apart)

    def expected(self, pre: int, post: int, same: bool) -> float:
        return float(self.synapses)
