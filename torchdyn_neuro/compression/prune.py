"""Weights that are gone."""

from torch import nn
from torch.nn.utils import prune as pruning

from ..core.checks import fraction
from .layers import weighted_layers


def prune(model: nn.Module, share: float) -> dict[str, float]:
    """Set the smallest weights of a model, in place, to zero: those of all its layers are compared with each other.

    Afterwards they are plain zeros: nothing keeps them there if the model is trained on (``torch.nn.utils.prune`` does,
    ``tdn.sparse`` too), and what is zero costs no operation on a machine that goes by events.

    Args:
        model: a trained model.
        share: of the weights of all layers that become zero, from 0 to 1.

    Returns:
        The share of zeros of each layer with weights, by name.

    Raises:
        ValueError: if ``share`` is no share, there are no weights, or one follows from another or is not finite.

    Source: Han et al. (2015), NeurIPS, "Learning both Weights and Connections for Efficient Neural Networks".

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
        >>> zeros = prune(model, 0.5)
        >>> sum(int((layer.weight == 0).sum()) for layer in model)
        20
    """
    fraction("prune", "share", share, of="the weights")
    layers = weighted_layers("prune", model)
    if share:
        pruning.global_unstructured(
            [(layer, "weight") for layer in layers.values()], pruning.L1Unstructured, amount=float(share)
        )
        for layer in layers.values():
            pruning.remove(layer, "weight")
    return {name: (layer.weight == 0).double().mean().item() for name, layer in layers.items()}
