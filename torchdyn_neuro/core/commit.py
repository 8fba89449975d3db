"""Plastic connections of a whole model: what they have learned is written back, or held still."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from .chain import Chain
from .network import Network
from .plastic import Plastic
from .state import State
from .streaming import Streaming


def commit(model: nn.Module, state: State | Mapping[str, State] | None = None) -> None:
    """Make what the plastic connections of a model have learned the weights of its modules.

    From then on every run starts there, and ``state_dict`` holds it. Of weights for each row it is their mean. A stream
    goes on as it is; its rows are reset to the new weights.

    Args:
        model: a plastic connection or a container, however deep such connections are in it; a :class:`Streaming` with
            its states; or any other model.
        state: the state that ``scan`` or ``step`` of the model returned; for any other model the states of its
            dynamics by name, as :meth:`Streaming.states` gives them; nothing for a :class:`Streaming`.

    Raises:
        ValueError: if there is no plastic connection, or if the state is not one of this model.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Oja(eta=0.1)), tdn.LeakyIntegrator())
        >>> y, state = net.scan(torch.ones(10, 4, 3))
        >>> commit(net, state)
        >>> torch.equal(net[0].connection.weight, state[0].weight.mean(0))
        True
    """
    written: list[Plastic] = []

    def write(plastic: Plastic, part: State) -> State:
        plastic.commit(part)
        written.append(plastic)
        return part

    if isinstance(model, Streaming):
        if state is not None:
            raise ValueError("commit: expected no state beside a Streaming, which has its own, got one; leave it out")
        model.map_states(lambda module, initial, last: (initial, map_plastic(module, last, write)))
        model.map_states(lambda module, initial, last: (map_plastic(module, initial, _restarted), last))
    elif isinstance(state, Mapping):
        for name, part in state.items():
            map_plastic(model.get_submodule(name), part, write)
    else:
        map_plastic(model, state, write)
    if not written:
        raise ValueError(
            f"commit: expected a plastic connection, and the state of one, got none in {type(model).__name__}; pass "
            "the model with Plastic in it and what scan() returned, or Streaming.states()"
        )


def _restarted(plastic: Plastic, part: State) -> State:
    return part._replace(weight=plastic.connection.weight.detach().to(part.weight.dtype).expand_as(part.weight).clone())


def map_plastic(module: nn.Module, state: State, change: Callable[[Plastic, State], State]) -> State:
    """The state of a module with what ``change`` makes of the state of each plastic connection in it.

    Raises:
        ValueError: if the state is not one of this module.
    """
    if isinstance(module, Plastic):
        if not hasattr(state, "weight"):
            raise ValueError(
                f"commit: expected the state of a plastic connection, got {type(state).__name__}; pass what scan() of "
                "this very model returned"
            )
        return change(module, state)
    if isinstance(module, Network):
        if not hasattr(state, "neuron"):
            raise ValueError(
                f"commit: expected the state of a Network, got {type(state).__name__}; pass what scan() of this very "
                "model returned"
            )
        neuron = map_plastic(module.neuron, state.neuron, change)
        if not isinstance(module.connection, (Plastic, Chain, Network)):
            return state._replace(neuron=neuron)
        return state._replace(neuron=neuron, connection=map_plastic(module.connection, state.connection, change))
    if isinstance(module, Chain):
        if not isinstance(state, (tuple, list)) or len(state) != len(module):
            raise ValueError(
                f"commit: expected a tuple of {len(module)} states for a Chain, got {type(state).__name__}; pass what "
                "scan() of this very model returned"
            )
        return tuple(map_plastic(layer, part, change) for layer, part in zip(module, state, strict=True))
    return state


def freeze(model: nn.Module, frozen: bool = True) -> None:
    """Hold everything in a model that moves while it runs still, or let it move again.

    That is its plastic connections (weights and traces) and the homeostasis of its thresholds.

    Args:
        model: any model.
        frozen: whether they are to stay.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Oja()), tdn.LIF())
        >>> freeze(net)
        >>> net[0].frozen
        True
    """
    for part in _freezable(model):
        part.frozen = frozen


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Within a ``with`` block, such as a phase of testing, hold still what :func:`freeze` does.

    Args:
        model: any model.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> net = tdn.Chain(tdn.Plastic(nn.Linear(3, 2), tdn.Oja(eta=0.1)), tdn.LeakyIntegrator())
        >>> with frozen(net):
        ...     y, state = net.scan(torch.ones(10, 4, 3))
        >>> torch.equal(state[0].weight[0], net[0].connection.weight)
        True
    """
    parts = _freezable(model)
    before = [part.frozen for part in parts]
    try:
        freeze(model)
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            part.frozen = was


def _freezable(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(getattr(module, "frozen", None), bool)]
