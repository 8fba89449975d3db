"""The base of the rules of connectivity."""

from abc import ABC, abstractmethod

from .draw import Rule


class Wiring(ABC):
    """Which neurons of two populations are connected.

    A subclass says how many synapses there will be and how each row of them is drawn.
    """

    @abstractmethod
    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        """What the kernels carry out.

        Args:
            pre, post: number of presynaptic and of postsynaptic neurons.
            same: whether the two populations are one.
            stream: tells apart connections.

        Raises:
            ValueError: if there is no such connectivity.
        """

    @abstractmethod
    def expected(self, pre: int, post: int, same: bool) -> float:
        """How many synapses there will be, on average."""

    def refuse(self, expected: str, got: str, fix: str) -> ValueError:
        """An error that says what connectivity there is none of."""
        return ValueError(f"{type(self).__name__}: expected {expected}, got {got}; {fix}")
