"""Products of whole numbers, for the layers that see a whole sequence at once."""

from torch import nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.fits import check_model


def quantize_products(model: nn.Module) -> list[str]:
    """Let the linear layers of a trained model, in place, multiply numbers of 8 bits: inputs are rounded row by row.

    Numbers move by up to a 255th of the largest in their row, of the input as of the weight; a 0 stays 0. Only
    ``nn.Linear`` that is called with whole sequences is meant: what is inside of recurrent layers and networks has
    loops of its own, and convolutions keep their products; :func:`quantize` makes their weights small. For inference;
    whether it is faster depends on the machine: measure it.

    Args:
        model: a trained model.

    Returns:
        The names of the layers that were changed.

    Raises:
        ImportError: without torchao.
        ValueError: if there is no such layer.

    Source: torchao, ``Int8DynamicActivationInt8WeightConfig``.

    Example:
        >>> quantize_products(nn.Sequential(nn.Linear(64, 32), nn.ReLU()))  # doctest: +SKIP
        ['0']
    """
    check_model("quantize_products", model)
    try:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    except ImportError as error:
        raise ImportError(
            "quantize_products: expected torchao, which multiplies whole numbers, found none; get it with: "
            'pip install "torchdyn_neuro[quantization]"'
        ) from error
    loops = [part for part in model.modules() if isinstance(part, Dynamics) and not isinstance(part, Chain)]
    inside = {layer for loop in loops for layer in loop.modules()}
    chosen = {name: layer for name, layer in model.named_modules() if type(layer) is nn.Linear and layer not in inside}
    if not chosen:
        raise ValueError(
            f"quantize_products: expected nn.Linear outside of recurrent layers, got none in {type(model).__name__}; "
            "quantize() takes every layer with weights"
        )
    quantize_(model, Int8DynamicActivationInt8WeightConfig(), filter_fn=lambda layer, name: name in chosen)
    return list(chosen)
