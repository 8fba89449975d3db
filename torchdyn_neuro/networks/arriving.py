"""What the layers in front of a cell make of what arrives."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.state import State, leaves, map_state

_PULSES = (1.0, 0.5), (1.0, -2.0)


def lasts(layers: Sequence[nn.Module], frame: State) -> bool:
    """Whether what arrives in one step is felt behind some layers in the next."""
    if not any(isinstance(layer, Dynamics) for layer in layers):
        return False
    with_it, without = (_behind(layers, frame, pulse, 0.0)[1] for pulse in (1.0, 0.0))
    return not torch.equal(with_it, without)


def adds_up(layers: Sequence[nn.Module], frame: State) -> bool:
    """Whether some layers answer to what arrives in two steps, or twice in one, with the sum of their answers."""
    if not layers:
        return True
    found = []
    for one, other in _PULSES:
        for both, first, second in (
            ((one, other), (one, 0.0), (0.0, other)),
            ((one + other, 0.0), (one, 0.0), (other, 0.0)),
        ):
            together, a, b, none = (_behind(layers, frame, *each) for each in (both, first, second, (0.0, 0.0)))
            scale = torch.stack([together, a, b, none]).abs().amax()
            found.append((together - a - b + none).abs().amax() <= 100 * torch.finfo(scale.dtype).eps * scale)
    return all(map(bool, found))


@torch.no_grad()
def _behind(layers: Sequence[nn.Module], frame: State, *pulses: float) -> Tensor:
    """What comes out in steps in which so much comes to all inputs, and in one in which nothing does, [steps, ...]."""
    front, outputs = Chain(*layers), []
    with torch.random.fork_rng(devices=[]):
        state = front.initial_state(frame)
        for pulse in (*pulses, 0.0):
            output, state = front.step(map_state(lambda x, pulse=pulse: x + pulse, frame), state)
            outputs.append(torch.cat([leaf.flatten() for leaf in leaves(output)]))
    return torch.stack(outputs)
