"""A module seen by some of its neurons."""

from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.quantities import Constrained
from ..core.stand_in import stand_in


def evaluated(module: Dynamics) -> Dynamics:
    """A stand-in for a module whose quantities are computed once, here; gradients reach the parameters as ever."""
    return stand_in(module, {quantity: {None: quantity()} for quantity in _quantities(module)})


def restricted(module: Dynamics, units: Tensor | slice) -> Dynamics:
    """A stand-in for a module whose quantities are those of some neurons; the module itself if all share them.

    The module is not touched, so that several threads may restrict it at once. Stand-ins may be restricted again:
    indices count among the neurons of the one that is given.

    Args:
        module: an equation whose quantities hold one value for all neurons, or one for each [N].
        units: indices of the neurons, or a slice.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> restricted(tdn.LIF(torch.tensor([5.0, 6.0, 7.0])), torch.tensor([2, 0])).tau_mem()
        tensor([7., 5.])
    """
    values = {quantity: quantity() for quantity in _quantities(module)}
    parts = {quantity: {None: part_of(value, units)} for quantity, value in values.items()}
    if all(parts[quantity][None] is value for quantity, value in values.items()):
        return module
    return stand_in(module, parts)


def part_of(value: Tensor, units: Tensor | slice) -> Tensor:
    """The entries of some neurons, in a value of each [N]; a value that they share stays what it is."""
    return value if value.ndim == 0 or value.shape[-1] == 1 else value[..., units]


def _quantities(module: Dynamics) -> list[Constrained]:
    return [child for child in module.modules() if isinstance(child, Constrained)]
