"""The lines of a C++ loop that read and write rows: the elements of one step that a block covers."""

from collections.abc import Iterable

import torch

from ..record.graph import Node
from .expressions import STORED, kind

AHEAD = 4
"""Steps between the fetching of a row and its use."""


class Rows:
    """The rows of a text.

    A row that ends within a vector is read from, and written to, a copy that does not, so that the loop over vectors
    knows none but whole ones. Results go past the caches where they do not fit there: vector by vector, or, where
    these are narrower than what the processor writes at once, gathered in a line first.
    """

    wide: bool
    results: list[tuple[str, torch.dtype]]

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.results = []
        self.narrow = False

    def add(self, line: str) -> None:
        """Write a line."""
        self.lines.append(line)

    def close(self, braces: int) -> None:
        """End so many blocks of the language."""
        self.lines.extend("}" * braces)

    def stored(self, dtype: torch.dtype) -> str:
        """The type of an element in memory."""
        self.narrow |= dtype == torch.float16
        return STORED[dtype]

    def parts(self, sequences: Iterable[tuple[str, torch.dtype]]) -> None:
        """Room for copies of rows, in each block; what is beyond the end of a row is a number."""
        for name, dtype in sequences:
            self.add(f"alignas(ALIGNMENT) {self.stored(dtype)} {name}_part[BLOCK];")
            self.add(f"if (ragged) __builtin_memset({name}_part, 0, sizeof({name}_part));")

    def row(self, name: str, dtype: torch.dtype, address: str) -> None:
        """The row of a sequence that is read."""
        self.add(f"const {self.stored(dtype)}* const {name}_row = {address};")

    def prefetch(self, rows: Iterable[tuple[str, str]], result_step: str | None = None) -> None:
        """Fetch the rows of a later step: the processor sees no pattern across the pages between them."""
        self.add("for (int j = 0; T > 1 && j < width; j += LINE) {")
        for name, step in rows:
            self.add(f"__builtin_prefetch(&{name}_row[j + {AHEAD} * {step}]);")
        for name, _ in self.results if result_step is not None else ():
            self.add(f"if (!{name}_past) __builtin_prefetch(&{name}_row[j + {AHEAD} * {result_step}]);")
        self.close(1)

    def at(self, name: str, dtype: torch.dtype) -> None:
        """Where the vectors of a row are read."""
        row = f"ragged ? copied({name}_part, {name}_row, width) : {name}_row"
        self.add(f"const {self.stored(dtype)}* __restrict {name}_at = {row};")

    def loads(self, leaves: Iterable[tuple[Node, str]]) -> dict[Node, str]:
        """The vectors of leaves; returns their names."""
        names = {}
        for node, name in leaves:
            self.add(f"const {kind(node)} {name}_t = load<{kind(node)}>({name}_at + j);")
            names[node] = f"{name}_t"
        return names

    def open_results(self, results: Iterable[tuple[str, torch.dtype]]) -> None:
        """Before the loop over blocks: new memory in large pages, and which results go past the caches."""
        self.results = list(results)
        for name, dtype in self.results:
            bytes_ = f"(I)sizeof({self.stored(dtype)})"
            self.add(f"large_pages({name}, T * size * {bytes_});")
            self.add(f"const bool {name}_past = past && streams({name}, size * {bytes_});")

    def _gathered(self, dtype: torch.dtype) -> bool:
        return dtype != (torch.float64 if self.wide else torch.float32)

    def result_rows(self) -> None:
        """The row of each result, and where its vectors are written."""
        for name, dtype in self.results:
            stored, gathered = self.stored(dtype), f"ragged || {name}_past" if self._gathered(dtype) else "ragged"
            self.add(f"{stored}* const {name}_row = {name} + t * size + start;")
            self.add(f"{stored}* __restrict {name}_to = {gathered} ? {name}_part : {name}_row;")
            self.add(f"const bool {name}_direct = {name}_past && !({gathered});")

    def store(self, name: str, value: str) -> None:
        """Write a vector of a result."""
        self.add(f"store({name}_to + j, {value}, {name}_direct);")

    def send(self) -> None:
        """Send the rows of results that were gathered on their way."""
        for name, _ in self.results:
            self.add(f"if ({name}_to != {name}_row) send({name}_row, {name}_part, width, {name}_past);")

    def fill(self, name: str, address: str) -> None:
        """Load the vectors of a block."""
        self.add(f"fill({name}, {address}, width);")

    def empty(self, name: str, address: str, past: str = "false") -> None:
        """Store the vectors of a block."""
        self.add(f"empty({address}, {name}, width, {past});")
