"""Triton for a step that another kernel takes: what is held, the states, and one step in place.

The counterpart of :mod:`torchdyn_neuro.fused.cpp.stepper`, of the same plan and with the same tensors: what depends on
parameters alone was computed there, so that it is the same number on every device. Several populations may lie one
behind the other; what is one number for all neurons of one of them is then an entry for each population.
"""

from collections.abc import Sequence

from ..cpp.stepper import stepper_holds
from ..plan.loops import ForwardPlan
from ..plan.schedule import few_alive
from ..record.graph import Node
from .text import KernelText, load, store


def stepper_tensors(plan: ForwardPlan) -> list[str]:
    """The names of the tensors that :func:`move` expects: states, what is held of all, what is held of each."""
    alike, each = stepper_holds(plan)
    names = [f"s{k}" for k in range(len(plan.graph.states))]
    return [*names, *(f"alike{k}" for k in range(len(alike))), *(f"each{k}" for k in range(len(each)))]


def move(text: KernelText, plan: ForwardPlan, inputs: Sequence[str]) -> str:
    """Write a step of the neurons ``place``, those that are ``inside``, of the population ``which``.

    Args:
        text: of a kernel of blocks of ``BLOCK`` neurons with :func:`stepper_tensors`.
        plan: of the step.
        inputs: the names of what arrives.

    Returns:
        The name of the output.
    """
    graph, (alike, each) = plan.graph, stepper_holds(plan)
    names: dict[Node, str] = dict(zip(graph.inputs, inputs, strict=True))
    text.compute([node for node in plan.hoisted if node.op == "constant"], names)
    for k, node in enumerate(alike):
        names[node] = f"a{k}"
        text.lines(f"a{k} = tl.broadcast_to(tl.load(alike{k} + which), (BLOCK,))")
    for k, node in enumerate(each):
        names[node] = f"e{k}"
        # Nothing is divided by zero in vain.
        text.lines(f"e{k} = tl.load(each{k} + place, mask=inside, other={1.0 if node.dtype.is_floating_point else 0})")
    for k, node in enumerate(graph.states):
        names[node] = f"s{k}_now"
        text.lines(f"s{k}_now = {load(f's{k} + place')}")
    text.compute(few_alive(plan.body, (*graph.states, *graph.inputs), graph.next_states), names)
    text.lines(*(store(f"s{k} + place", names[node]) for k, node in enumerate(graph.next_states)))
    (output,) = graph.outputs
    return names[output]
