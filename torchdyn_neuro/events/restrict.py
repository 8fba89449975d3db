"""A module seen by some of its neurons."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ..core.dynamics import Dynamics


@contextmanager
def restricted(module: Dynamics, units: Tensor | slice | None = None) -> Iterator[None]:
    """Inside the block, the quantities of a module are those of some neurons only, and are computed once.

    Gradients reach the parameters as ever. Blocks may be nested: indices count among the neurons of the outer one.

    Args:
        module: an equation whose quantities hold one value for all neurons, or one for each [N].
        units: indices of the neurons, or a slice; all if omitted.
    """
    quantities = [quantity for _, quantity in module.quantities()]
    before = [quantity.bound for quantity in quantities]
    try:
        for quantity in quantities:
            value = quantity()
            quantity.bound = value if units is None or value.ndim == 0 or value.shape[-1] == 1 else value[units]
        yield
    finally:
        for quantity, bound in zip(quantities, before, strict=True):
            quantity.bound = bound
