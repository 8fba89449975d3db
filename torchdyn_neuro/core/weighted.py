"""A connection as a function of its weight, which is given from outside: for each row of the batch, or one for all."""

import functools
from collections.abc import Callable

from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.utils.parametrize import is_parametrized

from .dynamics import Dynamics
from .layers import has_hooks, is_plain_linear

_OTHERWISE = (
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.EmbeddingBag, nn.Bilinear),
)
"""Layers whose weight has other axes than post and pre."""


class Weighted:
    """What :class:`Plastic` asks of a connection: its current, and what two activities do to each of its weights.

    Args:
        connection: a layer that is linear in its ``weight``: ``nn.Linear``, a convolution, one of either that is
            thinned out by a mask, or one with a weight for each synapse, [synapses].

    Raises:
        TypeError: if the layer has no weight, or one that follows from another in another way than by a mask.
    """

    def __init__(self, connection: nn.Module):
        self.connection = connection
        self.name = _place(connection)

    def check(self) -> None:
        """Raise ``ValueError`` if the weight has not two axes at least, for post and pre; ``TypeError`` for others."""
        weight = self.parameter
        if weight.ndim > 1 and isinstance(self.connection, _OTHERWISE):
            raise TypeError(
                f"Plastic: expected a layer whose weight is [post, pre, *], got {type(self.connection).__name__}, "
                "whose weight has other axes; use nn.Linear or a convolution"
            )
        if weight.ndim < 2 and not self.by_synapse:
            raise ValueError(
                f"Plastic: expected a weight [post, pre, *], got shape {tuple(weight.shape)}; use nn.Linear or a "
                "convolution"
            )

    @property
    def parameter(self) -> nn.Parameter:
        """Where the weight is kept."""
        return self.connection.get_parameter(self.name)

    @property
    def mask(self) -> Tensor | None:
        """True where there is a connection; ``None`` where all are."""
        if self.name == "weight":
            return None
        return self.connection.parametrizations["weight"][0].mask

    @property
    def dense(self) -> bool:
        """Whether each output is a weighted sum over one axis of inputs."""
        return isinstance(self.connection, nn.Linear) and is_plain_linear(self.connection)

    @property
    def by_synapse(self) -> bool:
        """Whether there is one weight for each synapse, [synapses]: the connection says itself what they do."""
        return hasattr(type(self.connection), "at_synapses")

    def inputs(self, weight: Tensor) -> int | None:
        """The number of neurons before such weights; ``None`` where frames have places."""
        if self.by_synapse:
            return self.connection.in_features
        return weight.shape[-1] if self.dense else None

    def outputs(self, weight: Tensor, rows: bool) -> int:
        """The number of neurons, or of channels, behind such weights."""
        return self.connection.out_features if self.by_synapse else weight.shape[rows]

    def current(self, weight: Tensor, x: Tensor, rows: bool, *, hooks: bool = True) -> Tensor:
        """What the connection gives for a frame ``x`` [B, pre, \\*] with this weight: one for each row, or for all.

        Hooks of the connection see the whole frame, once in a step, unless ``hooks`` is false.
        """
        if self.by_synapse:
            run = functools.partial(self.connection.product, weight)
        elif self.dense:
            run = functools.partial(self._dense, weight, rows)
        else:
            call = functools.partial(self._call, self.connection.forward)
            run = functools.partial(vmap(call) if rows else call, weight)
        return self._seen(x, run) if hooks and has_hooks(self.connection) else run(x)

    def _dense(self, weight: Tensor, rows: bool, x: Tensor) -> Tensor:
        y = (weight * x.unsqueeze(-2)).sum(-1) if rows else x @ weight.mT
        return y if self.connection.bias is None else y + self.connection.bias

    def _seen(self, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``run`` gives for x, past the hooks of the connection, whose own weight is not asked."""
        layer, own = self.connection, vars(self.connection).get("forward")
        try:
            layer.forward = run
            return layer(x)
        finally:
            del layer.forward
            if own is not None:
                layer.forward = own

    def _call(self, forward: Callable[[Tensor], Tensor], weight: Tensor, x: Tensor) -> Tensor:
        """What the connection's own ``forward`` gives with another weight, past its hooks."""
        layer, bias, prefix = self.connection, getattr(self.connection, "bias", None), ""
        if has_hooks(layer):
            layer, prefix = _Unheard(layer, forward), "layer."
        values = {prefix + self.name: weight}
        if isinstance(bias, nn.Parameter) and bias.dtype != weight.dtype:
            values[prefix + "bias"] = bias.to(weight.dtype)  # the state has more digits than the module
        return functional_call(layer, values, (x,))

    def pairs(self, weight: Tensor, post: Tensor, pre: Tensor, rows: bool) -> Tensor:
        """``post`` times ``pre`` for each weight: summed over the places that share it and, unless by rows, the batch.

        It is the gradient of :math:`\\sum post \\cdot y` by the weight, for whatever is linear in it.
        """
        if self.by_synapse:
            return self.connection.pairs(post, pre, rows)
        if self.dense:
            return post.unsqueeze(-1) * pre.unsqueeze(-2) if rows else post.mT @ pre

        call = functools.partial(self._call, self.connection.forward)

        def pull(post: Tensor, pre: Tensor) -> Tensor:
            return vjp(lambda weight: call(weight, pre), weight if not rows else weight[0])[1](post)[0]

        return vmap(pull)(post, pre) if rows else pull(post, pre)


class _Unheard(nn.Module):
    """A layer whose hooks are not called.

    Args:
        layer: whose parameters are meant.
        forward: its own.
    """

    def __init__(self, layer: nn.Module, forward: Callable[[Tensor], Tensor]):
        super().__init__()
        self.layer, self.run = layer, forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def _place(connection: nn.Module) -> str:
    """The name of the parameter that is the weight; its value is not looked at, for this is asked in every step."""
    if not isinstance(connection, nn.Module) or isinstance(connection, Dynamics):
        steps = None
    elif connection._parameters.get("weight") is not None:
        return "weight"
    else:
        steps = connection.parametrizations["weight"] if is_parametrized(connection, "weight") else ()
    if steps and len(steps) == 1 and hasattr(steps[0], "mask"):
        return "parametrizations.weight.original"
    if steps is None or not (steps or isinstance(getattr(connection, "weight", None), Tensor)):
        raise TypeError(
            f"Plastic: expected a layer with a weight, got {type(connection).__name__}; pass e.g. nn.Linear(8, 4)"
        )
    raise TypeError(
        f"Plastic: expected a layer whose weight is a parameter, got {type(connection).__name__}, whose "
        "weight follows from another (dale, weight_norm, pruning), past which a rule would learn; pass "
        "nn.Linear, and give the rule bounds for weights of one sign"
    )
