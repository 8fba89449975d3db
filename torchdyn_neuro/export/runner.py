"""What every exported model can do, whatever runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.checks import whole_number
from ..core.state import State, leaves
from .layout import Layout, Port, StateLeaf, name_of


class Runner(ABC):
    """An exported model: a function of its input and its state.

    Attributes:
        layout: the names, types and shapes of what it takes and gives.
    """

    def __init__(self, layout: Layout):
        self.layout = layout

    def initial_state(
        self, rows: int, *, seed: int | None = None, device: torch.device | str | None = None
    ) -> dict[str, Tensor]:
        """The state before the first step, by name.

        Args:
            rows: size B of the batch, from 1 on.
            seed: of the random numbers of stochastic models; torch's generator if omitted.
            device: where the model is to run; the CPU if omitted.
        """
        whole_number(type(self).__name__, "rows", rows, 1)
        return {name: value.to(device) for name, value in self.layout.initial_state(rows, seed).items()}

    def __call__(self, x: State, state: Mapping[str, Tensor]) -> tuple[State, dict[str, Tensor]]:
        """The output and the next state.

        Args:
            x: a frame [B, \\*] of a step, a sequence [T, B, \\*] of a scan; a tuple where the model takes several.
            state: by name, as :meth:`initial_state` or the call before gave it.

        Raises:
            ValueError: if a tensor is missing or has another type or shape than was exported.
        """
        given = [leaf.detach() for leaf in leaves(x)]
        sizes = self._sizes(given)
        names = [leaf.name for leaf in self.layout.state]
        if set(state) != set(names):
            raise ValueError(
                f"{type(self).__name__}: expected a state with {', '.join(names)}, got {', '.join(state) or 'none'}; "
                "pass what initial_state() or the last call gave"
            )
        carried = {leaf.name: state[leaf.name].detach() for leaf in self.layout.state}
        for leaf in self.layout.state:
            self._check(leaf, carried[leaf.name], sizes)
        y, after = self._run(given, carried)
        return (y[0] if self.layout.outputs[0].name == "y" else tuple(y)), after

    def joined(self, x: list[Tensor]) -> State:
        """The input as the programs take it: one tensor, or a tuple of several."""
        return x[0] if self.layout.inputs[0].name == "x" else tuple(x)

    @staticmethod
    def parted(y: State, after: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The output as a list of tensors, and the state."""
        return ([y] if isinstance(y, Tensor) else list(y)), after

    @abstractmethod
    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The same for tensors that have been looked at, in lists."""

    def _sizes(self, x: list[Tensor]) -> dict[str, int]:
        ports = self.layout.inputs
        if len(x) != len(ports) or any(leaf.ndim != len(port.shape) for leaf, port in zip(x, ports, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: expected {', '.join(f'{port.name} {_shape(port)}' for port in ports)}, got "
                f"{', '.join(str(tuple(leaf.shape)) for leaf in x)}; pass a "
                f"{'frame' if self.layout.kind == 'step' else 'sequence'} as it was exported"
            )
        sizes = {name: size for name, size in zip(ports[0].shape, x[0].shape, strict=True) if isinstance(name, str)}
        if 0 in sizes.values():
            raise ValueError(
                f"{type(self).__name__}: expected one step and one row at least, got {sizes}; leave the call out"
            )
        for port, leaf in zip(ports, x, strict=True):
            self._check(port, leaf, sizes)
        return sizes

    def _check(self, wanted: Port | StateLeaf, given: Tensor, sizes: dict[str, int]) -> None:
        shape = tuple(sizes.get(size, size) for size in wanted.shape)
        if tuple(given.shape) != shape or name_of(given.dtype) != wanted.dtype:
            raise ValueError(
                f"{type(self).__name__}: expected {wanted.name} {_shape(wanted)} in {wanted.dtype}, got shape "
                f"{tuple(given.shape)} in {name_of(given.dtype)} for {sizes}; pass it as it was exported"
            )


def _shape(wanted: Port | StateLeaf) -> str:
    return f"[{', '.join(map(str, wanted.shape))}]"
