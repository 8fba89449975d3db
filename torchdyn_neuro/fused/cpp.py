"""C++ for the two loops of a plan.

A block of neurons is carried through all steps by one thread, with its states in the first-level cache. A generated
library has one function, ``run(tensors, sizes)``, whose arguments :class:`Layout` lists. The sum of a gradient over the
neurons that share a parameter is taken block by block, so it does not depend on the number of threads.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch

from .graph import Node
from .ops import OPS
from .plan import BackwardPlan, ForwardPlan

BLOCK = 256
"""Neurons that a thread carries through time together."""

_STORED = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bfloat16: "bfloat16",
    torch.float16: "half",
    torch.bool: "byte",
    torch.uint8: "byte",
}
_DECIMAL = re.compile(r"\b\d+\.\d+\b")


def emit_forward(plan: ForwardPlan) -> str:
    """The forward loop.

    tensors: inputs, states, parameters (those of the plan), outputs, last states, checkpoints of each state (null where
    not wanted). sizes: T, M, checkpoint_every, threads, the time stride of each input, (inner, size) of each parameter.
    """
    graph = plan.graph
    text = _Text((*plan.hoisted, *plan.body, *graph.states))
    inputs, states = range(len(graph.inputs)), range(len(graph.states))
    for k in inputs:
        text.tensor(f"x{k}", graph.inputs[k].dtype, const=True)
    for k in states:
        text.tensor(f"first{k}", graph.states[k].dtype, const=True)
    for k in plan.parameters:
        text.tensor(f"p{k}_values", graph.parameters[k].dtype, const=True)
    for k, node in enumerate(graph.outputs):
        text.tensor(f"y{k}", node.dtype)
    for k in states:
        text.tensor(f"last{k}", graph.states[k].dtype)
    for k in states:
        text.tensor(f"saved{k}", graph.states[k].dtype)
    text.sizes([f"x{k}_stride" for k in inputs], plan.parameters)
    text.open_blocks(graph, plan.parameters, plan.hoisted, (*plan.body, *graph.next_states, *graph.outputs))
    for k in states:
        text.array(f"s{k}", graph.states[k])
        text.add(f"for (int j = 0; j < width; ++j) s{k}[j] = read(first{k}[start + j]);")
    text.add("for (I t = 0; t < T; ++t) {")
    for k in states:
        text.add(f"if (saved{k} && t > 0 && t % every == 0)")
        text.add(f"  for (int j = 0; j < width; ++j) write(saved{k}[(t / every - 1) * M + start + j], s{k}[j]);")
    for k in inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    for k, node in enumerate(graph.outputs):
        text.row(f"y{k}", node.dtype, "t * M")
    text.prefetch([*((f"x{k}", f"x{k}_stride") for k in inputs), *((f"y{k}", "M") for k in range(len(graph.outputs)))])
    text.open_elements()
    names = text.parameters(graph, plan.parameters) | {node: f"s{k}[j]" for k, node in enumerate(graph.states)}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in inputs)
    text.body(plan.body, names)
    for k, node in enumerate(graph.outputs):
        text.add(f"write(y{k}_row[j], {names[node]});")
    # Every state is read before one is overwritten: a step may hand one state to another.
    for k, node in enumerate(graph.next_states):
        text.add(f"const {text.kind(node)} next{k} = {names[node]};")
    for k in states:
        text.add(f"s{k}[j] = next{k};")
    text.close(2)
    for k in states:
        text.add(f"for (int j = 0; j < width; ++j) write(last{k}[start + j], s{k}[j]);")
    text.close_blocks()
    return text.source()


def emit_backward(plan: BackwardPlan) -> str:
    """The backward loop.

    tensors: inputs, first states, checkpoints, parameters, gradients of the outputs (of the plan), gradients of the
    last states that are carried (null where zero), then the results: gradients of the first states that are carried,
    of the inputs and of the parameters where these are not None. sizes: as for the forward loop, with the time strides
    of the inputs of the plan and of the gradients of the outputs.
    """
    graph = plan.graph
    text = _Text((*plan.hoisted, *plan.body, *plan.replay_body, *graph.states))
    grad_inputs = [k for k, node in enumerate(graph.grad_inputs) if node is not None]
    grad_parameters = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
    for k in plan.inputs:
        text.tensor(f"x{k}", graph.inputs[k].dtype, const=True)
    for k in plan.states:
        text.tensor(f"first{k}", graph.states[k].dtype, const=True)
    for k in plan.states:
        text.tensor(f"saved{k}", graph.states[k].dtype, const=True)
    for k in plan.parameters:
        text.tensor(f"p{k}_values", graph.parameters[k].dtype, const=True)
    for k in plan.output_gradients:
        text.tensor(f"dy{k}", graph.output_gradients[k].dtype, const=True)
    for k in plan.carried:
        text.tensor(f"dlast{k}", graph.states[k].dtype, const=True)
    for k in plan.carried:
        text.tensor(f"dfirst{k}", graph.states[k].dtype)
    for k in grad_inputs:
        text.tensor(f"dx{k}", graph.inputs[k].dtype)
    for k in grad_parameters:
        text.tensor(f"dp{k}_sums", _accumulated(graph.parameters[k].dtype))
    strides = [f"x{k}_stride" for k in plan.inputs] + [f"dy{k}_stride" for k in plan.output_gradients]
    text.sizes(strides, sorted({*plan.parameters, *grad_parameters}))
    for k in plan.states:
        text.scratch(f"s{k}_rows", graph.states[k])
    text.open_blocks(
        graph, plan.parameters, plan.hoisted, (*plan.body, *plan.replay_body, *plan.gradients, *graph.next_states)
    )
    for k in plan.carried:
        text.array(f"ds{k}", graph.states[k])
        text.add(f"for (int j = 0; j < width; ++j) ds{k}[j] = dlast{k} ? read(dlast{k}[start + j]) : 0;")
    for k in grad_parameters:
        text.array(f"dp{k}", graph.parameters[k])
        text.add(f"for (int j = 0; j < width; ++j) dp{k}[j] = 0;")
    text.add("for (I end = T, begin; end > 0; end = begin) {")
    text.add("begin = (end - 1) / every * every;")
    if plan.states:
        _replay(text, plan)
    _reverse(text, plan, grad_inputs, grad_parameters)
    text.close(1)
    for k in plan.carried:
        text.add(f"for (int j = 0; j < width; ++j) write(dfirst{k}[start + j], ds{k}[j]);")
    for k in grad_parameters:
        text.add(f"store_parameter_gradient(dp{k}_sums, dp{k}, block, start, width, p{k}_size);")
    text.close_blocks()
    return text.source()


def _replay(text: "_Text", plan: BackwardPlan) -> None:
    """The states of a segment, computed again from its checkpoint."""
    graph = plan.graph
    for k in plan.states:
        stored = text.stored(graph.states[k].dtype)
        text.add(
            f"const {stored}* from{k} = begin == 0 ? first{k} + start : saved{k} + (begin / every - 1) * M + start;"
        )
        text.add(f"for (int j = 0; j < width; ++j) s{k}_rows[j] = read(from{k}[j]);")
    text.add("for (I t = begin; t + 1 < end; ++t) {")
    for k in plan.states:
        kind = text.kind(graph.states[k])
        text.add(f"const {kind}* __restrict s{k} = s{k}_rows + (t - begin) * BLOCK;")
        text.add(f"{kind}* __restrict next{k} = s{k}_rows + (t - begin + 1) * BLOCK;")
    for k in plan.replay_inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    text.prefetch((f"x{k}", f"x{k}_stride") for k in plan.replay_inputs)
    text.open_elements()
    names = text.parameters(graph, plan.parameters) | {graph.states[k]: f"s{k}[j]" for k in plan.states}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in plan.replay_inputs)
    text.body(plan.replay_body, names)
    for k in plan.states:
        text.add(f"next{k}[j] = {names[graph.next_states[k]]};")
    text.close(2)


def _reverse(text: "_Text", plan: BackwardPlan, grad_inputs: list[int], grad_parameters: list[int]) -> None:
    """The derivative, from the end of a segment to its beginning."""
    graph = plan.graph
    text.add("for (I t = end - 1; t >= begin; --t) {")
    for k in plan.states:
        text.add(f"const {text.kind(graph.states[k])}* __restrict s{k} = s{k}_rows + (t - begin) * BLOCK;")
    for k in plan.inputs:
        text.row(f"x{k}", graph.inputs[k].dtype, f"t * x{k}_stride", const=True)
    for k in plan.output_gradients:
        text.row(f"dy{k}", graph.output_gradients[k].dtype, f"t * dy{k}_stride", const=True)
    for k in grad_inputs:
        text.row(f"dx{k}", graph.inputs[k].dtype, "t * M")
    text.prefetch(
        [*((f"dy{k}", f"-dy{k}_stride") for k in plan.output_gradients), *((f"dx{k}", "-M") for k in grad_inputs)]
    )
    text.open_elements()
    names = text.parameters(graph, plan.parameters) | {graph.states[k]: f"s{k}[j]" for k in plan.states}
    names |= {graph.state_gradients[k]: f"ds{k}[j]" for k in plan.carried}
    names |= text.loads((graph.inputs[k], f"x{k}_row") for k in plan.inputs)
    names |= text.loads((graph.output_gradients[k], f"dy{k}_row") for k in plan.output_gradients)
    text.body(plan.body, names)
    for k in grad_inputs:
        text.add(f"write(dx{k}_row[j], {names[graph.grad_inputs[k]]});")
    for k in grad_parameters:
        text.add(f"dp{k}[j] += {names[graph.grad_parameters[k]]};")
    for k in plan.carried:
        gradient = graph.grad_states[k]
        text.add(f"const {text.kind(graph.states[k])} before{k} = {'0' if gradient is None else names[gradient]};")
    for k in plan.carried:
        text.add(f"ds{k}[j] = before{k};")
    text.close(2)


def _accumulated(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


class _Text:
    """The text of one function, line by line."""

    def __init__(self, nodes: Iterable[Node]):
        # Masks are numbers of the width of the other operands.
        self.mask = "double" if any(node.dtype == torch.float64 for node in nodes) else "float"
        self.lines: list[str] = []
        self.count = 0
        self.fixed: dict[Node, str] = {}
        self.scratches: list[tuple[str, str]] = []
        self.narrow = False

    def source(self) -> str:
        head = "#define HALF\n" if self.narrow else ""
        prelude = Path(__file__).with_name("prelude.h").read_text()
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
        return {torch.bool: self.mask, torch.float64: "double"}.get(node.dtype, "float")

    def stored(self, dtype: torch.dtype) -> str:
        self.narrow |= dtype == torch.float16
        return _STORED[dtype]

    def tensor(self, name: str, dtype: torch.dtype, *, const: bool = False) -> None:
        kind = f"const {self.stored(dtype)}*" if const else f"{self.stored(dtype)}*"
        self.add(f"{kind} const {name} = ({kind})tensors[{self.count}];")
        self.count += 1

    def sizes(self, strides: list[str], parameters: Iterable[int]) -> None:
        names = ["T", "M", "every", "threads", *strides]
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

    def open_blocks(self, graph, parameters: tuple[int, ...], hoisted: tuple[Node, ...], users: Iterable[Node]) -> None:
        """The loop over blocks, with the parameters and what depends on them alone in arrays."""
        self.add("#pragma omp parallel num_threads(threads) if (T * M > 32768)")
        self.add("{")
        if self.scratches:
            width = {"float": 4, "double": 8}
            size = " + ".join(str(width[kind]) for _, kind in self.scratches)
            self.add(
                f"char* const memory = (char*)__builtin_malloc((__SIZE_TYPE__)(every * BLOCK * ({size}) + ALIGNMENT));"
            )
            self.add("char* place = (char*)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));")
            for name, kind in self.scratches:
                self.add(f"{kind}* const {name} = ({kind}*)place;")
                self.add(f"place += every * BLOCK * sizeof({kind});")
        read = {source for node in users for source in (*node.sources, node)}
        kept = [node for node in hoisted if node in read and node.op != "constant"]
        for k in parameters:
            self.array(f"p{k}", graph.parameters[k])
        for k, node in enumerate(kept):
            self.array(f"h{k}", node)
        # Values that all neurons share are the same in every block.
        shared = " && ".join(["true", *(f"p{k}_size == 1" for k in parameters)])
        self.add(f"const bool shared = {shared};")
        self.add("bool ready = false;")
        self.add("#pragma omp for schedule(static)")
        self.add("for (I block = 0; block < (M + BLOCK - 1) / BLOCK; ++block) {")
        self.add("const I start = block * BLOCK;")
        self.add("const int width = M - start < BLOCK ? (int)(M - start) : BLOCK;")
        self.add("if (!(shared && ready)) {")
        self.add("const int known = shared ? BLOCK : width;")
        self.add("ready = true;")
        for k in parameters:
            self.add(f"load_parameter(p{k}, p{k}_values, start, known, p{k}_inner, p{k}_size);")
        if kept:
            self.add("#pragma omp simd")
            self.add("for (int j = 0; j < known; ++j) {")
            names = self.parameters(graph, parameters)
            self.body(hoisted, names)
            for k, node in enumerate(kept):
                self.add(f"h{k}[j] = {names[node]};")
            self.close(1)
        self.close(1)
        self.fixed = {node: f"h{k}[j]" for k, node in enumerate(kept)}
        self.fixed |= {node: self._constant(node) for node in hoisted if node.op == "constant"}

    def close_blocks(self) -> None:
        self.close(1)
        if self.scratches:
            self.add("__builtin_free(memory);")
        self.close(2)

    def prefetch(self, rows: Iterable[tuple[str, str]]) -> None:
        """Fetch the rows of the next step: the processor sees no pattern across the pages between them."""
        self.add("for (int j = 0; j < width; j += LINE) {")
        for name, step in rows:
            self.add(f"__builtin_prefetch(&{name}_row[j + {step}]);")
        self.close(1)

    def open_elements(self) -> None:
        self.add("#pragma omp simd")
        self.add("for (int j = 0; j < width; ++j) {")

    def parameters(self, graph, parameters: Iterable[int]) -> dict[Node, str]:
        """The names of what does not change in time."""
        return self.fixed | {graph.parameters[k]: f"p{k}[j]" for k in parameters}

    def loads(self, leaves: Iterable[tuple[Node, str]]) -> dict[Node, str]:
        names = {}
        for node, row in leaves:
            name = row.removesuffix("_row")
            self.add(f"const {self.kind(node)} {name}_t = read({row}[j]);")
            names[node] = f"{name}_t"
        return names

    def body(self, nodes: Iterable[Node], names: dict[Node, str]) -> None:
        """One line for each node; ``names`` gets their names."""
        for node in nodes:
            if node.op == "constant":
                names[node] = self._constant(node)
                continue
            name = f"t{len(names)}"
            self.add(f"const {self.kind(node)} {name} = {self._expression(node, names)};")
            names[node] = name

    def _expression(self, node: Node, names: dict[Node, str]) -> str:
        kinds = [self.kind(source) for source in node.sources if source.dtype != torch.bool] or [self.kind(node)]
        kind = self.mask if OPS[node.op].mask and node.sources[0].dtype == torch.bool else kinds[0]
        template = _DECIMAL.sub(lambda number: f"{kind}({number.group()})", OPS[node.op].cpp)
        expression = template.format(*(names[source] for source in node.sources))
        if node.op == "cast" and node.dtype in (torch.bfloat16, torch.float16):
            self.narrow |= node.dtype == torch.float16
            return f"round_{_STORED[node.dtype]}({expression})"
        if node.op == "cast" and node.dtype == torch.uint8:
            return f"TRUNC({expression})"
        return expression

    def _constant(self, node: Node) -> str:
        value, kind = node.args[0], self.kind(node)
        if value != value:
            return f'{kind}(__builtin_nan(""))'
        if value in (float("inf"), float("-inf")):
            return f"{kind}({'-' if value < 0 else ''}__builtin_inf())"
        return f"{kind}({value!r})"
