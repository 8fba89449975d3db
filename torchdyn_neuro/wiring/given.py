"""Connections as given."""

from typing import Any

import torch
from torch import Tensor

from ..core.checks import positive_number
from .draw import LISTED, Rule
from .wiring import Wiring


class Given(Wiring):
    """These synapses, with weights and delays of their own if wanted.

    Args:
        pre, post: the two neurons of each synapse, whole numbers from 0 on, [synapses]; a pair may come more than once.
        weight: of each synapse, [synapses].
        delay: of each synapse, ms, [synapses], or one for all.

    Raises:
        TypeError: if the neurons are no whole numbers, or weights or delays no numbers.
        ValueError: if the lengths differ, a neuron is negative or a delay is not positive; when it is drawn, if
            there is no such neuron, or a weight is beyond the type of the connection.

    Example:
        >>> wiring = Given(torch.tensor([0, 0, 2]), torch.tensor([1, 2, 0]), weight=torch.tensor([0.5, 1.0, 2.0]))
        >>> wiring.expected(3, 3, same=True)
        3.0
    """

    def __init__(self, pre: Tensor, post: Tensor, *, weight: Tensor | None = None, delay: float | Tensor | None = None):
        for name, neurons in (("pre", pre), ("post", post)):
            if not isinstance(neurons, Tensor) or neurons.is_floating_point() or neurons.dtype == torch.bool:
                got = str(neurons.dtype) if isinstance(neurons, Tensor) else type(neurons).__name__
                raise TypeError(f"Given: expected {name} to be a tensor of whole numbers, got {got}; pass e.g. int64")
        for name, values in (("weight", weight), ("delay", delay)):
            number = name == "delay" and isinstance(values, (int, float))
            real = isinstance(values, Tensor) and not values.is_complex() and values.dtype != torch.bool
            if values is not None and not (number or real):
                got = str(values.dtype) if isinstance(values, Tensor) else type(values).__name__
                raise TypeError(f"Given: expected {name} to be a tensor of numbers, got {got}; pass e.g. float32")
        if isinstance(delay, (int, float)):
            delay = torch.full(pre.shape, positive_number("Given", "delay", delay, unit="ms"), dtype=torch.float64)
        elif delay is not None and not (torch.isfinite(delay) & (delay > 0)).all():
            raise self.refuse("a delay above 0 ms of each synapse", "others", "raise them")
        shapes = {tuple(x.shape) for x in (pre, post, weight, delay) if x is not None}
        if len(shapes) > 1 or pre.ndim != 1:
            listed = ", ".join(map(str, sorted(shapes)))
            raise self.refuse("one entry of each for every synapse", f"shapes {listed}", "give all one length")
        if len(pre) and min(pre.min(), post.min()) < 0:
            raise self.refuse("neurons from 0 on", str(int(min(pre.min(), post.min()))), "count from 0")
        order = torch.argsort(pre.detach().cpu(), stable=True)
        self.pre, self.post = (x.detach().cpu()[order].to(torch.int64) for x in (pre, post))
        self.weight, self.delay = (None if x is None else x.detach().cpu()[order] for x in (weight, delay))

    @classmethod
    def from_scipy(cls, matrix: Any, *, delay: Any = None) -> "Given":
        """The entries of a SciPy matrix [post, pre] of any sparse format, zeros that are stored included.

        Args:
            matrix: the weights, as ``nn.Linear`` has them.
            delay: a matrix with the same entries, ms.
        """
        entries = matrix.tocoo()
        pre, post = (torch.as_tensor(places).to(torch.int64) for places in (entries.col, entries.row))
        weight, steps = torch.as_tensor(entries.data.copy()), None
        if delay is not None:
            delay = delay.tocoo()
            if (delay.row != entries.row).any() or (delay.col != entries.col).any():
                raise ValueError("Given: expected delays where there are weights, got other places; give both the same")
            steps = torch.as_tensor(delay.data.copy())
        return cls(pre, post, weight=weight, delay=steps)

    @classmethod
    def from_dense(cls, weight: Tensor) -> "Given":
        """The weights [post, pre] of a dense matrix that are not zero."""
        post, pre = weight.detach().nonzero(as_tuple=True)
        return cls(pre, post, weight=weight.detach()[post, pre])

    def rule(self, pre: int, post: int, same: bool, stream: int) -> Rule:
        highest = [int(x.max()) + 1 if len(x) else 0 for x in (self.pre, self.post)]
        if highest[0] > pre or highest[1] > post:
            wanted, got = f"neurons below {pre} and {post}", f"{highest[0] - 1} and {highest[1] - 1}"
            raise self.refuse(wanted, got, "use larger populations")
        start = torch.zeros(pre + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(self.pre, minlength=pre), 0, out=start[1:])
        return Rule(LISTED, pre, post, start=start, place=self.post.to(torch.int32), weight=self.weight)

    def expected(self, pre: int, post: int, same: bool) -> float:
        return float(len(self.pre))
