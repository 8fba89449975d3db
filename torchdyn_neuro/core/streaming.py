"""Live inference: the one thing that remembers."""

import torch
from torch import Tensor, nn

from .dynamics import Dynamics, intercepting
from .state import State, detach_state, first_frame, map_state


class Streaming(nn.Module):
    r"""Carries the states of all dynamics of a model from call to call.

    Args:
        model: any model that holds dynamics and calls each of them once per pass.

    Shape:
        - input of ``forward``: the next piece [T, B, \*] of a stream; of ``step``: the next frame [B, \*]
        - output: what the model gives for it

    Raises:
        ValueError: if the model holds no dynamics.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> live = tdn.Streaming(nn.Sequential(nn.Linear(3, 4), tdn.LIF()))
        >>> for frame in torch.ones(5, 1, 3):
        ...     spikes = live.step(frame)
        >>> live.reset()
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        if not any(isinstance(module, Dynamics) for module in model.modules()):
            raise ValueError(f"Streaming: expected a model with dynamics, got none in {type(model).__name__}")
        self.model = model
        self._states: dict[Dynamics, tuple[State, State]] = {}

    def forward(self, x: State) -> State:
        visited: set[Dynamics] = set()

        def carry(module: Dynamics, x: State) -> State:
            if module in visited:
                raise ValueError(
                    f"Streaming: expected each dynamics to be called once per pass, got a second call of "
                    f"{type(module).__name__}; give each place in the model a module of its own"
                )
            visited.add(module)
            module.check_input(x)
            initial, state = self._states.get(module) or (module.initial_state(first_frame(x)), None)
            y, state = module.scan(x, initial if state is None else state)
            self._states[module] = detach_state(initial), detach_state(state)
            return y

        with torch.no_grad(), intercepting(carry):
            return self.model(x)

    def step(self, x_t: State) -> State:
        """The model on one frame [B, *]: the output [B, *]."""
        return map_state(lambda y: y.squeeze(0), self(map_state(lambda leaf: leaf.unsqueeze(0), x_t)))

    def reset(self, mask: Tensor | None = None) -> None:
        """Back to the initial state.

        Args:
            mask: [B], true for the rows of the batch to reset; all of them if omitted.
        """
        if mask is None:
            self._states.clear()
            return
        for module, (initial, state) in self._states.items():
            self._states[module] = initial, map_state(lambda now, start: _choose(mask, start, now), state, initial)


def _choose(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    if mask.shape != other.shape[:1]:
        raise ValueError(
            f"Streaming: expected a mask of shape {tuple(other.shape[:1])}, got {tuple(mask.shape)}; one entry per row"
        )
    return torch.where(mask.bool().reshape(-1, *[1] * (other.ndim - 1)), chosen, other)
