"""The lines of a C++ loop: blocks of neurons, elements of a block, and one expression for each node of a graph."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch

from .compiler import header
from .graph import Node, StepGraph
from .ops import OPS

BLOCK = 128
"""Neurons that a thread carries through time together."""
AHEAD = 2
"""Steps between the fetching of a row and its use."""

_STORED = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bfloat16: "bfloat16",
    torch.float16: "half",
    torch.bool: "byte",
    torch.uint8: "byte",
    torch.int64: "I",
}
_DECIMAL = re.compile(r"\b\d+\.\d+\b")


class LoopText:
    """The text of one function, line by line."""

    def __init__(self, nodes: Iterable[Node]):
        nodes = list(nodes)
        self.random = any(node.op == "random_bits" for node in nodes)
        # Masks are numbers of the width of the other operands.
        self.mask = "double" if any(node.dtype == torch.float64 for node in nodes) else "float"
        self.lines: list[str] = []
        self.count = 0
        self.fixed: dict[Node, str] = {}
        self.results: list[tuple[str, torch.dtype]] = []
        self.scratches: list[tuple[str, str]] = []
        self.narrow = False

    def source(self) -> str:
        head = "#define HALF\n" if self.narrow else ""
        prelude = header("memory.h", "prelude.h", *["random.h"] * self.random)
        function = 'extern "C" void run(void* const* tensors, const I* sizes) {\n'
        return (
            f"{head}{prelude}\nenum {{ BLOCK = {BLOCK}, LINE = 64 / sizeof({self.mask}) }};\n\n{function}"
            + "\n".join(self.lines)
            + "\n"
        )

    def add(self, line: str) -> None:
        self.lines.append(line)

    def close(self, braces: int) -> None:
        self.lines.extend("}" * braces)

    def kind(self, node: Node) -> str:
        """The C++ type in which the value of a node is held."""
        if node.op == "random_bits":
            return "uint32_t"
        return {torch.bool: self.mask, torch.float64: "double", torch.int64: "I"}.get(node.dtype, "float")

    def stored(self, dtype: torch.dtype) -> str:
        self.narrow |= dtype == torch.float16
        return _STORED[dtype]

    def tensor(self, name: str, dtype: torch.dtype, *, const: bool = False) -> None:
        kind = f"const {self.stored(dtype)}*" if const else f"{self.stored(dtype)}*"
        self.add(f"{kind} const {name} = ({kind})tensors[{self.count}];")
        self.count += 1

    def sizes(self, strides: list[str], parameters: Iterable[int]) -> None:
        names = ["T", "M", "every", "threads", "stream", "offset", *strides]
        names += [f"p{k}_{what}" for k in parameters for what in ("inner", "size")]
        for k, name in enumerate(names):
            self.add(f"const I {name} = sizes[{k}];")

    def scratch(self, name: str, node: Node) -> None:
        """Rows of a block, one for each step of a segment."""
        self.scratches.append((name, self.kind(node)))

    def array(self, name: str, node: Node) -> None:
        self.add(f"alignas(ALIGNMENT) {self.kind(node)} {name}[BLOCK];")

    def row(self, name: str, dtype: torch.dtype, offset: str, *, const: bool = False) -> None:
        kind = f"const {self.stored(dtype)}*" if const else f"{self.stored(dtype)}*"
        self.add(f"{kind} __restrict {name}_row = {name} + {offset} + start;")

    def result_rows(self) -> None:
        """The row of each result, and ``to``: where its elements are written, past the caches or in place."""
        for name, dtype in self.results:
            self.row(name, dtype, "t * M")
            self.add(f"{self.stored(dtype)}* __restrict {name}_to = {name}_streams ? {name}_line : {name}_row;")

    def open_results(self, results: Iterable[tuple[str, torch.dtype]]) -> None:
        """Before the loop over blocks: new memory in large pages, and which results go past the caches."""
        self.results = list(results)
        for name, dtype in self.results:
            size = f"(I)sizeof({self.stored(dtype)})"
            self.add(f"large_pages({name}, T * M * {size});")
            self.add(f"const bool {name}_streams = stream && streams({name}, M * {size});")

    def line_buffers(self) -> None:
        """A row of each result in the first-level cache."""
        for name, dtype in self.results:
            self.add(f"alignas(ALIGNMENT) {self.stored(dtype)} {name}_line[BLOCK];")

    def stream(self) -> None:
        """Send the rows of the results on their way past the caches."""
        for name, _ in self.results:
            self.add(f"if ({name}_streams) stream_row({name}_row, {name}_line, width * sizeof(*{name}_line));")

    def open_blocks(
        self, graph: StepGraph, parameters: tuple[int, ...], hoisted: tuple[Node, ...], users: Iterable[Node]
    ) -> None:
        """The loop over blocks; what depends on parameters alone is computed before it, or once a block in arrays."""
        read = {source for node in users for source in (*node.sources, node)}
        single, each = self._uniform(graph, parameters, hoisted)
        kept = [node for node in each if node in read]
        self.add("#pragma omp parallel num_threads(threads) if (T * M > 32768)")
        self.add("{")
        if self.scratches:
            width = {"float": 4, "double": 8, "I": 8}
            size = " + ".join(str(width[kind]) for _, kind in self.scratches)
            self.add(f"char* const memory = (char*)memory_of(every * BLOCK * ({size}) + ALIGNMENT);")
            self.add("char* place = (char*)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));")
            for name, kind in self.scratches:
                self.add(f"{kind}* const {name} = ({kind}*)place;")
                self.add(f"place += every * BLOCK * sizeof({kind});")
        for k in single:
            self.array(f"p{k}", graph.parameters[k])
        for k, node in enumerate(kept):
            self.array(f"h{k}", node)
        self.add("#pragma omp for schedule(static)")
        self.add("for (I block = 0; block < (M + BLOCK - 1) / BLOCK; ++block) {")
        self.add("const I start = block * BLOCK;")
        self.add("const int width = M - start < BLOCK ? (int)(M - start) : BLOCK;")
        for k in single:
            self.add(f"load_parameter(p{k}, p{k}_values, offset + start, width, p{k}_inner, p{k}_size);")
        if kept:
            self.open_elements()
            names = dict(self.fixed)
            self.body(each, names)
            for k, node in enumerate(kept):
                self.add(f"h{k}[j] = {names[node]};")
            self.close(1)
        self.fixed |= {node: f"h{k}[j]" for k, node in enumerate(kept)}

    def _uniform(
        self, graph: StepGraph, parameters: Iterable[int], hoisted: Iterable[Node]
    ) -> tuple[list[int], list[Node]]:
        """Compute what is the same for all neurons, once; returns the parameters and nodes that are not."""
        names: dict[Node, str] = {}
        single, each = [], []
        for k in parameters:
            node = graph.parameters[k]
            if k in graph.uniform:
                self.add(f"const {self.kind(node)} p{k} = read(p{k}_values[0]);")
                names[node] = f"p{k}"
            else:
                single.append(k)
                self.fixed[node] = f"p{k}[j]"
        for node in hoisted:
            if all(source in names for source in node.sources):
                self.body([node], names, prefix="u")
            else:
                each.append(node)
        self.fixed |= names
        return single, each

    def close_blocks(self) -> None:
        self.close(1)
        self.add("if (stream) stream_end();")
        if self.scratches:
            self.add("free(memory);")
        self.close(2)

    def prefetch(self, rows: Iterable[tuple[str, str]], result_step: str | None = None) -> None:
        """Fetch the rows of a later step: the processor sees no pattern across the pages between them."""
        self.add("for (int j = 0; j < width; j += LINE) {")
        for name, step in rows:
            self.add(f"__builtin_prefetch(&{name}_row[j + {AHEAD} * {step}]);")
        for name, _ in self.results if result_step is not None else ():
            self.add(f"if (!{name}_streams) __builtin_prefetch(&{name}_row[j + {AHEAD} * {result_step}]);")
        self.close(1)

    def open_elements(self) -> None:
        self.add("#pragma omp simd")
        self.add("for (int j = 0; j < width; ++j) {")

    def loads(self, leaves: Iterable[tuple[Node, str]]) -> dict[Node, str]:
        names = {}
        for node, row in leaves:
            name = row.removesuffix("_row")
            self.add(f"const {self.kind(node)} {name}_t = read({row}[j]);")
            names[node] = f"{name}_t"
        return names

    def body(
        self,
        nodes: Iterable[Node],
        names: dict[Node, str],
        prefix: str = "t",
        arrives: Mapping[Node, str] = MappingProxyType({}),
    ) -> None:
        """One line for each node; ``names`` gets their names. A node in ``arrives`` is zero where that is false."""
        for node in nodes:
            if node.op == "constant":
                names[node] = self._constant(node)
                continue
            name = f"{prefix}{len(names)}"
            value, kind = self._expression(node, names), self.kind(node)
            value = f"{arrives[node]} ? {value} : {kind}(0)" if node in arrives else value
            self.add(f"const {kind} {name} = {value};")
            names[node] = name

    def _expression(self, node: Node, names: dict[Node, str]) -> str:
        kinds = [self.kind(source) for source in node.sources if source.dtype != torch.bool] or [self.kind(node)]
        kind = self.mask if OPS[node.op].mask and node.sources[0].dtype == torch.bool else kinds[0]
        template = _DECIMAL.sub(lambda number: f"{kind}({number.group()})", OPS[node.op].cpp)
        expression = template.format(*(names[arg] if isinstance(arg, Node) else repr(arg) for arg in node.args))
        if node.op == "cast" and node.dtype in (torch.bfloat16, torch.float16):
            self.narrow |= node.dtype == torch.float16
            return f"round_{_STORED[node.dtype]}({expression})"
        if node.op == "cast" and node.dtype == torch.uint8:
            return f"round_byte({expression})"
        return expression

    def _constant(self, node: Node) -> str:
        value, kind = node.args[0], self.kind(node)
        if value != value:
            return f'{kind}(__builtin_nan(""))'
        if value in (float("inf"), float("-inf")):
            return f"{kind}({'-' if value < 0 else ''}__builtin_inf())"
        return f"{kind}({value!r})"
