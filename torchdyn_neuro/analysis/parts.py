"""The differential equations inside chains and networks, each driven by what the one in front puts out."""

from collections.abc import Callable, Iterator

from torch import nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.integrator import Integrator
from ..core.layers import step_layer
from ..core.network import Network, NetworkState
from ..core.ode import ODE
from ..core.probe import next_frame
from ..core.state import State, map_state

Rule = Callable[[ODE | Network, State, State], tuple[State, State]]
"""Maps an equation, its input and its state to what is wanted of it and to the state of which the output is handed on.
"""


def rates(module: Dynamics, frame: State, state: State) -> State:
    """The rates of change of a state, each layer of a chain driven by the output at that same moment."""
    return _along(module, frame, state, lambda part, x, s: (part.vector_field(x, s), s))[0]


def stepped(module: Dynamics, frame: State, state: State, integrator: Integrator | None, dt: float) -> State:
    """The state a step later; a layer of a chain takes what the one in front puts out at the end of its step."""

    def step(part: ODE | Network, x: State, state: State) -> tuple[State, State]:
        if isinstance(part, Network):
            method = integrator or part.neuron.integrator
            after = NetworkState(method(part.neuron, part._coupled(x), state.neuron, dt))
        else:
            after = (integrator or part.integrator)(part, x, state, dt)
        return after, after

    return _along(module, frame, state, step)[0]


def cells(module: Dynamics, state: State = ()) -> Iterator[tuple[ODE, State]]:
    """The equations and the state of each, if there is one."""
    if isinstance(module, Chain):
        for layer, part in zip(module, state or ((),) * len(module), strict=True):
            if isinstance(layer, Dynamics):
                yield from cells(layer, part)
    elif isinstance(module, Network):
        yield from cells(module.neuron, state.neuron if state else ())
    else:
        yield module, state


def driving(chain: Chain) -> list[nn.Module]:
    """The layers of a chain up to its last equation; those behind it move nothing."""
    layers = list(chain)
    while layers and not isinstance(layers[-1], Dynamics):
        layers.pop()
    return layers


def check_inputs(module: Dynamics, frame: State) -> None:
    """Raise if a frame does not fit an equation, or what a layer puts out the next one."""
    if not isinstance(module, Chain):
        module.check_input(module._read(map_state(lambda leaf: leaf[None], frame), axis=2))
        return
    layers = driving(module)
    # Asks whether the layers without time fit.
    module.initial_state(frame)
    for index, layer in enumerate(layers):
        if isinstance(layer, Dynamics):
            check_inputs(layer, frame)
        if index < len(layers) - 1:
            frame = next_frame(layer, frame)


def _along(module: Dynamics, frame: State, state: State, rule: Rule) -> tuple[State, State]:
    """What a rule gives for every equation, and the state of which the output is handed on."""
    if not isinstance(module, Chain):
        return rule(module, module._read(frame, axis=1), state)
    found: list[State] = []
    here: list[State] = []
    layers = driving(module)
    for index, (layer, part) in enumerate(zip(layers, state, strict=False)):
        result = after = ()
        if isinstance(layer, Dynamics):
            result, after = _along(layer, frame, part, rule)
            frame = _output(layer, after) if index < len(layers) - 1 else frame
        else:
            frame = step_layer(layer, frame, ())[0]
        found.append(result)
        here.append(after)
    rest = ((),) * (len(module) - len(layers))
    return (*found, *rest), (*here, *rest)


def _output(module: Dynamics, state: State) -> State:
    """What an equation puts out in a state; of a chain, what its last layer does."""
    if isinstance(module, Network):
        return module.neuron.observe(state.neuron)
    if not isinstance(module, Chain):
        return module.observe(state)
    last = len(driving(module)) - 1
    y = _output(module[last], state[last])
    for layer in list(module)[last + 1 :]:
        y = step_layer(layer, y, ())[0]
    return y
