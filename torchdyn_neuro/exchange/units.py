"""Values as NIR has them, in seconds and one per neuron, and as the library has them, in ms and as few as there are."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

MS_PER_S = 1000.0


def spread(value: Tensor, shape: Sequence[int]) -> np.ndarray:
    """A value of a layer for each of its neurons, in float64."""
    return value.detach().cpu().double().broadcast_to(tuple(shape)).numpy().copy()


def seconds(value: Tensor, shape: Sequence[int]) -> np.ndarray:
    """A time in ms for each neuron, in seconds."""
    return spread(value, shape) / MS_PER_S


def milliseconds(time: np.ndarray) -> np.ndarray:
    """A time in seconds in ms: the one that :func:`seconds` has written, if it did."""
    return undone(lambda ms: ms / MS_PER_S, np.asarray(time, dtype=np.float64), np.float64(time) * MS_PER_S)


def undone(written: Callable[[np.ndarray], np.ndarray], stored: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Of the numbers close to ``near`` the one that is ``stored`` when written, the shortest in decimals first.

    What is read then is what was written, to the last bit: dividing by 1000 and multiplying by it is not.
    """
    short = np.vectorize(lambda value: float(f"{value:.15g}"), otypes=[np.float64])(near)
    found = near
    for guess in (np.nextafter(near, -np.inf), np.nextafter(near, np.inf), near, short):
        found = np.where(written(guess) == stored, guess, found)
    return found


def gathered(values: np.ndarray, dtype: torch.dtype) -> float | Tensor:
    """One number where all neurons share it, else a tensor with an axis of 1 wherever they share it along that axis."""
    values = np.asarray(values, dtype=np.float64)
    for axis in range(values.ndim):
        first = np.take(values, [0], axis=axis)
        if np.array_equal(np.broadcast_to(first, values.shape), values):
            values = first
    return float(values.reshape(())) if values.size == 1 else torch.tensor(values, dtype=dtype)
