"""One step of a model, and a sequence of them, as programs of ``torch.export``."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..core.state import State, fill, leaves, map_state
from ..core.torch_private import is_wrapped, scan_operator
from .layout import Layout
from .operators import in_torch
from .refusal import NotExportable, layer_of
from .survey import Survey, leaf_names, over_one_step

BATCH = Dim("batch")
STEPS = Dim("steps")
Named = dict[str, Tensor]


class Step(nn.Module):
    """One step of a model as a function of tensors alone: ``(x_t, state) -> (y_t, state)``, the state by name."""

    def __init__(self, model: nn.Module, seen: Survey):
        super().__init__()
        self.model = model
        self.x_t, self.states = seen.x_t, seen.states

    def forward(self, x_t: State, state: Named) -> tuple[State, Named]:
        # In the order in which they run: of modules that stand in several places torch makes several.
        after: Named = {}
        waiting = iter(self.states.items())

        def step(module: nn.Module, x_t: State) -> State:
            path, pattern = next(waiting)
            own = leaf_names(module, pattern, path)
            y_t, end = module.step(x_t, fill(pattern, [state[name] for name in own]))
            after.update(zip(own, leaves(end), strict=True))
            return y_t

        y_t = over_one_step(self.model, fill(self.x_t, leaves(x_t)), step)
        return flat(y_t), after


class Scan(nn.Module):
    """A step over a sequence, as one operator of torch whatever the number of steps."""

    def __init__(self, step: nn.Module, names: Sequence[str], y_t: State):
        super().__init__()
        self.step, self.y_t = step, y_t
        self.names = tuple(names)

    def forward(self, x: State, state: Named) -> tuple[State, Named]:
        rows = leaves(x)[0].shape[1]

        def body(carried: list[Tensor], x_t: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            y_t, after = self.step(fill(x, x_t), dict(zip(self.names, carried, strict=True)))
            # The operator lets nothing that comes out share memory with anything else.
            # Inductor sizes the outputs by what goes into the loop, which the number of rows so does.
            y = [leaf.clone().view(rows, *leaf.shape[1:]) for leaf in leaves(y_t)]
            return [after[name].clone() for name in self.names], y

        last, y = scan_operator()(body, [state[name] for name in self.names], leaves(x))
        return fill(self.y_t, y), dict(zip(self.names, last, strict=True))


def flat(tree: State) -> State:
    """A tensor as it is, a tree of several as one plain tuple, which files without this package know."""
    return tuple(leaves(tree)) if isinstance(tree, tuple) else tree


def trace_step(owner: str, model: nn.Module, seen: Survey) -> ExportedProgram:
    """One step of ``model`` in operators of torch alone, for any number of rows."""
    try:
        program = _export(Step(model, seen), flat(seen.x_t), first_state(seen), seen.layout)
    except Exception as error:
        raise NotExportable(
            f"{owner}: expected a step that torch.export follows for any batch, got one that it does not, in "
            f"{layer_of(model, error.__traceback__)}: {error}"
        ) from error
    # Steps compute what the compiled loops leave out where nobody reads it.
    program.graph_module.graph.eliminate_dead_code()
    program.graph_module.recompile()
    if any(ours(operator) or operator._schema.is_mutable for operator in _operators(program)):
        # A scan takes none that writes in place.
        with quiet():
            program = program.run_decompositions(in_torch())
    for name in _baked(program):
        place = name.removeprefix("model.").rpartition(".")[0]
        raise NotExportable(
            f"{owner}: expected a step without derivatives in it, got one that torch.export does not follow, in "
            f"{type(model.get_submodule(place)).__name__}{f' at {place!r}' if place else ''} (the plasticity of a "
            "convolution, for example); export it frozen, or compute the derivative by hand"
        )
    left = sorted({str(operator) for operator in _operators(program) if ours(operator)})
    if left:
        raise NotExportable(
            f"{owner}: expected operators that a process without this package has, got {', '.join(left)}; build the "
            "layer that uses it from operations of torch"
        )
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Lets the exporter of torch not warn of torch itself, as it does below 2.14."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def ours(operator: Any) -> bool:
    """Whether an operator is one of this package."""
    return operator.namespace == "torchdyn_neuro"


def _baked(program: ExportedProgram) -> list[str]:
    """The constants of a program that are stand-ins of what went in while it was traced."""
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    lifted = program.graph_signature.inputs_to_lifted_tensor_constants
    return [name for place, name in lifted.items() if place in used and is_wrapped(program.constants[name])]


def _operators(program: ExportedProgram) -> list[Any]:
    """The operators of a program, those inside of branches and loops too."""
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    return [node.target for graph in graphs for node in graph.nodes if hasattr(node.target, "_schema")]


def trace_scan(step: ExportedProgram, seen: Survey) -> ExportedProgram:
    """A sequence of an exported step, for any number of steps."""
    names = [leaf.name for leaf in seen.layout.state]
    x = map_state(lambda leaf: torch.stack([leaf, leaf]), flat(seen.x_t))
    inner = step.module(check_guards=False)
    # Those of torch 2.9, which look at what goes in, a scan cannot hold; the scan has its own.
    inner._forward_pre_hooks.clear()
    inner._forward_hooks.clear()
    loop = Scan(inner, names, flat(seen.y_t))
    return _export(loop, x, first_state(seen), seen.layout.over_time())


def _export(module: nn.Module, x: State, state: Named, layout: Layout) -> ExportedProgram:
    free = {"batch": BATCH, "steps": STEPS}

    def axes(shape: Sequence[int | str]) -> dict[int, Any]:
        return {axis: free[size] for axis, size in enumerate(shape) if size in free}

    shapes = fill(x, [axes(port.shape) for port in layout.inputs])
    with torch.no_grad():
        return torch.export.export(
            module,
            (x, state),
            dynamic_shapes=(shapes, {leaf.name: axes(leaf.shape) for leaf in layout.state}),
        )


def first_state(seen: Survey) -> Named:
    """The state that the model was looked at with, by name."""
    # Copies: what is one tensor at two places would be taken for one input.
    values = [leaf.detach().clone() for state in seen.states.values() for leaf in leaves(state)]
    return dict(zip([leaf.name for leaf in seen.layout.state], values, strict=True))
