"""The shapes of the frames that pass through a graph of NIR, and whether its nodes are for such frames."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from ..core.fits import check_fits
from ..core.probe import next_frame
from ..core.tensors import last_axes_fit

Shape = tuple[int, ...] | None
"""Of a frame without its batch; ``None`` where it is not known."""

VALUES = ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in", "delay", "threshold", "scale")
"""Fields of nodes with a value for each neuron."""


def declared(node: Any, side: str) -> Shape:
    """The shape that an ``Input`` or ``Output`` says, if it does."""
    found = (getattr(node, f"{side}_type", None) or {}).get(side)
    return None if found is None else tuple(int(size) for size in np.atleast_1d(found))


def joined(name: str, given: Sequence[Shape]) -> Shape:
    """The shape of the frames that a node gets: one, whatever the number of nodes that they come from."""
    known = {shape for shape in given if shape is not None}
    if len(known) > 1:
        listed = " and ".join(map(str, sorted(known)))
        raise ValueError(
            f"from_nir: expected frames of one shape to be added in front of {name!r}, got {listed}; mend the graph"
        )
    return known.pop() if known and len(known) == len(set(given)) else None


def check_values(name: str, node: Any, shape: Shape) -> None:
    """Raise if a node has values for other neurons than its frames have."""
    for field in VALUES if shape is not None else ():
        size = np.shape(getattr(node, field, 0.0))
        if len(size) > len(shape) or not last_axes_fit(size, shape):
            raise ValueError(
                f"from_nir: node {name!r}, {type(node).__name__}: expected values for frames of shape {shape}, which "
                f"the nodes in front of it give, got {field} of shape {size}; mend the graph"
            )


def check_declared(node: Any, name: str, side: str, shape: Shape) -> None:
    """Raise if the input or the output of a graph says another shape than its frames have."""
    said = declared(node, side)
    # Some programs count the batch of their example.
    if shape is not None and said is not None and said[-len(shape) :] != shape:
        raise ValueError(
            f"from_nir: expected frames of shape {said} at {name!r}, as the node says, got {shape}; mend the graph"
        )


def shape_behind(names: Iterable[str], layer: nn.Module, shape: Shape, dtype: torch.dtype) -> Shape:
    """The shape of what a layer gives for frames of a shape.

    Args:
        names: of the nodes that it is made of, for messages.
        layer: the layer.
        shape: of what it gets.
        dtype: of its values.
    """
    if shape is None:
        return None
    owner, frame = f"from_nir: {', '.join(map(repr, names))}", torch.zeros(1, *shape, dtype=dtype)
    check_fits(owner, layer, frame)
    try:
        with torch.no_grad():
            y = layer(frame[None])[0] if isinstance(layer, fx.GraphModule) else next_frame(layer, frame)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"{owner}: expected frames that it takes, got shape {shape} from the nodes in front of it ({error}); mend "
            "the graph"
        ) from error
    return tuple(y.shape[1:])
