"""Live inference: the one thing that remembers."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .context import intercepting
from .dynamics import Dynamics, plain_parts
from .fits import check_model, check_model_input
from .inputs import check_tensor, refuse_scripting
from .state import State, detach_state, first_frame, shared_fields
from .torch_private import tree_leaves, tree_map

Carried = dict[Dynamics, tuple[State, State]]
"""The initial state of dynamics, and the one to go on from."""


class Streaming(nn.Module):
    r"""Carries the states of all dynamics of a model from call to call.

    Each ``Streaming`` is one stream (a batch of them, row by row). Several may share a model, also in several threads.

    Args:
        model: any model that holds dynamics and calls each of them once per pass.

    Shape:
        - input of ``forward``: the next piece [T, B, \*] of a stream; of ``step``: the next frame [B, \*]; or any tree
          (tuples, lists, dicts) of them
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

    __prepare_scriptable__ = refuse_scripting

    def __init__(self, model: nn.Module):
        super().__init__()
        check_model("Streaming", model)
        if not any(isinstance(module, Dynamics) for module in model.modules()):
            raise ValueError(f"Streaming: expected a model with dynamics, got none in {type(model).__name__}")
        self.model = model
        self._states: Carried = {}

    def forward(self, x: Any) -> Any:
        check_model_input("Streaming", self.model, x)
        with torch.no_grad():
            return run_carrying("Streaming", self.model, x, self._states)

    def step(self, x_t: Any) -> Any:
        """The model on one frame [B, *], or a tree of frames: the output [B, *]."""
        for leaf in tree_leaves(x_t):
            check_tensor("Streaming", leaf, "a frame [B, *]")
        return _each_tensor(lambda y: y.squeeze(0), self(_each_tensor(lambda leaf: leaf.unsqueeze(0), x_t)))

    def states(self) -> dict[str, State]:
        """The states after the last call, by the names of the dynamics inside ``model``; ``record`` starts from them.

        Example:
            >>> import torch, torchdyn_neuro as tdn
            >>> live = tdn.Streaming(nn.Sequential(nn.Linear(3, 4), tdn.LIF()))
            >>> spikes = live(torch.ones(5, 1, 3))
            >>> list(live.states())
            ['1']
        """
        names = {module: name for name, module in self.model.named_modules()}
        return {names[module]: state for module, (_, state) in self._states.items() if module in names}

    def map_states(self, change: Callable[[Dynamics, State, State], tuple[State, State]]) -> None:
        """Replace what is carried.

        Args:
            change: takes dynamics, its initial state and the state after the last call; returns the two new states.
        """
        for module, (initial, state) in self._states.items():
            self._states[module] = change(module, initial, state)

    def reset(self, mask: Any = None) -> None:
        """Back to the initial state.

        Args:
            mask: [B], true for the rows of the batch to reset, as a tensor, an array or a list; all of them if omitted.
                What has no row of its own, such as the weights of a plastic connection, is reset with all of them only.
        """
        if mask is None:
            self._states.clear()
            return
        chosen = _as_mask(mask)
        self.map_states(lambda module, initial, state: (initial, _reset_rows(chosen, state, initial)))


def run_carrying(owner: str, model: nn.Module, x: Any, states: Carried, *, keep_history: bool = False) -> Any:
    """``model(x)``, the next piece of a sequence, with the states of all dynamics inside handed on.

    Args:
        owner: who runs it, for the message.
        model: any model.
        x: its input.
        states: of its dynamics after the piece before, empty at first; those after this one take their places.
        keep_history: let gradients go through the states; they are cut from it otherwise.

    Raises:
        ValueError: if one of the dynamics is called twice.
    """
    visited: set[Dynamics] = set()
    if not states:
        _warn_of_others(owner, model)

    def carry(module: Dynamics, x: State) -> State:
        if module in visited:
            raise ValueError(
                f"{owner}: expected each dynamics to be called once per pass, got a second call of "
                f"{type(module).__name__}; give each place in the model a module of its own"
            )
        visited.add(module)
        module.check_input(x)
        initial, state = states.get(module) or (module.initial_state(first_frame(x)), None)
        y, state = module.scan(x, initial if state is None else state)
        states[module] = (initial, state) if keep_history else (detach_state(initial), detach_state(state))
        return y

    with intercepting(carry):
        return model(x)


def _warn_of_others(owner: str, model: nn.Module) -> None:
    """Warn of recurrent layers of torch, whose state nobody hands on."""
    if not any(isinstance(part, nn.RNNBase) for part in model.modules()):
        return
    for name, part in plain_parts(model).items():
        if isinstance(part, nn.RNNBase):
            warnings.warn(
                f"{owner}: expected what lasts from piece to piece to be the state of dynamics, got "
                f"{type(part).__name__}{f' at {name!r}' if name else ''}, which begins anew with each piece; put it "
                "into a Dynamics of your own, or pass whole sequences",
                stacklevel=4,
            )


def _each_tensor(function: Any, tree: Any) -> Any:
    return tree_map(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def _as_mask(mask: Any) -> Tensor:
    """One truth value per row, from a tensor, an array or a list."""
    given = mask.detach() if isinstance(mask, Tensor) else torch.as_tensor(mask)
    if given.dtype is not torch.bool and not ((given == 0) | (given == 1)).all():
        raise ValueError(
            f"Streaming: expected a mask of truth values, one per row, got {mask!r}; pass e.g. "
            "[True, False] for the first of two rows"
        )
    return given.bool()


def _reset_rows(mask: Tensor, state: State, initial: State) -> State:
    if not isinstance(state, tuple):
        return _choose(mask, initial, state)
    shared = shared_fields(type(state)) if hasattr(state, "_fields") else ()
    names = getattr(state, "_fields", (None,) * len(state))
    children = [
        now if name in shared else _reset_rows(mask, now, start)
        for name, now, start in zip(names, state, initial, strict=True)
    ]
    return type(state)(*children) if hasattr(state, "_fields") else tuple(children)


def _choose(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    if mask.shape != other.shape[:1]:
        raise ValueError(
            f"Streaming: expected a mask of shape {tuple(other.shape[:1])}, got {tuple(mask.shape)}; one entry per row"
        )
    return torch.where(mask.to(other.device).reshape(-1, *[1] * (other.ndim - 1)), chosen, other)
