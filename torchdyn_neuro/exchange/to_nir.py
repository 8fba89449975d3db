"""A model as a graph of NIR."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..core.checks import whole_number
from ..core.dynamics import Dynamics
from ..core.fits import check_fits, check_model
from ..core.network import Network
from ..core.plastic import Plastic
from ..core.probe import next_frame
from .nir_library import OWN, library, make_graph
from .nodes import Place, node_of, refusal
from .steps import NOTHING, Step, steps_of
from .units import MS_PER_S

if TYPE_CHECKING:
    import nir


def to_nir(
    model: nn.Module, input_shape: int | Sequence[int] | None = None, *, metadata: bool = False
) -> "nir.NIRGraph":
    r"""A model as a graph of NIR, the exchange format that snnTorch, Norse, Lava, SpiNNaker 2 and others read.

    Times are written in seconds. Every value is written as it is now, once for each neuron, as NIR asks. NIR says what
    a neuron is, not how a step is taken: the integrator and ``dt`` stand in the metadata, where :func:`from_nir` finds
    them. Programs differ in what they do:

    - A spike lasts for a step in a graph. The current of a ``CubaLIF`` jumps by ``w_in dt / tau_syn``, so that
      ``w_in`` is ``tau_syn / dt`` for a :class:`~torchdyn_neuro.SynapticLIF`, whose current jumps by one. Here the
      jump acts on the membrane from the next step on, elsewhere often in the same one.
    - An ``IF`` of NIR moves by ``r`` dt, in seconds: ``r`` is 1000 / C.
    - NIR spikes above the threshold, this library at it too.
    - From NIR 1.0.5 on a spike resets to ``v_reset``; before it subtracts the threshold.

    Surrogates and what else only training sees are left out, dropout too. Batch norms go into the weights in front. A
    recurrent connection becomes a graph in the graph, without its delay of one step, which every program adds.

    Args:
        model: layers in order (a ``Chain``, an ``nn.Sequential``, one of the models), or a module whose forward passes
            tensors from layer to layer and adds them.
        input_shape: shape of a frame, without time and batch; if the model begins with a linear layer it may be left
            out.
        metadata: write what NIR has no field for (a reset, a refractory period, a potential at the start) into the
            metadata of the nodes, which :func:`from_nir` reads and other programs do not; refused otherwise.

    Raises:
        ImportError: without the package ``nir``.
        TypeError: if ``model`` is no module.
        ValueError: if a layer has no node, by its name, with the reason; if the shape of the input is not known.

    Source: Pedersen et al. (2024), Nat. Commun. 15:8122.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> graph = to_nir(tdn.Chain(nn.Linear(2, 3), tdn.LeakyIntegrator(tau_mem=10.0)))
        >>> graph.nodes["1"].tau
        array([0.01, 0.01, 0.01])
    """
    check_model("to_nir", model)
    steps, result = steps_of("to_nir", model)
    shape = _shape_of_input(steps, input_shape)
    steps_ms = {part.dt for part in model.modules() if isinstance(part, Dynamics)}
    if len(steps_ms) > 1:
        raise ValueError(
            f"to_nir: expected one dt, got {sorted(steps_ms)} ms; give the model one with tdn.set_dt(model, dt)"
        )
    notes = {"dt": steps_ms.pop() / MS_PER_S} if steps_ms else {}
    return _written(steps, result, shape, metadata, {OWN: notes} if notes else {})


def _shape_of_input(steps: list[Step], given: int | Sequence[int] | None) -> tuple[int, ...]:
    if given is not None:
        sizes = [given] if isinstance(given, int) else list(given)
        return tuple(whole_number("to_nir", "input_shape", size, 1) for size in sizes)
    for step in steps[1:]:
        width = getattr(step.layer, "in_features", None)
        if isinstance(width, int):
            return (width,)
        if not isinstance(step.layer, NOTHING):
            break
    raise ValueError(
        "to_nir: expected input_shape, the shape of a frame without time and batch, for a model that does not begin "
        "with a linear layer, got none; pass e.g. input_shape=(1, 28, 28)"
    )


def _written(
    steps: list[Step], result: tuple[str, ...], shape: tuple[int, ...], metadata: bool, notes: dict
) -> "nir.NIRGraph":
    """The steps as a graph."""
    nir, first = library("to_nir"), steps[0].name
    nodes = {first: nir.Input(input_type={"input": np.array(shape)})}
    edges: list[tuple[str, str]] = []
    shapes = {first: shape}
    names: dict[str, tuple[str, ...]] = {first: (first,)}
    """The nodes whose sum a step puts out."""
    for step in steps[1:]:
        sources = tuple(name for given in step.inputs for name in names[given])
        if isinstance(step.layer, NOTHING):
            names[step.name] = sources
            continue
        given = shapes[sources[0]]
        nodes[step.name], shapes[step.name] = _node(step, given, metadata)
        names[step.name] = (step.name,)
        edges += _edges(sources, step.name)
    sources = tuple(name for given in result for name in names[given])
    nodes["output"] = nir.Output(output_type={"output": np.array(shapes[sources[0]])})
    edges += _edges(sources, "output")
    return make_graph(nir, nodes, edges, notes)


def _edges(sources: tuple[str, ...], name: str) -> list[tuple[str, str]]:
    if len(set(sources)) < len(sources):
        raise ValueError(
            f"to_nir: expected different layers to be added in front of {name!r}, got {', '.join(sources)}, where a "
            "graph has one edge from a node to another; scale the layer instead"
        )
    return [(source, name) for source in sources]


def _node(step: Step, given: tuple[int, ...], metadata: bool) -> tuple["nir.NIRNode", tuple[int, ...]]:
    layer = step.layer
    if isinstance(layer, Network):
        return _recurrent(step.name, layer, given, metadata), given
    weight = next((value for value in layer.parameters() if value.is_floating_point()), torch.zeros(()))
    frame = torch.zeros(1, *given, dtype=weight.dtype, device=weight.device)
    check_fits("to_nir", layer, frame)
    shape = tuple(next_frame(layer, frame).shape[1:])
    return node_of(layer, Place(step.name, given, shape, metadata)), shape


def _recurrent(name: str, network: Network, shape: tuple[int, ...], metadata: bool) -> "nir.NIRGraph":
    """A recurrent layer as a graph: the neurons, and the connection from them back to them."""
    nir = library("to_nir")
    if not network.steps:
        raise refusal(name, network, "which is coupled inside the step", "give it a delay of a step")
    if network.input is not None:
        raise refusal(name, network, "which feeds one of several inputs", "use neurons with one")
    if isinstance(network.connection, Plastic):
        raise refusal(name, network, "whose connection learns by itself", "commit its weights to a linear layer")
    steps, ends = steps_of("to_nir", network.neuron)
    back, result = steps_of("to_nir", network.connection, first="back")
    inner = _written(steps, ends, shape, metadata, {})
    around = _written(back, result, shape, metadata, {})
    source = next(a for a, b in inner.edges if b == "output")
    firsts = [b for a, b in inner.edges if a == "input"]
    if len(ends) > 1 or len(firsts) > 1 or firsts == ["output"]:
        raise refusal(name, network, "whose neurons are no layers in order", "give it one layer of neurons")
    nodes, edges, last = dict(inner.nodes), list(inner.edges), source
    if network.steps > 1:
        # Every program adds the first step.
        wait = (network.steps - 1) * network.dt / MS_PER_S
        nodes["delay"] = nir.Delay(delay=np.full(shape, wait))
        edges.append((source, "delay"))
        last = "delay"
    renamed = {other: _other_name(other, nodes) for other in around.nodes if other not in ("back", "output")}
    nodes |= {renamed[other]: node for other, node in around.nodes.items() if other in renamed}
    renamed |= {"back": last, "output": firsts[0]}
    edges += [(renamed[a], renamed[b]) for a, b in around.edges]
    # Norse takes what comes last in a walk along the edges for the output.
    edges.sort(key=lambda edge: edge[1] == "output")
    return make_graph(nir, nodes, edges, {})


def _other_name(name: str, taken: dict) -> str:
    name = f"recurrent_{name}"
    while name in taken:
        name += "_"
    return name
