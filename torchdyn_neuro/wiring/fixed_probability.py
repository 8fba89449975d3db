"""Random connections of a given probability."""

from dataclasses import dataclass

from .draw import CHANCE, Rule
from .wiring import Wiring


@dataclass(frozen=True)
class FixedProbability(Wiring):
    r"""Each pair of neurons is connected with a probability of its own, once at most.

    .. math:: P(j \to i) = p

    The work is that of the synapses there are: what lies between two of them is one geometric number.

    Args:
        p: the probability.
        self_connections: whether a neuron of a population may be connected to itself.

    Raises:
        ValueError: if ``p`` is not from 0 to 1.

    Source: Erdős & Rényi (1959), Publ. Math. Debrecen 6:290; Gilbert (1959), Ann. Math. Stat. 30:1141.

    Example:
        >>> FixedProbability(0.1).expected(1000, 500, same=False)
        50000.0
    """

    p: float
    self_connections: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float)) or not 0 <= self.p <= 1:
            raise self.refuse("a probability from 0 to 1", repr(self.p), "pass e.g. 0.1")

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        return Rule(CHANCE, pre, post, chance=float(self.p), apart=same and not self.self_connections)

    def expected(self, pre: int, post: int, same: bool) -> float:
        return self.p * pre * (post - (same and not self.self_connections))
