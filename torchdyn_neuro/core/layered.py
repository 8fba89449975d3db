"""A list of layers that can be read and changed like a list."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from torch import nn

from .dynamics import Dynamics


class Layered(Dynamics):
    """Dynamics that are layers in order: what a :class:`Chain` is as a list.

    Args:
        layers: dynamics and layers without time, in order, or one dictionary of names and layers.
        named: further layers, by name.
    """

    def __init__(self, *layers: nn.Module | Mapping[str, nn.Module], **named: nn.Module):
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            entries = [*layers[0].items(), *named.items()]
        else:
            entries = [*((str(index), layer) for index, layer in enumerate(layers)), *named.items()]
        check_layers([layer for _, layer in entries])
        super().__init__()
        self._fill(entries)

    def _fill(self, entries: Iterable[tuple[str, nn.Module]]) -> None:
        """Hold these layers and no others; a name that is a number becomes the number of the place."""
        entries = [(str(index) if name.isdigit() else name, layer) for index, (name, layer) in enumerate(entries)]
        steps = check_layers([layer for _, layer in entries])
        self._modules.clear()
        for name, layer in entries:
            if hasattr(self, name):
                raise ValueError(
                    f"Chain: expected names that are free, got {name!r} which stands for something else; choose another"
                )
            self.add_module(name, layer)
        self.dt = steps.pop() if steps else self.dt

    def __iter__(self) -> Iterator[nn.Module]:
        # Not children(), which names a module that stands in two places only once.
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int | slice) -> nn.Module:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return list(self)[index]

    def __setitem__(self, index: int, layer: nn.Module) -> None:
        entries = list(self._modules.items())
        entries[index] = (entries[index][0], layer)
        self._replace(entries)

    def __delitem__(self, index: int | slice) -> None:
        entries = list(self._modules.items())
        del entries[index]
        self._replace(entries)

    def insert(self, index: int, layer: nn.Module) -> Self:
        """Put a layer in front of the one at ``index``."""
        entries = list(self._modules.items())
        entries.insert(index, ("0", layer))
        return self._replace(entries)

    def append(self, layer: nn.Module) -> Self:
        """Put a layer behind the last one."""
        return self.insert(len(self), layer)

    def extend(self, layers: Iterable[nn.Module]) -> Self:
        """Put layers behind the last one, those of another chain too."""
        return self._replace([*self._modules.items(), *(("0", layer) for layer in layers)])

    def _replace(self, entries: list[tuple[str, nn.Module]]) -> Self:
        before = list(self._modules.items())
        try:
            self._fill(entries)
        except (TypeError, ValueError):
            self._fill(before)
            raise
        return self


def check_layers(layers: list[nn.Module]) -> set[float]:
    """Raise if these cannot be a chain; the lengths of their steps."""
    for layer in layers:
        if not isinstance(layer, nn.Module):
            raise TypeError(f"Chain: expected modules, got {type(layer).__name__}; pass the layers one by one")
        if isinstance(layer, nn.RNNBase):
            raise TypeError(
                f"Chain: expected layers that know no time, got {type(layer).__name__} which loops over time itself; "
                "use an nn.Sequential, or a cell as the step of a Dynamics"
            )
        if not isinstance(layer, Dynamics) and any(isinstance(part, Dynamics) for part in layer.modules()):
            raise ValueError(
                f"Chain: expected dynamics as direct layers, got some inside {type(layer).__name__}, where their "
                "state cannot be threaded; use a Chain there too"
            )
    steps = {layer.dt for layer in layers if isinstance(layer, Dynamics)}
    if not layers or len(steps) > 1:
        got = f"steps of {sorted(steps)} ms" if layers else "no layer"
        raise ValueError(f"Chain: expected layers that share one dt, got {got}; give all of them the same dt")
    return steps
