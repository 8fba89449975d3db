"""A scan as a function: of its parameters, for numerical checks of gradients, and of time."""

import numpy as np
import torch
from torch import Tensor, nn

from torchdyn_neuro import Dynamics, State


class _LastState(nn.Module):
    def __init__(self, cell: Dynamics):
        super().__init__()
        self.cell = cell

    def forward(self, x: State, state: State) -> State:
        return self.cell.scan(x, state)[1]


def potentials(cell: Dynamics, x: Tensor, windows: int) -> np.ndarray:
    """The potential of a single row after each of many repetitions of ``x`` [T, 1, N], [windows, N]."""
    state, found = None, []
    with torch.no_grad():
        for _ in range(windows):
            _, state = cell.scan(x, state)
            found.append(state.v[0].numpy())
    return np.stack(found)


def last_state(cell: Dynamics, parameters: dict[str, Tensor], x: State, state: State) -> State:
    """The state that ``cell`` reaches with other values of its parameters."""
    replaced = {f"cell.{name}": value for name, value in parameters.items()}
    return torch.func.functional_call(_LastState(cell), replaced, (x, state))
