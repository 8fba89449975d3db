"""Why a model is not exported: which layer, what of it, and what to do."""

import traceback
from types import TracebackType

from torch import nn


class NotExportable(RuntimeError):  # noqa: N818
    """A model, or a layer of it, that has no form outside this package; the message says why and what to do."""


def layer_of(model: nn.Module, trace: TracebackType | None) -> str:
    """The innermost layer of ``model`` in which an error arose, in words.

    Args:
        model: what ran.
        trace: of the error.
    """
    names, found = {module: name for name, module in model.named_modules()}, model
    for frame, _ in traceback.walk_tb(trace):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and owner in names:
            found = owner
    where = f" at {names[found]!r}" if names[found] else ""
    return f"{type(found).__name__}{where}"
