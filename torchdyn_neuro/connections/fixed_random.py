"""The random recurrent connection of a reservoir."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.checks import positive_number, whole_number
from ..core.inputs import check_tensor


class FixedRandom(nn.Module):
    r"""Random weights of a given spectral radius, which are drawn once and never learned.

    .. math:: y = W x, \qquad \max_i |\lambda_i(W)| = \varrho

    The weights are a buffer: they move and are saved with the module, and no optimiser sees them. In a network of
    slopes of at most 1 a radius below 1 lets the past fade; the closer it is to 1, the more slowly.

    Args:
        units: number of units, inputs as outputs.
        radius: spectral radius.
        density: share of the weights that are not zero, at random places.
        orthogonal: take a random orthogonal matrix times ``radius``: all eigenvalues then have that size.
        seed: of the weights, which depend on nothing else.

    Shape:
        - input: [..., units]
        - output: [..., units]

    Raises:
        TypeError: if a number is none; from ``forward`` for what is no tensor.
        ValueError: if the radius is not positive, the density is not above 0 and at most 1 (or below 1 for an
            orthogonal matrix), or too few weights are left for any loop; from ``forward`` for another number of inputs.
        AttributeError: if one of the arguments is set later, for the weights stay as they were drawn.

    Source: Jaeger (2001), GMD Report 148; White, Lee & Sompolinsky (2004), Phys. Rev. Lett. 92:148102 (orthogonal).

    Example:
        >>> layer = FixedRandom(50, radius=0.9, density=0.2)
        >>> round(torch.linalg.eigvals(layer.weight).abs().max().item(), 4), len(list(layer.parameters()))
        (0.9, 0)
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, so that it fuses."""

    bias: ClassVar[None] = None

    def __init__(
        self, units: int, *, radius: float = 0.9, density: float = 1.0, orthogonal: bool = False, seed: int = 0
    ):
        super().__init__()
        self.in_features = self.out_features = whole_number("FixedRandom", "units", units, 1)
        self.radius = positive_number("FixedRandom", "radius", radius)
        self.seed = whole_number("FixedRandom", "seed", seed, 0)
        if isinstance(density, bool) or not isinstance(density, (int, float)) or not 0 < density <= 1:
            raise ValueError(f"FixedRandom: expected a density above 0 and at most 1, got {density!r}; pass e.g. 0.1")
        if orthogonal and density != 1:
            raise ValueError(
                f"FixedRandom: expected a density of 1 for an orthogonal matrix, got {density}; leave one of them out"
            )
        self.density, self.orthogonal = float(density), bool(orthogonal)
        self.register_buffer("weight", self._drawn().to(torch.get_default_dtype()))

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("radius", "density", "orthogonal", "seed") and "weight" in self._buffers:
            raise AttributeError(
                f"FixedRandom.{name}: expected weights that stay as they were drawn, got {value!r} for later; build "
                "another one"
            )
        super().__setattr__(name, value)

    def _drawn(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.out_features, self.in_features)
        normal = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
        if self.orthogonal:
            return self.radius * torch.linalg.qr(normal)[0]
        kept = torch.rand(shape, generator=generator, device="cpu") < self.density
        normal = normal * kept
        largest = torch.linalg.eigvals(normal).abs().max().item()
        if largest < 1e-9:
            raise ValueError(
                f"FixedRandom: expected weights that form a loop, got none with a density of {self.density:g} for "
                f"{self.in_features} units; raise the density, or take another seed"
            )
        return normal * (self.radius / largest)

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these inputs."""
        check_tensor("FixedRandom", x, f"a tensor [..., {self.in_features}]")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"FixedRandom: expected an input [..., {self.in_features}], got shape {tuple(x.shape)}; build it for "
                "that number of inputs"
            )

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return functional.linear(x.to(self.weight.dtype), self.weight).to(x.dtype)

    def extra_repr(self) -> str:
        parts = [f"{self.in_features}", f"radius={self.radius:g}"]
        parts += ["orthogonal"] if self.orthogonal else []
        parts += [] if self.density == 1 else [f"density={self.density:g}"]
        return ", ".join([*parts, f"seed={self.seed}"])
