"""How much of its input a network remembers."""

import torch
from torch import Tensor

from ..core.checks import whole_number
from .refused_gradient import refused


def memory_capacity(signal: Tensor, states: Tensor, *, longest: int) -> Tensor:
    r"""How well a linear readout recovers the input of some steps ago, for each number of steps.

    .. math:: MC_k = \max_w \mathrm{corr}^2\bigl(u_{n - k},\, w \cdot x_n\bigr), \qquad k = 0, 1, \dots

    For an input that is independent from step to step the sum over all :math:`k` is at most the number of units, and is
    that number for a linear network in general position (Jaeger 2001). It is measured by least squares on all
    steps; chance adds about the number of units over that of steps to every :math:`MC_k`.

    Args:
        signal: the input u, [T, \*], independent from step to step; the further axes are rows of a batch.
        states: x, [T, \*, N], what the network was at the end of the same steps, without a beginning that depends on
            its initial state.
        longest: how far back to look, in steps.

    Returns:
        [longest + 1], each from 0 to 1.

    Raises:
        TypeError: if they are no tensors of floats.
        ValueError: if the shapes do not go together, or hold too few steps: ten for each unit.

    Source: Jaeger (2001), GMD Report 152, Short term memory in echo state networks.

    Example:
        >>> u = torch.randn(5000, generator=torch.Generator().manual_seed(0))
        >>> held = torch.stack([u.roll(1), u.roll(3)], -1)  # a delay line with two taps
        >>> memory_capacity(u[10:], held[10:], longest=4).round()
        tensor([0., 1., 0., 1., 0.], dtype=torch.float64)
    """
    longest = whole_number("memory_capacity", "longest", longest, 0)
    for name, given in (("signal", signal), ("states", states)):
        if not isinstance(given, Tensor) or not given.is_floating_point():
            got = given.dtype if isinstance(given, Tensor) else type(given).__name__
            raise TypeError(f"memory_capacity: expected {name} of floats, got {got}; pass a tensor, call .float()")
    if states.ndim < 2 or states.shape[:-1] != signal.shape:
        raise ValueError(
            f"memory_capacity: expected a signal [T, *] and states [T, *, N], got {tuple(signal.shape)} and "
            f"{tuple(states.shape)}; pass one state for each value of the signal"
        )
    units, left = states.shape[-1], len(signal) - longest
    rows = signal[0].numel()
    if left * rows < 10 * units:
        raise ValueError(
            f"memory_capacity: expected at least {10 * units} steps behind the first {longest} for {units} units, got "
            f"{max(left, 0) * rows}; pass a longer signal or a smaller longest"
        )
    x = states[longest:].detach().double().reshape(-1, units)
    u = signal.detach().double().reshape(len(signal), -1)
    past = torch.stack([u[longest - k : len(u) - k].reshape(-1) for k in range(longest + 1)], -1)
    x, past = x - x.mean(0), past - past.mean(0)
    # The share of the variance that lies in the span of the states, each direction by itself.
    left_vectors, sizes, _ = torch.linalg.svd(x, full_matrices=False)
    basis = left_vectors[:, sizes > 1e-12 * sizes[0]] if sizes[0] > 0 else left_vectors[:, :0]
    found = (basis.T @ past).square().sum(0) / past.square().sum(0)
    message = "expected a measure without a gradient, got one asked of it; take the loss of a readout, or call detach()"
    return refused(found, states, f"memory_capacity: {message}")
