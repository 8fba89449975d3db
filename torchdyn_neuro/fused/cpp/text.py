"""The lines of a C++ loop: blocks of neurons, elements of a block, and one expression for each node of a graph."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch

from ...native.compiler import LONG, VECTORS
from ...native.functions import Text
from ..record.graph import Node, StepGraph, holds_numbers, ordered
from .expressions import NUMBERS, constant, expression, kind
from .repeat import Rounds
from .rows import Rows

_HEADERS = ("native/memory.h", *(f"fused/cpp/{name}.h" for name in ("vectors", "functions", "storage")))
_RANDOM = ("fused/cpp/random.h",)
BLOCK = 128
"""Neurons that a thread carries through time together."""
_LONG_ROUND = 250
"""Nodes of a round that keep a processor busy by themselves."""
_MOST_TUNED = 24_000
"""Characters of a function beyond which a compiler would take a second or more to make it hardly any faster."""
_FEW_OPERATIONS = 1_500_000
"""What one thread does in less time than it takes to wake the others and to wait for them."""

_DECLARED = re.compile(r"(?:const )?(?:bool|Arrival|[FDMKUN]) (\w+)")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")


class LoopText(Rows):
    """The text of one function, line by line."""

    def __init__(self, nodes: Iterable[Node]):
        super().__init__()
        nodes = list(dict.fromkeys(nodes))
        self.work = operations(nodes)
        nodes = list(dict.fromkeys(each for node in nodes for each in (node, *_within(node))))
        self.random = any(node.op in ("random_bits", "normal") for node in nodes)
        self.wide = any(each.dtype == torch.float64 for node in nodes for each in (node, *node.sources))
        self.count = self.named = 0
        rounds = [len(ordered(node.args[0].after)) for node in nodes if node.op == "repeat"]
        self.paired = any(rounds) and max(rounds) <= _LONG_ROUND
        self.fixed: dict[Node, str] = {}
        self.scratches: list[tuple[str, str, int]] = []
        # Repetitions whose states before each round wait in rows of a segment, and how these are called.
        self.path_rows: dict[Node, str] = {}
        # Of each node of a derivative, the text of whether a gradient arrives there in this step.
        self.conditions: dict[Node | None, str] = {}
        # What a normal number leaves for the next steps, one row for each of the nodes, and for the next vector.
        self.draw_rows = {node: f"draws{k}" for k, node in enumerate(node for node in nodes if node.op == "normal")}
        self.draws = {n: f"{row} + i, i % 2 ? nullptr : {row} + i + 1" for n, row in self.draw_rows.items()}

    def source(self) -> Text:
        """What is compiled."""
        sizes = f"enum {{ BLOCK = {BLOCK}, ROW = BLOCK / LANES, LINE = {8 if self.wide else 16} }};"
        lines = ['extern "C" void RUN(void* const* tensors, const I* sizes) {', sizes, *self.lines]
        function = "\n".join(lines)
        return Text(function, self.headers(), self.defines(), LONG if len(function) > _MOST_TUNED else VECTORS)

    def headers(self) -> tuple[str, ...]:
        """What the lines are written in, each by its path in the package."""
        return _HEADERS + _RANDOM * self.random

    def defines(self) -> str:
        """What the headers are to know."""
        return "#define HALF\n" * self.narrow + "#define WIDE\n" * self.wide

    def unique(self) -> str:
        """A number that no other name of the text has."""
        self.named += 1
        return str(self.named)

    def kind(self, node: Node) -> str:
        """The type of vectors.h in which the value of a node is held."""
        return kind(node)

    def tensor(self, name: str, dtype: torch.dtype, *, const: bool = False) -> None:
        kind = f"const {self.stored(dtype)}*" if const else f"{self.stored(dtype)}*"
        self.add(f"{kind} const {name} = ({kind})tensors[{self.count}];")
        self.count += 1

    def sizes(self, strides: list[str], parameters: Iterable[int]) -> None:
        names = ["T", "size", "every", "threads", "past", "offset", *strides]
        names += [f"p{k}_{what}" for k in parameters for what in ("inner", "size")]
        for k, name in enumerate(names):
            self.add(f"const I {name} = sizes[{k}];")

    def scratch(self, name: str, node: Node, times: int = 1) -> None:
        """Rows of a block, ``times`` for each step of a segment and for one beyond."""
        self.scratches.append((name, self.kind(node), times))

    def array(self, name: str, node: Node) -> None:
        self.add(f"alignas(ALIGNMENT) {self.kind(node)} {name}[ROW];")

    def open_blocks(
        self, graph: StepGraph, parameters: tuple[int, ...], hoisted: tuple[Node, ...], users: Iterable[Node]
    ) -> None:
        """The loop over blocks; what depends on parameters alone is computed before it, or once a block in arrays."""
        read = {source for node in users for source in (*node.sources, node)}
        single, each = self._uniform(graph, parameters, hoisted)
        kept = [node for node in each if node in read]
        # A function by itself: of a few elements inside a region of another loop a region costs more than the loop.
        self.add("const auto blocks = [=](I first_block, I last_block) __attribute__((noinline)) {")
        if self.scratches:
            size = " + ".join(f"{times} * sizeof({kind})" for _, kind, times in self.scratches)
            self.add(f"char* const memory = (char*)memory_of((every + 1) * ROW * ({size}) + ALIGNMENT);")
            self.add("char* place = (char*)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));")
            for name, kind, times in self.scratches:
                self.add(f"{kind}* const {name} = ({kind}*)place;")
                self.add(f"place += (every + 1) * ROW * {times} * sizeof({kind});")
        for k in single:
            self.array(f"p{k}", graph.parameters[k])
        for k, node in enumerate(kept):
            self.array(f"h{k}", node)
        for node, name in self.draw_rows.items():
            self.add(f"Draws<{self.kind(node)}> {name}[ROW];")
        self.add("for (I block = first_block; block < last_block; ++block) {")
        self.add("const I start = block * BLOCK;")
        self.add("const int width = size - start < BLOCK ? (int)(size - start) : BLOCK;")
        self.add(f"enum {{ TURN = {2 if self.paired else 1} * LANES }};")
        self.add("const int whole = (width + TURN - 1) / TURN * TURN;")
        self.add("const bool ragged = whole != width;")
        for k in single:
            to = f"({self.number(graph.parameters[k])}*)p{k}"
            self.add(f"load_parameter({to}, p{k}_values, offset + start, width, p{k}_inner, p{k}_size);")
        for name in self.draw_rows.values():
            self.add(f"for (int i = 0; i < ROW; ++i) {name}[i].forget();")
        if kept:
            self.open_elements()
            names = dict(self.fixed)
            self.body(each, names)
            for k, node in enumerate(kept):
                self.add(f"h{k}[i] = {names[node]};")
            self.close(1)
        self.fixed |= {node: f"h{k}[i]" for k, node in enumerate(kept)}

    def _uniform(
        self, graph: StepGraph, parameters: Iterable[int], hoisted: Iterable[Node]
    ) -> tuple[list[int], list[Node]]:
        """Compute what is the same for all neurons, once; returns the parameters and nodes that are not."""
        names: dict[Node, str] = {}
        single, each = [], []
        for k in parameters:
            node = graph.parameters[k]
            if holds_numbers(node):
                names[node] = f"p{k}_values"
            elif k in graph.uniform:
                kind = self.kind(node)
                self.add(f"const {kind} p{k} = All<{kind}>::of(read(p{k}_values[0]));")
                names[node] = f"p{k}"
            else:
                single.append(k)
                self.fixed[node] = f"p{k}[i]"
        for node in hoisted:
            if all(source in names for source in node.sources):
                if node.op == "normal":
                    name = self.draw_rows.pop(node) + "_of_all"
                    self.draws[node] = f"&{name}, (Draws<{self.kind(node)}>*)nullptr"
                    self.add(f"Draws<{self.kind(node)}> {name};")
                    self.add(f"{name}.forget();")
                self.body([node], names, prefix="u")
            else:
                each.append(node)
        self.fixed |= names
        return single, each

    def close_blocks(self) -> None:
        self.close(1)
        self.add("if (past) stream_end();")
        if self.scratches:
            self.add("free(memory);")
        self.add("};")
        self.add("const I count = (size + BLOCK - 1) / BLOCK;")
        self.add(f"if (threads == 1 || T * size <= {_FEW_OPERATIONS // max(1, self.work)}) {{")
        self.add("blocks(0, count);")
        self.add("return;")
        self.close(1)
        self.add("#pragma omp parallel num_threads(threads)")
        self.add("{")
        self.add("const I team = omp_get_num_threads(), own = omp_get_thread_num();")
        self.add("blocks(count * own / team, count * (own + 1) / team);")
        self.close(2)

    def open_elements(self) -> None:
        """The loop over the vectors of a block."""
        self.add("for (int i = 0, j = 0; j < whole; ++i, j += LANES) {")
        self.opened = len(self.lines)

    def close_elements(self) -> None:
        """End the loop over the vectors of a block."""
        if self.paired:
            self._pair()
        self.close(1)

    def _pair(self) -> None:
        """Two vectors at a time: of rounds that wait for each other a processor has too little to do."""
        lines, self.lines[self.opened :] = self.lines[self.opened :], []
        self.lines[-1] = "for (int i = 0, j = 0; j < whole; i += 2, j += TURN) {"
        own = {match.group(1) for line in lines if (match := _DECLARED.match(line))}
        moved = {name: f"{name}_other" for name in own} | {"i": "(i + 1)", "j": "(j + LANES)"}
        for line in lines:
            self.add(line)
            if not line.startswith(("for", "}")):
                self.add(_NAME.sub(lambda name: moved.get(name.group(), name.group()), line))

    def body(
        self,
        nodes: Iterable[Node],
        names: dict[Node, str],
        prefix: str = "t",
        arrives: Mapping[Node, str] = MappingProxyType({}),
    ) -> None:
        """One line for each node; ``names`` gets their names. A node in ``arrives`` is zero where that is false."""
        nodes = list(nodes)
        rounds = Rounds(self, nodes)
        for node in nodes:
            if node.op == "constant":
                names[node] = constant(node)
                continue
            if node.op.startswith("repeat"):
                rounds.add(node, names)
                continue
            name = f"{prefix}{self.unique()}"
            value = expression(node, names, self.draws)
            self.narrow |= node.op == "cast" and node.dtype == torch.float16
            value = f"given({value}, {arrives[node]}_{kind(node)})" if node in arrives else value
            self.add(f"const {kind(node)} {name} = {value};")
            names[node] = name

    def masks(self, conditions: Mapping[Node, str], name: str) -> dict[Node, str]:
        """Masks of all lanes, one for each condition and kind; returns what goes with each node, less its kind."""
        numbers = {condition: f"{name}{k}" for k, condition in enumerate(dict.fromkeys(conditions.values()))}
        wanted = dict.fromkeys((condition, self.kind(node)) for node, condition in conditions.items())
        for condition, each in wanted:
            mask = "Arrival" if each == "F" else "M"
            value = f"arrival({condition})" if each == "F" else f"{condition} ? ~M{{}} : M{{}}"
            self.add(f"const {mask} {numbers[condition]}_{each} = {value};")
        return {node: numbers[condition] for node, condition in conditions.items()}

    def number(self, node: Node) -> str:
        """The type of the number of a lane."""
        return NUMBERS[self.kind(node)]


def operations(nodes: Iterable[Node]) -> int:
    """How many operations on an element these nodes are, those of all rounds of a repetition counted."""
    return sum(_rounds(node) * len(_within(node)) if node.op.startswith("repeat") else 1 for node in nodes)


def _rounds(node: Node) -> int:
    call = node.args[0]
    return call.count if node.op == "repeat" else call.body.count if node.op == "repeat_backward" else 0


def _within(node: Node) -> list[Node]:
    """The nodes of the rounds of a repetition."""
    if node.op == "repeat":
        return ordered(node.args[0].after)
    return ordered(g for g in node.args[0].gradients if g is not None) if node.op == "repeat_backward" else []
