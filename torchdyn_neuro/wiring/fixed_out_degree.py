"""Random connections of which each presynaptic neuron has the same number."""

from dataclasses import dataclass

from ..core.checks import whole_number
from .draw import DEGREE, Rule
from .wiring import Wiring


@dataclass(frozen=True)
class FixedOutDegree(Wiring):
    """Each presynaptic neuron has so many random targets.

    Args:
        degree: number of synapses that each neuron sends out.
        multapses: whether two neurons may be connected more than once.
        self_connections: whether a neuron of a population may be connected to itself.

    Raises:
        TypeError: if ``degree`` is no integer.
        ValueError: if it is negative; when it is drawn, if there are fewer targets than distinct ones are wanted.

    Example:
        >>> FixedOutDegree(10).expected(1000, 500, same=False)
        10000.0
    """

    degree: int
    multapses: bool = True
    self_connections: bool = True

    def __post_init__(self) -> None:
        whole_number(type(self).__name__, "degree", self.degree, 0)

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        apart = same and not self.self_connections
        check_degree(self, self.degree, post - apart, "targets")
        return Rule(DEGREE, pre, post, degree=self.degree, distinct=not self.multapses, apart=apart)

    def expected(self, pre: int, post: int, same: bool) -> float:
        return float(self.degree * pre)


def check_degree(wiring: Wiring, degree: int, partners: int, name: str) -> None:
    """Raise unless a neuron finds so many partners."""
    most = 2**31 - 1 if wiring.multapses and partners > 0 else partners
    if degree > most:
        fix = "take fewer" if wiring.multapses else "take fewer, or allow multapses"
        raise wiring.refuse(f"at most {max(most, 0)} {name} for each neuron", str(degree), fix)
