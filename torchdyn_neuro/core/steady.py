"""Sequences whose frames are all the same, such as an image shown for some steps: what knows no time sees one frame."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .context import real_steps_of
from .torch_private import any_global_hook, dispatch_mode_count, jit_tracer

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

_ALIKE = {
    *(nn.Sequential, nn.Identity, nn.Flatten, nn.Unflatten, nn.Linear),
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, *BATCH_NORMS),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink),
}
"""Layers, and no classes derived from them, that give the same output for the same input, without chance or memory."""
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_steady(x: Any) -> bool:
    """Whether all frames of a sequence lie in the same memory, as ``frame.expand(T, *frame.shape)`` has them.

    What is traced or compiled is for other inputs too, so there no sequence counts as steady.

    Example:
        >>> is_steady(torch.rand(2, 3).expand(4, 2, 3)), is_steady(torch.zeros(4, 2, 3))
        (True, False)
    """
    return (
        isinstance(x, Tensor)
        and x.layout is torch.strided
        and x.ndim > 2
        and x.shape[0] > 1
        and x.stride(0) == 0
        and not torch.compiler.is_compiling()
        and jit_tracer() is None
        and not dispatch_mode_count()
    )


def over_steady(layer: nn.Module, x: Tensor, run: Callable[[Tensor], Any]) -> Any:
    r"""``run(x)``, by one frame if ``x`` [T, B, \*] is steady and ``layer``, which is all that runs, treats all alike.

    The result is the same but for rounding, and T times cheaper. The running variance of a batch norm counts its
    samples: it gets the factor by which that of all frames is larger.

    Args:
        layer: knows no time.
        x: the sequence.
        run: the layer on a sequence.
    """
    # Padding differs from row to row, and norms leave it out.
    if not is_steady(x) or real_steps_of(layer) is not None or any_global_hook():
        return run(x)
    if not all(map(_is_alike, layer.modules())):
        return run(x)
    norms = [part for part in layer.modules() if type(part) in BATCH_NORMS and part.training]
    if not norms:
        return _repeated(run(x[:1]), x.shape[0])
    # How many samples a norm inside another layer counts is not known here.
    if norms != [layer] or x[0].numel() <= layer.num_features:
        return run(x)
    before = None if layer.running_var is None else layer.running_var.clone()
    y = run(x[:1])
    if before is not None:
        samples, steps = x[0].numel() // layer.num_features, x.shape[0]
        share = 1 / layer.num_batches_tracked if layer.momentum is None else layer.momentum
        excess = steps * (samples - 1) / (steps * samples - 1) - 1
        # Autograd has kept this tensor for the backward pass, though it reads only what the batch gave.
        layer.running_var.data.add_((layer.running_var.data - (1 - share) * before) * excess)
    return _repeated(y, x.shape[0])


def _is_alike(part: nn.Module) -> bool:
    if "forward" in vars(part) or any(vars(part)[hooks] for hooks in _HOOKS):
        return False
    return type(part) in _ALIKE or (type(part) in _DROPOUTS and not part.training) or getattr(part, "alike", False)


def is_frame_by_frame(layer: nn.Module) -> bool:
    """Whether a layer is known to treat each frame by itself, by chance or not."""
    return type(layer) in _ALIKE or type(layer) in _DROPOUTS or getattr(layer, "alike", False)


def _repeated(y: Any, steps: int) -> Any:
    return y.expand(steps, *y.shape[1:]) if isinstance(y, Tensor) else y
