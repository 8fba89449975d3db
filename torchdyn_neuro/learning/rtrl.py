"""Real-time recurrent learning."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap

from ..core.context import padded
from ..core.dynamics import Dynamics
from ..core.memory import free_memory
from ..core.plastic import Plastic
from ..core.state import State, fill, leaves
from ..core.stepwise import Stepwise
from .errors import Errors
from .layers import Part, RunningNorm, batch_norm, parts_of
from .method import LearningMethod, Outcome, with_gradients


class RTRL(LearningMethod):
    r"""Real-time recurrent learning: the exact gradient, forward in time, for small networks.

    .. math:: \frac{ds_t}{d\theta} = \frac{\partial s_t}{\partial s_{t-1}} \frac{ds_{t-1}}{d\theta}
        + \frac{\partial s_t}{\partial \theta}

    by one Jacobian-vector product of the whole step for each parameter. Memory, [parameters, B, states], and time per
    step do not depend on T, but grow with the number of parameters. The result is the gradient of BPTT, for any loss
    that can be read while time goes on. Norms over the batch go by their running statistics, as in :class:`EProp`.

    Args:
        at_once: how many parameters are taken together; all of them if omitted. Fewer need less memory in a step.

    Shape:
        - as :class:`LearningMethod`; models of layers one after the other

    Raises:
        TypeError: for a model whose layers do not run one after the other, and for a loss that needs the whole sequence
            at once.
        MemoryError: before it begins, if there is no room for that.

    Source: Williams & Zipser (1989), Neural Comput. 1:270.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 2), tdn.Recurrent(tdn.LIF(), nn.Linear(2, 2)), tdn.LeakyIntegrator())
        >>> loss = tdn.losses.MembraneCrossEntropy()
        >>> RTRL()(model, torch.rand(10, 4, 3), torch.tensor([0, 1, 0, 1]), loss).loss.backward()
        >>> model[1].connection.weight.grad.shape
        torch.Size([2, 2])
    """

    def __init__(self, at_once: int | None = None):
        super().__init__()
        self.at_once = at_once

    def prepare(self, model: nn.Module) -> None:
        _Frames(parts_of("RTRL", model))

    def learn(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: nn.Module, lengths: Tensor | None = None
    ) -> Outcome:
        errors = Errors("RTRL", loss, target, len(x), "end", lengths, elementwise=False)
        x = x if lengths is None else x[: int(lengths.max())]
        frames = _Frames(parts_of("RTRL", model), errors)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            gradients = self._forward(frames, x, errors)
            value, decoded = errors.result()
            frames.settle()
        return Outcome(with_gradients(value, gradients), decoded)

    def _forward(self, frames: "_Frames", x: Tensor, errors: Errors) -> dict[nn.Parameter, Tensor]:
        learned = {names[0]: parameter for parameter, names in frames.learned().items()}
        values = {name: parameter.detach() for name, parameter in learned.items()}
        count = sum(value.numel() for value in values.values())
        state = frames.start(x[0])
        self._check_memory(values, state, x.device)
        each = torch.arange(count, device=x.device).split(count if self.at_once is None else self.at_once)
        influence = [leaf.new_zeros(count, *leaf.shape) for leaf in _floats(state)]
        for some in each:
            start = _along(lambda values: _floats(frames.with_values(values, x[0])), values, (values,), some, ())
            _put(influence, some, start)
        total = x.new_zeros(count, dtype=torch.promote_types(x.dtype, torch.float32))
        for index, x_t in enumerate(x.unbind(0)):
            frames.watching = True
            with padded(None if errors.lengths is None else (errors.lengths - index).clamp(0, 1)):
                y, after = frames(x_t, state)
            frames.watching = False
            error = errors.slope(y.unsqueeze(0))
            step, at = partial(_step, frames, x_t, state), (values, _floats(state))
            for some in each:
                before = [leaf[some[0] : some[-1] + 1] for leaf in influence]
                slopes, moved = _along(step, values, at, some, (before,))
                _put(influence, some, moved)
                if error is not None:
                    total[some] += torch.einsum("pbc,bc->p", slopes.flatten(2), error[0].flatten(1))
            state = after
        parts = total.split([value.numel() for value in values.values()])
        return {parameter: part.view_as(parameter) for parameter, part in zip(learned.values(), parts, strict=True)}

    def _check_memory(self, values: dict[str, Tensor], state: State, device: torch.device) -> None:
        """Raise ``MemoryError`` if there is no room for what a step holds at least."""
        count, floats = sum(value.numel() for value in values.values()), _floats(state)
        at_once = count if self.at_once is None else min(self.at_once, count)
        row = sum(leaf.numel() * leaf.element_size() for leaf in floats)
        direction = sum(value.numel() * value.element_size() for value in values.values())
        wanted, free = count * row + at_once * (row + direction), free_memory(device)
        if free is not None and wanted > free:
            raise MemoryError(
                f"RTRL: expected room for {count} parameters x {sum(leaf.numel() for leaf in floats)} values of state, "
                f"and {at_once} at once in a step, {wanted / 1e9:.3g} GB, got {free / 1e9:.3g} GB that are free; take "
                "fewer rows, smaller layers, fewer parameters at_once, or EProp or TBPTT"
            )


class _Frames(nn.Module):
    """A model as a function of a frame and a state."""

    def __init__(self, parts: list[Part], errors: Errors | None = None):
        super().__init__()
        self.plain: list[bool] = []
        self.parts = nn.ModuleList()
        clock = 1.0
        for part in parts:
            module, norm = part.module, batch_norm(part.module)
            if any(isinstance(inner, Plastic) for inner in module.modules()):
                raise TypeError(
                    "RTRL: expected weights that stay while a sequence runs, got Plastic, which moves them; use BPTT"
                )
            if norm is None and any("running_mean" in inner._buffers and inner.training for inner in module.modules()):
                raise TypeError(
                    f"RTRL: expected batch norms as layers of their own, got one inside {type(module).__name__}, whose "
                    "statistics are those of frames that are still to come; use BPTT, or freeze it by eval()"
                )
            clock = module.dt if isinstance(module, Dynamics) else clock
            self.parts.append(module if norm is None else RunningNorm(norm))
            self.plain.append(part.framewise or norm is not None)
        if errors is not None:
            self.parts.append(errors.reading(clock))
            self.plain.append(True)
        self.watching = False
        """Whether norms take account of what they are given."""

    def learned(self) -> dict[nn.Parameter, list[str]]:
        """Each parameter that can be learned, and all places that hold it: one for each module that does."""
        found: dict[nn.Parameter, list[str]] = {}
        for path, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if parameter is not None and parameter.requires_grad:
                    found.setdefault(parameter, []).append(f"{path}.{name}")
        return found

    def with_values(self, values: dict[str, Tensor], *given: Any) -> Any:
        """What it gives with other values of its parameters, each under the first of its names."""
        spread = {name: values[names[0]] for names in self.learned().values() for name in names}
        # Tied by torch, a module at two places would be given its value twice, and would never get its own one back.
        return functional_call(self, spread, given, tie_weights=False)

    def start(self, x_t: Tensor) -> tuple[State, ...]:
        """The state of all parts before the first frame."""
        states = []
        for index, module in enumerate(self.parts):
            states.append(module.initial_state(x_t) if isinstance(module, Dynamics) else ())
            x_t, _ = self._step(index, x_t, states[-1])
        return tuple(states)

    def _step(self, index: int, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        module = self.parts[index]
        if isinstance(module, Dynamics):
            return module.step(x_t, state)
        if isinstance(module, Stepwise):
            return module.step(x_t), ()
        return (module(x_t) if self.plain[index] else module(x_t.unsqueeze(0)).squeeze(0)), ()

    def forward(self, x_t: Tensor, state: tuple[State, ...] | None = None) -> tuple[State, ...]:
        if state is None:
            return self.start(x_t)
        states = []
        for index, before in enumerate(state):
            if self.watching and isinstance(self.parts[index], RunningNorm):
                self.parts[index].watch(x_t)
            x_t, after = self._step(index, x_t, before)
            states.append(after)
        return x_t, tuple(states)

    def settle(self) -> None:
        """Let norms move their running statistics, at the end of a sequence."""
        for part in self.parts:
            if isinstance(part, RunningNorm):
                part.settle()


def _step(
    frames: _Frames, x_t: Tensor, state: State, values: dict[str, Tensor], floats: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """A step as a function of the parameters and of the numbers in the state."""
    y, after = frames.with_values(values, x_t, _with_floats(state, floats))
    return y, _floats(after)


def _along(function: Callable[..., Any], values: dict[str, Tensor], at: Any, some: Tensor, tangents: Any) -> Any:
    """The derivatives of ``function`` at a point by some parameters, and along what they have done so far."""
    push = lambda index, *more: jvp(function, at, (_direction(values, index), *more))[1]  # noqa: E731
    return vmap(push, randomness="same")(some, *tangents)


def _put(influence: list[Tensor], some: Tensor, moved: list[Tensor]) -> None:
    """Write the influence of some parameters over what it was: each has its own."""
    for leaf, after in zip(influence, moved, strict=True):
        leaf[some[0] : some[-1] + 1] = after


def _direction(values: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    """The direction in which only one entry of all parameters changes."""
    first, found = 0, {}
    for name, value in values.items():
        here = torch.arange(first, first + value.numel(), device=value.device) == index
        found[name] = here.to(value.dtype).view(value.shape)
        first += value.numel()
    return found


def _floats(state: State) -> list[Tensor]:
    return [leaf for leaf in leaves(state) if leaf.is_floating_point()]


def _with_floats(state: State, floats: list[Tensor]) -> State:
    remaining = iter(floats)
    return fill(state, [next(remaining) if leaf.is_floating_point() else leaf for leaf in leaves(state)])
