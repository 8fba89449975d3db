"""Which layers of a model have weights that can be made smaller."""

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..core.fits import check_model
from ..core.plastic import Plastic


def weighted_layers(owner: str, model: nn.Module) -> dict[str, nn.Module]:
    """The layers with a weight of two axes or more, by name: linear, convolutional, delayed, event-driven.

    Raises:
        ValueError: if there are none, or the weight of one follows from another or is moved by a plasticity rule.
    """
    check_model(owner, model)
    found = {
        name: module
        for name, module in model.named_modules()
        if is_parametrized(module, "weight") or getattr(module._parameters.get("weight"), "ndim", 0) > 1
    }
    if not found:
        raise ValueError(f"{owner}: expected layers with weights, got none in {type(model).__name__}")
    plastic = {id(each) for module in model.modules() if isinstance(module, Plastic) for each in module.modules()}
    for name, module in found.items():
        if is_parametrized(module, "weight") or id(module) in plastic:
            why = "is moved by a plasticity rule" if id(module) in plastic else "follows from another"
            raise ValueError(
                f"{owner}: expected weights that are parameters of their own, got {name or 'the model'} "
                f"({type(module).__name__.removeprefix('Parametrized')}), whose weight {why}; "
                "make it final first: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
            )
    return found
