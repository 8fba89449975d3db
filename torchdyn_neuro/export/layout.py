"""What an exported model takes and gives, by name: enough to start and to step it without this package."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

Shape = Sequence[int | str]
"""Sizes of axes; a free one is called ``"batch"`` or ``"steps"``."""

LAYOUT = "layout.json"
"""The file beside a program that holds its layout; in other files the name of the entry."""
FORMAT = 1
_KEY_STRIDE = 32
"""Bits between the keys of two elements of a row; see ``core.random.start_key``."""


@dataclass(frozen=True)
class Port:
    """A tensor that goes in or comes out with every call.

    Args:
        name: ``"x"`` or ``"y"``; of several ``"x.0"``, ``"x.1"``, ...
        dtype: its type, such as ``"float32"``.
        shape: its axes.
    """

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class StateLeaf:
    """A tensor of the state.

    Args:
        name: the path that ``record`` takes: the dynamics inside the model, then the field, such as ``"1.v"``.
        dtype: its type, such as ``"float32"``.
        shape: its axes; one without ``"batch"`` is shared by all rows, such as plastic weights.
        initial: its value before the first step, which broadcasts to the shape.
        random: whether it is a key of random numbers: every row adds a seed of its own, a multiple of 4.
    """

    name: str
    dtype: str
    shape: Shape
    initial: Any
    random: bool = False

    def start(self, rows: int, generator: torch.Generator | None = None) -> Tensor:
        """Its value before the first step, for so many rows."""
        shape = [rows if size == "batch" else size for size in self.shape]
        value = torch.tensor(self.initial, dtype=getattr(torch, self.dtype)).expand(shape).clone()
        if self.random:
            seeds = torch.randint(-(2**63), 2**63 - 1, (rows, *[1] * (len(shape) - 1)), generator=generator)
            value += seeds & -4
        return value


@dataclass(frozen=True)
class Layout:
    """The names of all that an exported model takes and gives.

    Args:
        kind: ``"step"`` or ``"scan"``.
        inputs: what ``x`` holds.
        outputs: what ``y`` holds.
        state: the tensors of the state.
    """

    kind: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    state: Sequence[StateLeaf]

    def initial_state(self, rows: int, seed: int | None = None) -> dict[str, Tensor]:
        """The state before the first step, by name.

        Args:
            rows: size B of the batch.
            seed: of the random numbers; those of torch's generator if omitted.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return {leaf.name: leaf.start(rows, generator) for leaf in self.state}

    def over_time(self) -> "Layout":
        """The same for sequences."""

        def longer(ports: Sequence[Port]) -> list[Port]:
            return [Port(port.name, port.dtype, ("steps", *port.shape)) for port in ports]

        return Layout("scan", longer(self.inputs), longer(self.outputs), self.state)

    def to_json(self) -> str:
        """As text, for the file of the model."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """From the text in the file of a model."""
        found = json.loads(text)
        if found.get("format") != FORMAT:
            raise ValueError(
                f"Layout: expected format {FORMAT}, got {found.get('format')!r}; read the file with the version of "
                "torchdyn_neuro that wrote it"
            )

        def known(kind: type, name: str) -> list[Any]:
            return [kind(**{**each, "shape": tuple(each["shape"])}) for each in found[name]]

        return cls(found["kind"], known(Port, "inputs"), known(Port, "outputs"), known(StateLeaf, "state"))


def name_of(dtype: torch.dtype) -> str:
    """``"float32"`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def smallest(value: Tensor) -> Any:
    """Numbers, nested in lists, that broadcast to ``value``: of an axis along which nothing differs, one.

    Example:
        >>> smallest(torch.zeros(2, 3)), smallest(torch.tensor([[1, 2], [1, 2]]))
        (0.0, [[1, 2]])
    """
    value = value.detach().cpu()
    for axis in range(value.ndim):
        first = value.narrow(axis, 0, min(1, value.shape[axis]))
        if alike(first, value):
            value = first
    return value.item() if value.numel() == 1 else value.tolist()


def alike(rows: Tensor, value: Tensor) -> bool:
    """Whether ``value`` is ``rows`` along all axes in which they are one, NaN where they are."""
    # Whole numbers have no NaN, and are too large for the way there.
    filled = [each.nan_to_num() if each.is_floating_point() else each for each in (rows.expand_as(value), value)]
    return torch.equal(*filled) and torch.equal(rows.isnan().expand_as(value), value.isnan())


def first_keys(shape: Sequence[int]) -> Tensor:
    """What is added to the seed of a row [1, \\*] for the keys of its elements; the seed is a multiple of 4."""
    return 3 + (torch.arange(math.prod(shape)).reshape(1, *shape) << _KEY_STRIDE)
