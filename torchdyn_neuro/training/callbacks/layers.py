"""Where in a model the dynamics are."""

from collections.abc import Iterator

from torch import nn

from ...core.dynamics import Dynamics


def outermost_dynamics(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Dynamics]]:
    """Names and dynamics of a model, not those inside other dynamics."""
    for name, child in model.named_children():
        if isinstance(child, Dynamics):
            yield prefix + name, child
        else:
            yield from outermost_dynamics(child, f"{prefix}{name}.")
