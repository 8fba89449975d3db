r"""Products with sparse weights that lie by presynaptic neuron, as operators of torch.

.. math:: y_{ri} = \sum_{k : i_k = i} x_{r j_k} w_k, \qquad u_{rj} = \sum_{k : j_k = j} g_{r i_k} w_k, \qquad
    v_k = \sum_r x_{r j_k} g_{r i_k}

for the synapses k, each from j to i. The derivatives of each of the three are the two others, so all orders of them are
as sparse as the first. The kernels leave out inputs of zero; what runs everywhere else is written below in torch.
"""

from typing import Any

import torch
from torch import Tensor

from ..core.transforms import active_transform, batched
from ..native.compiler import NUMBERS, arrays, header_library
from ..native.threads import threads_for
from .event_product import all_finite

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define("row_product(Tensor x, Tensor start, Tensor place, Tensor weight, int outputs) -> Tensor")
_library.define("row_product_back(Tensor g, Tensor start, Tensor place, Tensor weight) -> Tensor")
_library.define("row_product_outer(Tensor x, Tensor g, Tensor start, Tensor place) -> Tensor")


def row_product(x: Tensor, start: Tensor, place: Tensor, weight: Tensor, outputs: int) -> Tensor:
    """A frame times sparse weights.

    Args:
        x: [\\*, inputs].
        start: where the row of each input begins, int64 [inputs + 1].
        place: the output of each synapse, uint16 or int32.
        weight: of each synapse, in the type of ``x``.
        outputs: their number.
    """
    if _has_kernel(x, weight):
        return torch.ops.torchdyn_neuro.row_product(x, start, place, weight, outputs)
    return _product(x, start, place, weight, outputs)


def _has_kernel(*tensors: Tensor) -> bool:
    return (
        all(x.device.type == "cpu" and x.dtype in NUMBERS for x in tensors)
        and not batched(tensors)
        and (torch.compiler.is_compiling() or active_transform() is None)
    )


def _product(x: Tensor, start: Tensor, place: Tensor, weight: Tensor, outputs: int) -> Tensor:
    sent = x[..., _sources(start)] * weight
    return sent.new_zeros((*sent.shape[:-1], outputs)).index_add(-1, place.to(torch.int64), sent)


def _product_back(g: Tensor, start: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    sent = g[..., place.to(torch.int64)] * weight
    return sent.new_zeros((*sent.shape[:-1], len(start) - 1)).index_add(-1, _sources(start), sent)


def _product_outer(x: Tensor, g: Tensor, start: Tensor, place: Tensor) -> Tensor:
    return (x[..., _sources(start)] * g[..., place.to(torch.int64)]).flatten(0, -2).sum(0)


def _sources(start: Tensor) -> Tensor:
    """The input of each synapse."""
    return torch.repeat_interleave(torch.arange(len(start) - 1, device=start.device), start.diff())


def _back(g: Tensor, start: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    if _has_kernel(g, weight):
        return torch.ops.torchdyn_neuro.row_product_back(g, start, place, weight)
    return _product_back(g, start, place, weight)


def row_outer(x: Tensor, g: Tensor, start: Tensor, place: Tensor) -> Tensor:
    """The product of two frames [\\*, inputs] and [\\*, outputs] at every synapse, summed over all other axes."""
    if _has_kernel(x, g):
        return torch.ops.torchdyn_neuro.row_product_outer(x, g, start, place)
    return _product_outer(x, g, start, place)


def _run(name: str, tensors: list[Tensor], rows: int, start: Tensor, place: Tensor, outputs: int) -> bool:
    library = header_library(("native/memory.h", "sparse/row_product.h"), tensors[-1].dtype)
    if library is None:
        return False
    sizes = [threads_for(rows * len(place)), rows, len(start) - 1, outputs, place.element_size()]
    getattr(library, name)(*arrays([start, place, *tensors], sizes))
    return True


def _forward(x: Tensor, start: Tensor, place: Tensor, weight: Tensor, outputs: int) -> Tensor:
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    y = x.new_empty((*x.shape[:-1], outputs))
    tensors = [weight.contiguous(), rows, y]
    # Zero times what is not finite is not zero.
    if weight.numel() and all_finite(weight) and _run("row_product", tensors, len(rows), start, place, outputs):
        return y
    return _product(x, start, place, weight, outputs)


def _forward_back(g: Tensor, start: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    turned = g.reshape(-1, g.shape[-1]).t().contiguous()
    u = g.new_empty((len(start) - 1, turned.shape[1]))
    tensors = [weight.contiguous(), turned, u]
    if _run("row_product_back", tensors, turned.shape[1], start, place, g.shape[-1]):
        return u.t().reshape(*g.shape[:-1], -1).contiguous()
    return _product_back(g, start, place, weight)


def _forward_outer(x: Tensor, g: Tensor, start: Tensor, place: Tensor) -> Tensor:
    turned = [y.reshape(-1, y.shape[-1]).t().contiguous() for y in (x, g)]
    v = x.new_empty(place.shape)
    if all_finite(g) and _run("row_product_outer", [*turned, v], turned[0].shape[1], start, place, g.shape[-1]):
        return v
    return _product_outer(x, g, start, place)


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)))


def _of_forward(ctx: Any, g: Tensor) -> tuple:
    x, start, place, weight = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    return (
        _back(g, start, place, weight) if wanted[0] else None,
        None,
        None,
        row_outer(x, g, start, place) if wanted[3] else None,
        None,
    )


def _of_back(ctx: Any, u: Tensor) -> tuple:
    g, start, place, weight = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    return (
        row_product(u, start, place, weight, g.shape[-1]) if wanted[0] else None,
        None,
        None,
        row_outer(u, g, start, place) if wanted[3] else None,
    )


def _of_outer(ctx: Any, v: Tensor) -> tuple:
    x, g, start, place = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    return (
        _back(g, start, place, v) if wanted[0] else None,
        row_product(x, start, place, v, g.shape[-1]) if wanted[1] else None,
        None,
        None,
    )


def _register(name: str, run: Any, fake: Any, backward: Any) -> None:
    _library.impl(name, run, "CPU")
    torch.library.register_fake(f"torchdyn_neuro::{name}", fake, lib=_library)
    torch.library.register_autograd(f"torchdyn_neuro::{name}", backward, setup_context=_keep, lib=_library)


_register(
    "row_product",
    _forward,
    lambda x, start, place, weight, outputs: x.new_empty((*x.shape[:-1], outputs)),
    _of_forward,
)
_register(
    "row_product_back",
    _forward_back,
    lambda g, start, place, weight: g.new_empty((*g.shape[:-1], start.shape[0] - 1)),
    _of_back,
)
_register("row_product_outer", _forward_outer, lambda x, g, start, place: x.new_empty(place.shape), _of_outer)
