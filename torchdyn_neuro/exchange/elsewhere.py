"""What the layers of other libraries share: decays in place of time constants, and layers without time."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..neurons import IF, LIF

Convert = Callable[[nn.Module], list[nn.Module]]

PLAIN = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten, nn.Identity, nn.Dropout),
    *(nn.Upsample, nn.ReLU),
)
"""Layers of torch, which are the same everywhere."""


def tau_of(decay: Tensor | float, dt: float) -> Tensor:
    """The time constant in ms of what is multiplied by ``decay`` in every step."""
    return -dt / torch.as_tensor(decay, dtype=torch.float64).log()


def leaky(decay: Tensor | float, gain: Tensor | float, dt: float, **options: object) -> LIF | IF:
    r"""The cell whose potential moves by :math:`v \leftarrow \beta v + g x` in every step, and not for beta = 1.

    Args:
        decay: beta, in (0, 1].
        gain: g.
        dt: time step, ms.
        options: further arguments of the cell.
    """
    beta = torch.as_tensor(decay, dtype=torch.float64).detach()
    gain = torch.as_tensor(gain, dtype=torch.float64).detach()
    if (beta == 1).all():
        return IF(C=number(dt / gain), dt=dt, **options)
    if not ((beta > 0) & (beta < 1)).all():
        got = ", ".join(f"{value:g}" for value in beta.unique())
        raise ValueError(f"expected decays between 0 and 1, or 1 for all, got {got}, for which there is no cell")
    return LIF(number(tau_of(beta, dt)), R=number(gain / (1 - beta)), dt=dt, **options)


def number(value: Tensor | float) -> Tensor | float:
    """A value as an argument: a float, in full precision, where there is one."""
    value = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    return value.item() if value.numel() == 1 else value.to(torch.get_default_dtype())


def plain(layer: nn.Module, known: dict[int, object] | None = None) -> nn.Module:
    """A copy of a layer of torch as that and no more, where a library has derived from it.

    Args:
        layer: which is copied.
        known: what has been copied before, so that weights which layers share stay shared.
    """
    if any(isinstance(value, torch.Tensor) for value in layer.__dict__.values()):
        raise ValueError(
            "expected weights that are parameters of their own, got some that a hook makes; make them final first, by "
            "torch.nn.utils.prune.remove(layer, 'weight') after pruning"
        )
    kind = next(kind for kind in type(layer).__mro__ if kind in PLAIN)
    twin = kind.__new__(kind)
    values = copy.deepcopy(layer, known).__dict__
    twin.__dict__ = {name: value for name, value in values.items() if name != "step_mode"}
    return twin


def converted(owner: str, model: nn.Module, convert: Convert, containers: tuple[type, ...]) -> Chain:
    """A chain of what each layer of a model becomes.

    Raises:
        ValueError: naming the layer that does not map, with the reason.
    """
    layers: dict[str, nn.Module] = {}
    known: dict[int, object] = {}
    seen: dict[nn.Module, list[nn.Module]] = {}

    def walk(name: str, module: nn.Module) -> None:
        if type(module) in containers:
            for child, part in module._modules.items():
                walk(f"{name}.{child}" if name else child, part)
            return
        try:
            if any(isinstance(part, Dynamics) for part in seen.get(module, ())):
                raise ValueError("expected neurons in one place, got them in several, which share one state there")
            parts = seen.get(module) or ([plain(module, known)] if type(module) in PLAIN else convert(module))
            seen[module] = parts
        except ValueError as error:
            raise ValueError(
                f"{owner}: layer {name!r}, a {type(module).__name__}: {error}; replace it, or convert the layers "
                "around it and put one of this library in its place"
            ) from error
        for part in parts:
            layers[str(len(layers))] = part

    walk("", model)
    if not any(isinstance(layer, Dynamics) for layer in layers.values()):
        raise ValueError(
            f"{owner}: expected a model with neurons, got {type(model).__name__} without; pass an nn.Sequential of its "
            "layers"
        )
    floats = (each.dtype for each in model.parameters() if each.is_floating_point())
    return Chain(layers).to(next(floats, torch.get_default_dtype())).train(model.training)
