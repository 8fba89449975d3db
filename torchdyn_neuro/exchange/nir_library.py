"""The package ``nir``, an extra, and what its versions do not share."""

from types import ModuleType
from typing import Any


def library(owner: str) -> ModuleType:
    """The module ``nir``; ``ImportError`` with the command that installs it otherwise.

    Args:
        owner: who needs it, for the message.
    """
    try:
        import nir
    except ImportError as error:
        raise ImportError(
            f'{owner}: expected the package nir, got none; pip install "torchdyn_neuro[nir]" (or pip install nir)'
        ) from error
    return nir


def has_field(kind: type, name: str) -> bool:
    """Whether a node of this version of NIR has a field, as ``v_reset`` which came with 1.0.5."""
    return name in getattr(kind, "__dataclass_fields__", {})


def make_graph(nir: ModuleType, nodes: dict[str, Any], edges: list[tuple[str, str]], metadata: dict[str, Any]) -> Any:
    """A graph whose shapes are known already.

    Newer versions look at the shapes again, and take a kernel for square and a convolution for one in one group.
    """
    try:
        graph = nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata, type_check=False)
    except TypeError:
        graph = nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)
    return graph


OWN = "torchdyn_neuro"
"""Key in the metadata of a node under which stands what NIR has no field for."""
