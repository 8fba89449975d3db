"""Two inputs of one kind each, such as those of an excitatory and an inhibitory population."""

from torch import Tensor

from .state import State


def split_pair(owner: str, inputs: str, x: State, axis: int) -> State:
    """Two inputs from a pair, or from a tensor with both on axis ``axis``; in a sequence (axis 2) any other is refused.

    Args:
        owner: who takes them, for the message.
        inputs: what they are, for the message.
        x: what came.
        axis: the first axis behind the batch.
    """
    if not isinstance(x, (Tensor, tuple)) or (isinstance(x, Tensor) and x.ndim < axis):
        return x
    parted = isinstance(x, tuple)
    count = len(x) if parted else x.shape[axis] if x.ndim > axis else 0
    if axis == 2 and count != 2:
        got = f"{count} parts" if parted else f"shape {tuple(x.shape)}"
        raise ValueError(
            f"{owner}: expected {inputs}, or a tensor [T, B, 2, *], got {got}; pass both, zeros where there is none"
        )
    return x if parted else x.unbind(axis)
