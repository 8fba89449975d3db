"""A graph of NIR as a model."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Union

import torch
from torch import fx, nn

from ..core.chain import Chain
from ..core.checks import one_of, positive_number
from ..core.dynamics import Dynamics
from ..core.integrator import Integrator
from ..core.quantities import Constrained, Learned
from ..core.recurrent import Recurrent
from ..core.stepwise import Stepwise
from ..core.surrogate import Surrogate
from ..surrogates import ATan
from .frames import Shape, check_declared, check_values, declared, joined, shape_behind
from .layers import Reading, notes_of
from .loops import Loop, wiring
from .nir_library import library
from .units import MS_PER_S, milliseconds

if TYPE_CHECKING:
    import nir


def from_nir(
    graph: Union["nir.NIRGraph", str, os.PathLike[str]],
    dt: float | None = None,
    *,
    integrator: Integrator | None = None,
    synapse: str | None = None,
    reset: str | None = None,
    surrogate: Surrogate = ATan(),
    dtype: torch.dtype | None = None,
    learned: Sequence[str] = (),
) -> nn.Module:
    r"""A model that does what a graph of NIR says, from any program that writes one.

    A graph says what the neurons are, not how a step is taken, and programs differ there. What :func:`to_nir` wrote
    comes back as it was, bit for bit. For other graphs say what their program does:

    ======================  ============  ==============  ===========  =============
    written by              ``dt``        ``integrator``  ``synapse``  ``reset``
    ======================  ============  ==============  ===========  =============
    snnTorch                0.1           ``Euler()``     ``"first"``  ``"value"``
    Norse                   1.0           ``Euler()``     ``"first"``  ``"value"``
    SpikingJelly            its own       ``Euler()``     ``"first"``  ``"value"``
    ======================  ============  ==============  ===========  =============

    A loop takes one step: what leaves it comes back at the next. Values that all neurons share become one; the weights
    are parameters, of the other values those named in ``learned``.

    Args:
        graph: a graph, or the path of a file that ``nir.write`` has written.
        dt: time step, ms; what the graph was written with if omitted.
        integrator: of all neurons; what the graph was written with, or the default of each, if omitted.
        synapse: what moves on first in a step of a ``CubaLIF``: ``"first"``, the synapse, whose new current drives the
            membrane in the same step (a leaky integrator in front of a LIF), as elsewhere; or ``"joint"``, both
            together, so that an arrival acts from the next step on (:class:`~torchdyn_neuro.SynapticLIF`). If omitted
            what the graph was written with, or the first.
        reset: ``"subtract"`` (the threshold) or ``"value"`` (to ``v_reset``, zero where the graph has none); if omitted
            what the graph was written with, or what NIR says: a value from 1.0.5 on, subtraction before.
        surrogate: slope of the spikes in the backward pass.
        dtype: of all values and weights; torch's default if omitted.
        learned: names of quantities of the layers that are to be learned, such as ``("tau_mem", "v_th")``.

    Returns:
        A ``Chain`` where the nodes follow one another, else a module; maps [T, B, \*] to [T, B, \*].

    Raises:
        ImportError: without the package ``nir``.
        TypeError: if ``graph`` is none.
        ValueError: if a node has no layer, or is for frames of another shape than it gets, by its name; if a loop is no
            circle; if there is more than one input or output; if ``dt`` is needed; if no layer has a quantity of a name
            in ``learned``.

    Source: Pedersen et al. (2024), Nat. Commun. 15:8122.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> from torchdyn_neuro.exchange import to_nir
        >>> graph = to_nir(tdn.Chain(nn.Linear(2, 3), tdn.LeakyIntegrator(tau_mem=10.0)))
        >>> from_nir(graph)[1].tau_mem
        Positive(10 ms)
    """
    if dt is not None:
        positive_number("from_nir", "dt", dt, unit="ms")
    nir = library("from_nir")
    if isinstance(graph, (str, os.PathLike)):
        try:
            # Newer versions look at the shapes again, and take a kernel for square.
            graph = nir.read(graph, type_check=False)
        except TypeError:
            graph = nir.read(graph)
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(
            f"from_nir: expected a graph of NIR or the path of one, got {type(graph).__name__}; put a single node into "
            "one with nir.NIRGraph.from_list(node)"
        )
    for name, value, choices in (("synapse", synapse, ("first", "joint")), ("reset", reset, ("subtract", "value"))):
        if value is not None:
            one_of("from_nir", name, value, *choices)
    reading = Reading(
        _step(graph) if dt is None else float(dt),
        torch.get_default_dtype() if dtype is None else dtype,
        integrator,
        synapse,
        reset,
        surrogate,
    )
    model = _built(graph, reading)
    for name in learned:
        _learn(model, name)
    return model.to(reading.dtype)


def _learn(model: nn.Module, name: str) -> None:
    """Let all quantities of that name be learned, from their value on."""
    owners = [part for part in model.modules() if isinstance(part._modules.get(name), Constrained)]
    if not owners:
        known = {
            each
            for part in model.modules()
            for each, quantity in part.named_children()
            if isinstance(quantity, Constrained)
        }
        raise ValueError(
            f"from_nir: expected learned to name quantities of the layers, {', '.join(sorted(known)) or 'here none'}, "
            f"got {name!r}; pass one of them"
        )
    for part in owners:
        quantity = getattr(part, name)
        value = quantity.start.item() if quantity.start.ndim == 0 else quantity.start
        setattr(part, name, type(quantity)(Learned(value), unit=quantity.unit, low=quantity.low, high=quantity.high))


def _step(graph: "nir.NIRGraph") -> float:
    notes = notes_of(graph)
    if "dt" not in notes:
        if not _timed(graph):
            return 1.0
        raise ValueError(
            "from_nir: expected dt, the time step in ms, for a graph that does not say it, got none; pass that of the "
            f"program that wrote it, e.g. dt={MS_PER_S * 1e-4:g} for snnTorch"
        )
    return float(milliseconds(notes["dt"]))


def _timed(graph: "nir.NIRGraph") -> bool:
    """Whether a node knows of time."""
    kinds = {"LI", "LIF", "IF", "CubaLIF", "CubaLI", "Delay"}
    return any(
        _timed(node) if type(node).__name__ == "NIRGraph" else type(node).__name__ in kinds
        for node in graph.nodes.values()
    )


def _built(graph: "nir.NIRGraph", reading: Reading, given: Shape = None) -> nn.Module:
    """A graph as a chain, or as a module where nodes part and meet; ``given``: the shape of its frames, if known."""
    first, last = (_only(graph, kind) for kind in ("Input", "Output"))
    edges = [(str(a), str(b)) for a, b in graph.edges]
    unknown = {name for edge in edges for name in edge} - set(graph.nodes)
    if unknown or len(set(edges)) < len(edges):
        wrong = f"edges of {', '.join(sorted(unknown))}, which are no nodes" if unknown else "an edge twice"
        raise ValueError(f"from_nir: expected edges between nodes, each once, got {wrong}; mend the graph")
    for a, b in edges:
        if a == last or b == first:
            raise ValueError(
                f"from_nir: expected no edge to the Input and none from the Output, got one from {a!r} to {b!r}; take "
                "it out"
            )
    order, sources = wiring(graph.nodes, edges)
    for part in order:
        if not sources[part] and part != first:
            raise ValueError(f"from_nir: expected an input for {_title(part)!r}, got no edge to it; take it out")
    check_declared(graph.nodes[first], first, "input", given)
    shapes: dict[str | Loop, Shape] = {first: given or declared(graph.nodes[first], "input")}
    layers: dict[str | Loop, nn.Module] = {}
    for part in order:
        if part == first:
            continue
        shape = shapes[part] = joined(_title(part), [shapes[source] for source in sources[part]])
        if part == last:
            check_declared(graph.nodes[last], last, "output", shape)
            continue
        names = (part,) if isinstance(part, str) else (*part.onward, *part.back)
        check_values(names[0], graph.nodes[names[0]], shape)
        layers[part] = _layer(graph, part, reading, shape)
        shapes[part] = shape_behind(names, layers[part], shape, reading.dtype)
    onward = [part for part in order if part not in (first, last)]
    branched = any(isinstance(layer, fx.GraphModule) for layer in layers.values())
    in_order = all(sources[part] == (before,) for part, before in zip([*onward, last], [first, *onward], strict=True))
    if onward and in_order and not branched:
        if len(onward) == 1 and isinstance(layers[onward[0]], Dynamics):
            return layers[onward[0]]
        return _chain([(_title(part), layers[part]) for part in onward])
    return _module(onward, sources, layers, first, last)


def _only(graph: "nir.NIRGraph", kind: str) -> str:
    found = [name for name, node in graph.nodes.items() if type(node).__name__ == kind]
    if len(found) != 1:
        raise ValueError(
            f"from_nir: expected one {kind} node, got {', '.join(found) or 'none'}; split the graph, or take the part "
            "between one input and one output"
        )
    return found[0]


def _title(part: str | Loop) -> str:
    return part.onward[0] if isinstance(part, Loop) else part


def _layer(graph: "nir.NIRGraph", part: str | Loop, reading: Reading, given: Shape = None) -> nn.Module:
    if isinstance(part, Loop):
        onward, back = (_in_order(graph, names, reading) for names in part)
        try:
            return Recurrent(_one(onward), _one(back) if back else nn.Identity())
        except (TypeError, ValueError) as error:
            raise ValueError(f"from_nir: loop through {', '.join([*part.onward, *part.back])}: {error}") from error
    node = graph.nodes[part]
    return _built(node, reading, given) if type(node).__name__ == "NIRGraph" else reading.layer(part, node)


def _in_order(graph: "nir.NIRGraph", names: Iterable[str], reading: Reading) -> list[tuple[str, nn.Module]]:
    return [(name, _layer(graph, name, reading)) for name in names]


def _one(layers: list[tuple[str, nn.Module]]) -> nn.Module:
    return layers[0][1] if len(layers) == 1 else _chain(layers)


def _chain(layers: list[tuple[str, nn.Module]]) -> Chain:
    named: dict[str, nn.Module] = {}
    for name, layer in layers:
        free = name.isidentifier() and not hasattr(Chain, name)
        named[name if free else str(len(named))] = layer
    return Chain(named)


def _module(
    order: list[str | Loop],
    sources: dict[str | Loop, tuple[str | Loop, ...]],
    layers: dict[str | Loop, nn.Module],
    first: str,
    last: str,
) -> fx.GraphModule:
    """A module whose forward passes sequences from layer to layer and adds them."""
    root, forward = nn.Module(), fx.Graph()
    known: dict[str | Loop, fx.Node] = {first: forward.placeholder("x")}

    def added(part: str | Loop) -> fx.Node:
        total, *others = (known[source] for source in sources[part])
        for other in others:
            total = forward.call_function(torch.add, (total, other))
        return total

    for at, part in enumerate(order):
        layer, name = layers[part], f"{_title(part)}_{at}".replace(".", "_")
        takes_sequences = isinstance(layer, (Dynamics, nn.Linear, fx.GraphModule))
        root.add_module(name, layer if takes_sequences else Stepwise(layer))
        known[part] = forward.call_module(name, (added(part),))
    forward.output(added(last))
    return fx.GraphModule(root, forward, "FromNIR")
