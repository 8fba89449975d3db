"""A model as stages: weights, then cells that act on each neuron by itself."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.layers import is_plain_linear
from ..core.network import Network
from ..core.state import State, widen
from ..integrators import Euler, ExponentialEuler
from .cell import Cell, Walk
from .jacobian import Jacobian, Source
from .layers import ELEMENTWISE, Part, RunningNorm, batch_norm, parts_of, run_part
from .method import Gradients


class Run(NamedTuple):
    """What a stage has done over a piece of a sequence, [T, B, *].

    given: its input; pre: what its weights were given; walk: of its cell; mask: of its dropout, or None; y: its output.
    """

    given: Tensor
    pre: Tensor
    walk: Walk
    mask: Tensor | None
    y: Tensor


class Stage:
    """Layers without weights, a linear layer, a cell, and dropout, in this order; each may be missing."""

    def __init__(self) -> None:
        self.front: list[Part] = []
        self.projection: Part | None = None
        self.inner: list[nn.Module] = []
        self.tail: list[Part] = []

    def close(self) -> None:
        """Make the cell, when all is in it."""
        self.cell = Cell(self.inner)

    def append(self, module: nn.Module) -> None:
        """Put a part behind those of the cell."""
        self.inner.append(module)
        self.close()

    @property
    def width(self) -> int | None:
        """Number of neurons, if the layers say it."""
        if self.projection is not None:
            return self.projection.module.out_features
        widths = [part.connection.out_features for part in self.inner if isinstance(part, Network)]
        return widths[0] if widths else None

    @property
    def linear(self) -> dict[Source, nn.Module]:
        """Its linear layers by the source that each is for the cell."""
        found: dict[Source, nn.Module] = {}
        if self.projection is not None:
            found["input"] = self.projection.module
        for index, network in self.cell.networks.items():
            found["feedback", index] = network.connection
        return found

    def learned(self, source: Source) -> bool:
        """Whether a linear layer has anything to learn."""
        return any(parameter.requires_grad for parameter in self.linear[source].parameters())

    @property
    def learns(self) -> bool:
        """Whether anything in it can be learned."""
        return bool(self.cell.parameters()) or any(map(self.learned, self.linear))

    def run(self, x: Tensor, states: list[State] | None) -> tuple[Run, list[State]]:
        """Go on over a piece of a sequence [T, B, *]."""
        given = x
        for part in self.front:
            x = run_part(part, x)
        pre = x
        if self.projection is not None:
            x = run_part(self.projection, x)
        if x.ndim != 3:
            raise ValueError(
                f"learning: expected neurons on one axis, [T, B, N], got {tuple(x.shape)} in front of "
                f"{type(self.inner[0]).__name__ if self.inner else 'the end'}; flatten it, or use TBPTT"
            )
        if states is None:
            states = self.cell.start(x[0])
            self.cell.check_states("learning", x[0], states)
        walk, states = self.cell.walk(x, states)
        y, mask = walk.y, None
        if any(part.module.training for part in self.tail):
            mask = torch.ones_like(y)
            for part in self.tail:
                mask = run_part(part, mask)
            y = y * mask
        return Run(given, pre, walk, mask, y), states

    def linearized(self, run: Run, states: list[State]) -> Jacobian:
        """The Jacobian of its cell and dropout in each step of a run."""
        found = self.cell.linearized(run.walk, states, self.cell.parameters())
        return found if run.mask is None else found.scaled(run.mask)

    def incoming(self, run: Run) -> dict[Source, Tensor | None]:
        """What comes in through each source of which something is to be learned."""
        given = {"input": run.pre, **{("feedback", index): fed for index, fed in run.walk.fed.items()}}
        found: dict[Source, Tensor | None] = {}
        for source, layer in self.linear.items():
            if self.learned(source):
                pre = widen(given[source])
                found[source] = pre if layer.bias is None else torch.cat([pre, torch.ones_like(pre[..., :1])], -1)
        return {**found, **dict.fromkeys(self.cell.parameters())}

    def hand_over(self, sums: dict[Source, Tensor], gradients: Gradients) -> None:
        """Add the gradients of the parameters, from those of the weights [post, pre] and of values for each neuron."""
        for source, total in sums.items():
            if isinstance(source, nn.Parameter):
                gradients.add(source, total.sum_to_size(source.shape))
                continue
            layer = self.linear[source]
            if layer.bias is None:
                _backward(layer, "weight", total, gradients)
                continue
            _backward(layer, "weight", total[:, :-1], gradients)
            _backward(layer, "bias", total[:, -1], gradients)

    def back(self, signal: Tensor, run: Run) -> Tensor:
        """A signal at the input of the cell [T, B, N], taken back through the weights to the input of the stage."""
        if self.projection is not None:
            signal = signal @ self.projection.module.weight.detach().to(signal.dtype)
        if not self.front:
            return signal
        with torch.enable_grad():
            x = run.given.detach().to(signal.dtype).requires_grad_()
            y = x
            for part in self.front:
                y = run_part(part, y)
            return torch.autograd.grad(y, x, signal)[0]


def _backward(layer: nn.Module, name: str, gradient: Tensor, gradients: Gradients) -> None:
    """Hand the gradient of a tensor of a layer to the parameters that it is made of."""
    with torch.enable_grad():
        tensor = getattr(layer, name)
    if isinstance(tensor, nn.Parameter):
        if tensor.requires_grad:
            gradients.add(tensor, gradient)
        return
    if not tensor.requires_grad:
        return
    parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(tensor, parameters, gradient.to(tensor.dtype), allow_unused=True)
    for parameter, part in zip(parameters, found, strict=True):
        gradients.add(parameter, part)


def stages_of(owner: str, model: nn.Module) -> list[Stage]:
    """The stages of a model.

    Args:
        owner: the method that asks, for messages.
        model: layers one after the other.

    Raises:
        TypeError, ValueError: in words, for what does not act on each neuron by itself between its weights.
    """
    stages = [Stage()]
    for part in parts_of(owner, model):
        stage, module = stages[-1], part.module
        norm = batch_norm(module)
        if norm is not None or isinstance(module, (Dynamics, *ELEMENTWISE)):
            if stage.tail:
                stage = _opened(stages)
            stage.inner.append(RunningNorm(norm) if norm is not None else _pointwise(owner, part))
            continue
        if isinstance(module, nn.Dropout):
            stage.tail.append(part)
            continue
        if stage.projection is not None or stage.inner or stage.tail:
            stage = _opened(stages)
        if is_plain_linear(module):
            stage.projection = part
        elif any(parameter.requires_grad for parameter in module.parameters()):
            raise TypeError(
                f"{owner}: expected learned weights in linear layers only, got {type(module).__name__} at "
                f"{part.name!r}, which has no eligibility for each synapse; freeze it (requires_grad_(False)), or use "
                "BPTT or TBPTT"
            )
        else:
            stage.front.append(part)
    for stage in stages:
        stage.close()
    last = stages[-1]
    if (last.projection is None and not last.inner) or last.tail:
        raise ValueError(
            f"{owner}: expected a model that ends with weights or neurons, got {type(model).__name__} that ends with "
            "something else; leave it out, or use BPTT"
        )
    return stages


def _opened(stages: list[Stage]) -> Stage:
    stages.append(Stage())
    return stages[-1]


def _pointwise(owner: str, part: Part) -> nn.Module:
    """The module of a part that acts on each neuron by itself, recurrent connections apart; raise if it does not."""
    module = part.module
    neuron = module.neuron if isinstance(module, Network) else module
    if isinstance(neuron, Dynamics) and neuron.pointwise is not True:
        raise TypeError(
            f"{owner}: expected neurons and synapses that act on each neuron by itself, got {type(neuron).__name__} at "
            f"{part.name!r}; use BPTT or TBPTT"
        )
    if not isinstance(module, Network):
        return module
    if not is_plain_linear(module.connection) or isinstance(module.connection, Chain):
        raise TypeError(
            f"{owner}: expected a linear layer as recurrent connection, got {type(module.connection).__name__} at "
            f"{part.name!r}; use BPTT or TBPTT"
        )
    if module.input is not None:
        raise TypeError(
            f"{owner}: expected neurons with one input, got input={module.input!r} at {part.name!r}; use BPTT or TBPTT"
        )
    integrator = getattr(neuron, "integrator", None)
    if not module.steps and (type(integrator) not in (Euler, ExponentialEuler) or integrator.substeps != 1):
        raise ValueError(
            f"{owner}: expected a coupling that is evaluated once in a step (Euler() or ExponentialEuler()), got "
            f"{integrator!r} at {part.name!r}; use one of them, or BPTT or TBPTT"
        )
    return module
