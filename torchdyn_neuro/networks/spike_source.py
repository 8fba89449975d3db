"""A population whose spikes are given."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.checks import whole_number
from ..core.state import State


class SpikeSource(nn.Module):
    """Neurons that spike when they are told to.

    Args:
        neurons: their number.
        times: of the spikes, ms, whole steps of the network from one on, [spikes]; as those of :class:`Spikes`, the end
            of the step in which a spike is fired.
        neuron: of each spike, whole numbers from 0 on, [spikes].

    Raises:
        TypeError: if ``times`` or ``neuron`` is no tensor of that kind.
        ValueError: if their lengths differ, there is no such neuron or a time is not positive; as part of a network, if
            a time lies between two steps, or a neuron spikes twice in one.

    Example:
        >>> SpikeSource(3, torch.tensor([0.5, 1.5]), torch.tensor([0, 2])).on_grid(0.5)
        tensor([[0, 0],
                [2, 2]], dtype=torch.int32)
    """

    inputs: tuple = ()
    drives: tuple = ()
    cell = None
    times: Tensor
    neuron: Tensor

    def __init__(self, neurons: int, times: Tensor, neuron: Tensor):
        super().__init__()
        self.neurons = whole_number("SpikeSource", "neurons", neurons, 1)
        if not isinstance(times, Tensor) or not isinstance(neuron, Tensor) or neuron.is_floating_point():
            raise TypeError(
                "SpikeSource: expected tensors of times and of whole numbers, got others; pass such tensors"
            )
        if times.is_complex() or neuron.is_complex() or neuron.dtype == torch.bool:
            raise TypeError(
                f"SpikeSource: expected real times and whole numbers, got {times.dtype} and {neuron.dtype}; pass such"
            )
        if times.shape != neuron.shape or times.ndim != 1:
            raise ValueError(
                f"SpikeSource: expected a time and a neuron of each spike, got shapes {tuple(times.shape)} and "
                f"{tuple(neuron.shape)}; give both one length"
            )
        if len(times) and not (torch.isfinite(times).all() and times.min() > 0):
            raise ValueError("SpikeSource: expected times above 0 ms, got others; shift them")
        if len(times) and not 0 <= int(neuron.min()) <= int(neuron.max()) < neurons:
            raise ValueError(f"SpikeSource: expected neurons from 0 to {neurons - 1}, got others; count from 0")
        self.register_buffer("times", times.detach().to("cpu", torch.float64))
        self.register_buffer("neuron", neuron.detach().to("cpu", torch.int64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SpikeSource":
        times = self.times
        super()._apply(fn, recurse)
        # In fewer bits they would lie at other steps.
        self.times = times.to(self.times.device)
        return self

    def on_grid(self, dt: float) -> Tensor:
        """Step and neuron of each spike, in this order, int32 [spikes, 2]."""
        steps = self.times / dt
        if ((steps - steps.round()).abs() > 1e-6 * steps.clamp(min=1)).any():
            raise ValueError(
                f"SpikeSource: expected times that are whole steps of {dt:g} ms, got others; round them to the grid"
            )
        step = steps.round().to(torch.int64) - 1
        if len(step) and (int(step.min()) < 0 or int(step.max()) >= 2**31):
            raise ValueError(f"SpikeSource: expected times from {dt:g} ms to 2^31 steps, got others; shift them")
        key = step * self.neurons + self.neuron
        ordered = key.unique()
        if len(ordered) < len(key):
            raise ValueError(
                "SpikeSource: expected one spike of a neuron in a step at most, got more; take more neurons, or leave "
                "them out"
            )
        return torch.stack([ordered // self.neurons, ordered % self.neurons], 1).to(torch.int32)

    def place(self, receptor: int | str) -> int:
        """There is none."""
        raise ValueError(
            f"SpikeSource: expected no projection to given spikes, got one to receptor {receptor!r}; drop it"
        )

    def initial_state(self, dtype: torch.dtype, stream: int) -> State:
        """There is none."""
        return ()

    def extra_repr(self) -> str:
        return f"{self.neurons}, {len(self.times)} spikes"
