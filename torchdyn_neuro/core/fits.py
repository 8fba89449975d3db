"""Whether an input fits the layer that gets it: asked before torch is, whose own messages name no layer."""

from typing import Any

import torch
from torch import Tensor, nn

from .dynamics import Dynamics
from .inputs import check_numbers, check_tensor
from .torch_private import ConvNd, tree_leaves

_HOLDERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def check_model(owner: str, model: Any) -> None:
    """Raise ``TypeError`` if what should be a model is none."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{owner}: expected a model, got {type(model).__name__}; pass the module first")


def check_model_input(owner: str, model: nn.Module, x: Any) -> None:
    """Raise if ``x`` is no tensor or tree of tensors, or does not fit the first layer of ``model``.

    Args:
        owner: who runs the model, for messages.
        model: the model.
        x: its input.
    """
    check_model(owner, model)
    given = tree_leaves(x)
    for leaf in given or [x]:
        check_tensor(owner, leaf, "a tensor, or a tree of tensors")
    check_fits(owner, model, x)


def check_fits(owner: str, module: nn.Module, x: Any) -> None:
    """Raise if the first layer of a module is for one tensor, of another width or of another type than ``x``.

    Args:
        owner: who runs the module, for messages.
        module: any module; of what is not one of torch's own layers, nothing is known and nothing raised.
        x: a sequence or a frame, or a tree of them.
    """
    layer = _first(module)
    name = type(layer).__name__
    if not isinstance(x, Tensor):
        # Torch's own layers take one tensor; those that take several have no single argument to be given.
        if type(layer).__module__.startswith("torch.nn.modules") and not isinstance(layer, _HOLDERS):
            raise TypeError(
                f"{owner}: expected one tensor for {name}, got a {type(x).__name__}; pass the tensor alone (of a batch "
                "from a loader, its inputs), or use a module that takes them"
            )
        return
    if not isinstance(layer, (nn.Linear, ConvNd)):
        return
    check_numbers(layer, x, owner)
    if isinstance(layer, nn.Linear):
        width, argument, axis = layer.in_features, "in_features", -1
    else:
        width, argument, axis = layer.in_channels, "in_channels", -1 - len(layer.kernel_size)
    if width and x.ndim >= -axis and x.shape[axis] != width:
        raise ValueError(
            f"{owner}: expected an input of width {width} for {name}, got {x.shape[axis]} in shape {tuple(x.shape)}; "
            f"give the layer {argument}={x.shape[axis]}, or the input another width"
        )
    # Not the weight itself, which may follow from parameters and be computed at every look.
    dtype = next((weight.dtype for weight in layer.parameters() if weight.is_floating_point()), x.dtype)
    if x.is_floating_point() and x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f"{owner}: expected an input in {dtype} for {name}, got {x.dtype}; convert the module "
            "(module.double(), module.float()) or the input"
        )


def in_its_type(module: nn.Module, x: Tensor) -> Tensor:
    """What is kept in a wide type, in the narrower one that the first layer of a module, one of torch's, computes in.

    Args:
        module: any module.
        x: what it is to take.
    """
    layer = _first(module)
    if not isinstance(layer, (nn.Linear, ConvNd)):
        return x
    dtype = next((weight.dtype for weight in layer.parameters() if weight.is_floating_point()), x.dtype)
    return x.to(dtype) if dtype in (torch.bfloat16, torch.float16) else x


def _first(module: nn.Module) -> nn.Module:
    while isinstance(module, nn.Sequential) and len(module):
        module = module[0]
    return module


def check_width(owner: str, connection: nn.Module, fed: Tensor) -> None:
    """Raise if the connection of ``owner`` takes or gives another number of neurons than the input ``fed`` has."""
    check_fits(owner, connection, fed)
    if not isinstance(connection, Dynamics) and hasattr(connection, "check_input"):
        connection.check_input(fed)
    given = getattr(connection, "out_features", fed.shape[-1])
    if given not in (1, fed.shape[-1]):
        raise ValueError(
            f"{owner}: expected a connection to {fed.shape[-1]} neurons, as many as the input has in shape "
            f"{tuple(fed.shape)}, got {given} outputs of {type(connection).__name__}; give it "
            f"out_features={fed.shape[-1]}"
        )
