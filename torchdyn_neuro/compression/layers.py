"""Which layers of a model have weights that can be made smaller."""

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ..connections import OneToOne
from ..core.fits import check_model
from ..core.plastic import Plastic
from ..core.torch_private import NormBase
from ..layers import BatchNormThroughTime

OF_ELEMENTS = (NormBase, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, BatchNormThroughTime, OneToOne)
"""Layers whose weight scales elements, whatever its axes: it is in no product with the whole input."""


def weighted_layers(owner: str, model: nn.Module) -> dict[str, nn.Module]:
    """The layers with a weight of two axes or more, by name: linear, convolutional, delayed, event-driven.

    Raises:
        ValueError: if there are none, or the weight of one follows from another, is moved by a plasticity rule or is
            not finite.
    """
    check_model(owner, model)
    found = {
        name: module
        for name, module in model.named_modules()
        if not isinstance(module, OF_ELEMENTS) and (is_parametrized(module, "weight") or _axes(module) > 1)
    }
    if not found:
        raise ValueError(f"{owner}: expected layers with weights, got none in {type(model).__name__}")
    plastic = {id(each) for module in model.modules() if isinstance(module, Plastic) for each in module.modules()}
    for name, module in found.items():
        own = module._parameters.get("weight")
        if own is None or id(module) in plastic:
            why, way = _why_not(module, learns=id(module) in plastic)
            raise ValueError(
                f"{owner}: expected weights that are parameters of their own, got {name or 'the model'} "
                f"({type(module).__name__.removeprefix('Parametrized')}), whose weight {why}; {way}"
            )
        if not own.is_meta and not own.isfinite().all():
            raise ValueError(
                f"{owner}: expected finite weights, got NaN or infinity in {name or 'the model'} "
                f"({type(module).__name__}); take an earlier checkpoint"
            )
    return found


def _axes(module: nn.Module) -> int:
    """How many axes the weight of a layer has, also one that a hook makes of others in each pass."""
    weight = module._parameters.get("weight", module.__dict__.get("weight"))
    return weight.ndim if isinstance(weight, Tensor) else 0


def _why_not(module: nn.Module, learns: bool) -> tuple[str, str]:
    """Why a weight is none to be made smaller, and what to do."""
    if learns:
        return "is moved by a plasticity rule", "commit it to a linear layer first"
    if not is_parametrized(module, "weight"):
        return "is made by a hook", "make it final first: torch.nn.utils.prune.remove(layer, 'weight') after pruning"
    if "quantize" in {getattr(step, "owner", None) for step in module.parametrizations["weight"]}:
        return "is quantized already", "prune first and quantize last and once, the model as it was trained"
    return (
        "follows from another",
        "make it final first: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')",
    )
