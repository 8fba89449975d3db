"""A sequence together with the neuromodulator that plastic connections read while it runs."""

from typing import Any, NamedTuple

from torch import Tensor

from .state import State, register_state


@register_state
class Modulated(NamedTuple):
    r"""An input and, beside it, a neuromodulator such as dopamine: what a container with a modulated rule takes.

    A :class:`Chain` or :class:`Network` hands the modulator to its :class:`Plastic` connections, however deep, and the
    input to its first layer.

    Args:
        x: input, [T, B, \*].
        modulator: one value for each row and step, [T, B].

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> reward = torch.zeros(10, 4)
        >>> tdn.Modulated(torch.ones(10, 4, 3), reward).modulator.shape
        torch.Size([10, 4])
    """

    x: State
    modulator: Tensor


def split_modulator(x: State) -> tuple[State, Tensor | None]:
    """The input itself, and the modulator beside it, if any."""
    return (x.x, x.modulator) if isinstance(x, Modulated) else (x, None)


def reads_modulator(layer: Any) -> bool:
    """Whether a layer, or anything inside it, has a learning rule that reads a neuromodulator."""
    return bool(getattr(layer, "modulated", False))


def for_layer(layer: Any, x: State, modulator: Tensor | None) -> State:
    """What a container gives a layer: the input and, if something in it is a container that reads one, the modulator.

    A plastic connection by itself gets it when it learns.
    """
    passes = modulator is not None and reads_modulator(layer) and not hasattr(layer, "learn")
    return Modulated(x, modulator) if passes else x


def check_modulator(owner: Any, x: State) -> None:
    """Raise unless a neuromodulator comes where a rule reads one, and nowhere else, with one value for each row."""
    name, given = type(owner).__name__, isinstance(x, Modulated)
    if reads_modulator(owner) and not given:
        raise ValueError(
            f"{name}: expected a neuromodulator beside the input, for a learning rule reads it, got none; pass "
            "tdn.Modulated(x, modulator)"
        )
    if given and not reads_modulator(owner):
        raise ValueError(
            f"{name}: expected an input alone, for no learning rule here reads a neuromodulator, got Modulated; pass x"
        )
    if given and x.modulator.ndim != 2:
        raise ValueError(
            f"{name}: expected a modulator [T, B], one value for each row and step, got shape "
            f"{tuple(x.modulator.shape)}; squeeze or average it"
        )
