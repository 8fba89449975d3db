"""Time folded into the batch for layers that know no time, and unfolded for dynamics among them."""

from torch import Tensor, nn

from .dynamics import Dynamics

_folded_steps: list[int] = []
"""The numbers of steps that the enclosing Stepwise modules have folded, innermost last."""


def holds_dynamics(module: nn.Module) -> bool:
    """Whether ``module`` is, or contains, an equation with state; one inside :class:`Unfolded` does not count."""
    if isinstance(module, Unfolded):
        return False
    return isinstance(module, Dynamics) or any(holds_dynamics(child) for child in module.children())


class Stepwise(nn.Module):
    r"""Applies a layer that knows no time to a sequence, by folding time into the batch.

    Layers that treat all leading axes as batch (``nn.Linear``, norms over the last axis) do not need it; convolutions,
    pooling, flattening and batch normalisation do. Batch normalisation then shares its statistics over time.
    A whole model may be wrapped; the dynamics in it each go into an :class:`Unfolded`.

    Args:
        module: any module that maps [N, \*] to [N, \*] and holds no dynamics, but for unfolded ones.

    Shape:
        - input: [T, B, \*]
        - output: [T, B, \*]

    Raises:
        ValueError: if ``module`` holds dynamics, which would take the batch for time.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.Stepwise(nn.Conv2d(1, 4, 3))(torch.zeros(10, 2, 1, 8, 8)).shape
        torch.Size([10, 2, 4, 6, 6])
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        if holds_dynamics(module):
            raise ValueError(
                f"Stepwise: expected a module without dynamics, got {type(module).__name__} which holds some; "
                "wrap each of them in Unfolded, or only the layers between them in Stepwise"
            )
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise ValueError(f"Stepwise: expected an input [T, B, *], got shape {tuple(x.shape)}; put time first")
        _folded_steps.append(x.shape[0])
        try:
            y = self.module(x.flatten(0, 1))
        finally:
            _folded_steps.pop()
        return y.unflatten(0, x.shape[:2])

    def step(self, x_t: Tensor) -> Tensor:
        """The layer on one frame [B, *]."""
        return self.module(x_t)


class Unfolded(nn.Module):
    r"""Dynamics inside a model that :class:`Stepwise` runs with time folded into the batch.

    It takes the place of an activation in any existing model: time is unfolded for it and folded again behind it. The
    same one may stand in several places, for it holds no state.

    Args:
        dynamics: the dynamics, e.g. a spiking neuron in the place of a ReLU.

    Shape:
        - input: [T B, \*]
        - output: [T B, \*]

    Raises:
        TypeError: if ``dynamics`` is none.
        RuntimeError: from ``forward`` outside a :class:`Stepwise`.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), tdn.Unfolded(tdn.LIF()), nn.Flatten(), nn.Linear(144, 10))
        >>> tdn.Stepwise(model)(torch.zeros(8, 2, 1, 8, 8)).shape
        torch.Size([8, 2, 10])
    """

    def __init__(self, dynamics: Dynamics):
        super().__init__()
        if not isinstance(dynamics, Dynamics):
            raise TypeError(f"Unfolded: expected a Dynamics, got {type(dynamics).__name__}; pass e.g. LIF()")
        self.dynamics = dynamics

    def forward(self, x: Tensor) -> Tensor:
        if not _folded_steps:
            raise RuntimeError("Unfolded: expected to run inside a Stepwise, got a call outside; use Stepwise(model)")
        return self.dynamics(x.unflatten(0, (_folded_steps[-1], -1))).flatten(0, 1)
