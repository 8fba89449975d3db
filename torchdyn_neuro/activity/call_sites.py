"""How often a forward calls each child, and which functions it calls instead of modules."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import fx, nn
from torch.nn import functional


class _OneLevel(fx.Tracer):
    """Traces one forward; all modules in it are leaves."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return True


def call_sites(owner: nn.Module) -> tuple[Counter[str], list[object]] | None:
    """Read the forward of a module.

    Returns:
        How often it calls each child, by its attribute, and the functions that it calls (methods of tensors by their
        names); ``None`` if its forward cannot be read, for its way depends on values.
    """
    try:
        nodes = _OneLevel().trace(owner).nodes
    except Exception:  # A forward may do anything with what stands for its input.
        return None
    children = Counter(str(node.target) for node in nodes if node.op == "call_module")
    return children, [node.target for node in nodes if node.op in ("call_function", "call_method")]


def function_forms(kind: type[nn.Module]) -> set[Callable | str]:
    """What a forward may call in the place of a module of that class: of ``nn.ReLU`` the functions named ``relu``."""
    wanted = kind.__name__.lower()
    forms: set[Callable | str] = set()
    for owner in (functional, torch, torch.Tensor):
        for name in dir(owner):
            if name.replace("_", "") == wanted and callable(getattr(owner, name)):
                forms |= {getattr(owner, name), name}
    return forms
