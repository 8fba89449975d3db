"""Random connections of which each postsynaptic neuron has the same number."""

from dataclasses import dataclass

from ..core.checks import whole_number
from .draw import DEGREE, Rule, turned
from .fixed_out_degree import check_degree
from .wiring import Wiring


@dataclass(frozen=True)
class FixedInDegree(Wiring):
    """Each postsynaptic neuron has so many random sources.

    Args:
        degree: number of synapses that each neuron receives.
        multapses: whether two neurons may be connected more than once.
        self_connections: whether a neuron of a population may be connected to itself.

    Raises:
        TypeError: if ``degree`` is no integer.
        ValueError: if it is negative; when it is drawn, if there are fewer sources than distinct ones are wanted.

    Source: Brunel (2000), J. Comput. Neurosci. 8:183.

    Example:
        >>> FixedInDegree(10).expected(1000, 500, same=False)
        5000.0
    """

    degree: int
    multapses: bool = True
    self_connections: bool = True

    def __post_init__(self) -> None:
        whole_number(type(self).__name__, "degree", self.degree, 0)

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        apart = same and not self.self_connections
        check_degree(self, self.degree, pre - apart, "sources")
        by_source = Rule(DEGREE, pre, post, degree=self.degree, distinct=not self.multapses, apart=apart)
        return turned(by_source, stream)

    def expected(self, pre: int, post: int, same: bool) -> float:
        return float(self.degree * post)
