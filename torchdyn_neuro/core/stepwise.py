"""Layers without time, applied to every step at once."""

from torch import Tensor, nn

from .dynamics import Dynamics


def holds_dynamics(module: nn.Module) -> bool:
    """Whether ``module`` is, or contains, an equation with state."""
    return any(isinstance(child, Dynamics) for child in module.modules())


class Stepwise(nn.Module):
    r"""Applies a layer that knows no time to a sequence, by folding time into the batch.

    Layers that treat all leading axes as batch (``nn.Linear``, norms over the last axis) do not need it; convolutions,
    pooling, flattening and batch normalisation do. Batch normalisation then shares its statistics over time.

    Args:
        module: any module that maps [N, \*] to [N, \*] and holds no dynamics.

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
                "wrap only the layers between them"
            )
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise ValueError(f"Stepwise: expected an input [T, B, *], got shape {tuple(x.shape)}; put time first")
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def step(self, x_t: Tensor) -> Tensor:
        """The layer on one frame [B, *]."""
        return self.module(x_t)
