"""Neurons and what lies around them that acts on each neuron by itself: one cell, stepped and differentiated."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.context import step_observer
from ..core.dynamics import Dynamics
from ..core.feedback import fed_back
from ..core.layers import has_hooks, is_plain_linear, step_layer
from ..core.network import Network
from ..core.stand_in import stand_in
from ..core.state import State, fill, leaves, state_dtype
from ..core.time_loop import eager_loop
from .jacobian import Jacobian, jacobian
from .layers import RunningNorm


class Walk(NamedTuple):
    """What a cell has done over a piece of a sequence.

    x: its input [T, B, N]; y: its output; befores: for each of its parts, the leaves of the state before each step,
    [T, B, N]; fed: for each recurrent connection, by part, what it was given in each step.
    """

    x: Tensor
    y: Tensor
    befores: list[list[Tensor]]
    fed: dict[int, Tensor]


class Cell:
    """A chain of parts that act on each neuron by itself, but for recurrent connections, whose input it tells apart.

    Args:
        parts: norms, elementwise layers, pointwise dynamics, and networks of such.
    """

    def __init__(self, parts: list[nn.Module]):
        self.parts = list(parts)
        self.networks = {index: part for index, part in enumerate(self.parts) if isinstance(part, Network)}
        self.own = nn.ModuleList(part.neuron if isinstance(part, Network) else part for part in self.parts)
        """The parts without recurrent connections."""

    def start(self, x_t: Tensor) -> list[State]:
        """The state of each part before the first frame, which ``x_t`` [B, N] is."""
        return [part.initial_state(x_t) if isinstance(part, Dynamics) else () for part in self.parts]

    def parameters(self) -> list[nn.Parameter]:
        """What can be learned in it, recurrent connections apart."""
        return [parameter for parameter in self.own.parameters() if parameter.requires_grad]

    def walk(self, x: Tensor, states: list[State]) -> tuple[Walk, list[State]]:
        """Run over a piece of a sequence [T, B, N], part by part, each on the chosen backend and with its hooks."""
        given, states = x, list(states)
        befores: list[list[Tensor]] = []
        fed: dict[int, Tensor] = {}
        for index, part in enumerate(self.parts):
            if not isinstance(part, Dynamics):
                x = part(x)
                befores.append([])
                continue
            watched = part.around(_Watched, _Watched)
            if has_hooks(part) or step_observer() is not None:
                seen, states[index] = eager_loop(watched, x, states[index])
            else:
                seen, states[index] = watched.scan(x, states[index])
            x, own, given_back = seen
            befores.append(leaves(own))
            if index in self.networks:
                fed[index] = given_back
        return Walk(given, x, befores, fed), states

    def linearized(self, walk: Walk, states: list[State], learned: list[nn.Parameter]) -> Jacobian:
        """The Jacobian of each step of a walk.

        Args:
            walk: what the cell has done.
            states: a state of the cell, for its structure.
            learned: the parameters among the sources.
        """
        fold = lambda tensor: tensor.flatten(0, 1)  # noqa: E731
        with torch.enable_grad():
            x = fold(walk.x).to(state_dtype(walk.x)).requires_grad_()
            feedbacks = {}
            for index, network in self.networks.items():
                with torch.no_grad():
                    given = projected(network.connection, fold(walk.fed[index])).to(x.dtype)
                feedbacks[index] = given.requires_grad_()
            befores = [[fold(leaf).requires_grad_(leaf.is_floating_point()) for leaf in part] for part in walk.befores]
            expanded = {parameter: parameter.detach().expand(x.shape).clone().requires_grad_() for parameter in learned}
            y, afters = self._point(x, feedbacks, befores, states, expanded)
            befores = [leaf for part in befores for leaf in part if leaf.is_floating_point()]
            sources = {"input": x, **{("feedback", index): leaf for index, leaf in feedbacks.items()}, **expanded}
            return jacobian(y, afters, befores, sources, walk.x.shape[:2])

    def _point(
        self,
        x: Tensor,
        feedbacks: dict[int, Tensor],
        befores: list[list[Tensor]],
        states: list[State],
        expanded: dict[nn.Parameter, Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """One step of many rows [N, neurons]: the output, and the leaves of the state after it that have a slope."""
        values: dict[nn.Module, dict[str | None, Tensor]] = {}
        for module in self.own.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None and parameter in expanded:
                    values.setdefault(module, {})[name] = expanded[parameter]
        afters = []
        for index, part in enumerate(stand_in(self.own, values)):
            if not isinstance(part, Dynamics):
                x = part.forward(x)
                continue
            if index in feedbacks:
                x = x + feedbacks[index]
            pattern = states[index].neuron if index in feedbacks else states[index]
            x, after = part.step(x, fill(pattern, befores[index]))
            afters.extend(leaf for leaf in leaves(after) if leaf.is_floating_point())
        return x, afters

    def check_states(self, owner: str, x_t: Tensor, states: list[State]) -> None:
        """Raise unless every state has one value for each neuron."""
        for index, part in enumerate(self.own):
            state = states[index].neuron if index in self.networks else states[index]
            for leaf in leaves(state):
                if leaf.is_floating_point() and leaf.shape != x_t.shape:
                    raise ValueError(
                        f"{owner}: expected states with one value for each neuron, {tuple(x_t.shape)}, got "
                        f"{tuple(leaf.shape)} in {type(part).__name__}; use TBPTT"
                    )

    def watch(self, walk: Walk) -> None:
        """Let norms in front of the neurons take account of what has come in."""
        x = walk.x
        for part in self.parts:
            if isinstance(part, Dynamics):
                return
            if isinstance(part, RunningNorm):
                part.watch(x)
            x = part.forward(x)

    def settle(self) -> None:
        """Let norms move their running statistics, at the end of a sequence."""
        for part in self.parts:
            if isinstance(part, RunningNorm):
                part.settle()


class _Watched(Dynamics):
    """A part that puts out, beside its output, its own state before each step and what its connection is given.

    Args:
        module: the part.
    """

    pointwise = None

    def __init__(self, module: Dynamics):
        super().__init__(dt=module.dt)
        self.module = module

    def initial_state(self, x_t: State) -> State:
        return self.module.initial_state(x_t)

    def check_input(self, x: State) -> None:
        self.module.check_input(x)

    def step(self, x_t: Tensor, state: State) -> tuple[tuple[State, ...], State]:
        own, fed = state, ()
        if isinstance(self.module, Network):
            own, fed = state.neuron, fed_back(self.module, state)
            fed = fed.to(x_t.dtype) if self.module.steps else fed
        y_t, after = step_layer(self.module, x_t, state)
        return (y_t, own, fed), after


def projected(connection: nn.Module, x: Tensor) -> Tensor:
    """A linear connection on frames, without its hooks."""
    assert is_plain_linear(connection)
    return connection.forward(x)
