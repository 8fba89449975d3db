"""Connections of neurons by pairs."""

from dataclasses import dataclass

import torch

from .draw import LISTED, Rule
from .wiring import Wiring


@dataclass(frozen=True)
class OneToOne(Wiring):
    """Neuron k is connected to neuron k alone.

    Raises:
        ValueError: when it is drawn, if the populations differ in size.

    Example:
        >>> OneToOne().expected(500, 500, same=False)
        500.0
    """

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        if pre != post:
            raise self.refuse("two populations of one size", f"{pre} and {post} neurons", "use another rule")
        start = torch.arange(pre + 1)
        return Rule(LISTED, pre, post, start=start, place=start[:-1].to(torch.int32))

    def expected(self, pre: int, post: int, same: bool) -> float:
        return float(pre)
