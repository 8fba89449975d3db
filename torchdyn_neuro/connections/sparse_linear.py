"""A linear layer that holds the synapses there are, and no others."""

from typing import Any

import torch
from torch import Tensor, nn

from ..core.checks import whole_number
from ..core.inputs import check_numbers, check_tensor
from ..sparse.row_product import row_outer, row_product
from ..wiring import Given, Values, Wiring
from ..wiring.draw import draw, stream_of
from ..wiring.values import table_of


class SparseLinear(nn.Module):
    r"""A linear layer of sparse connections, whose memory and work are those of the synapses there are.

    .. math:: y_i = b_i + \sum_{k : i_k = i} w_k x_{j_k} \qquad \text{(synapse k leads from } j_k \text{ to } i_k)

    The weights are one parameter in the order of the presynaptic neurons. A synapse takes 4 bytes of weight and 2 of
    place (4 beyond 65,536 outputs), so 10^5 neurons with 1,000 synapses each take 600 MB where a dense matrix takes 40
    GB. The forward pass reads the synapses of active inputs alone, the gradient of the weights likewise; that of the
    inputs needs them all. All derivatives are sparse. On a GPU, inside ``torch.func`` and without a C++ compiler the
    same sums are taken by torch, with room for every pair of a row and a synapse.

    Args:
        in_features: number of presynaptic neurons.
        out_features: number of postsynaptic neurons.
        wiring: which of them are connected, e.g. ``wiring.FixedProbability(0.1)``.
        weight: a number or a distribution, e.g. ``wiring.Normal(0.0, 0.1)``; those of a ``wiring.Given`` that has
            weights if omitted.
        bias: whether a bias is added, which starts at zero.
        seed: of what is drawn, which depends on nothing else.
        device, dtype: as in ``nn.Linear``.

    Shape:
        - input: [T, B, in_features] or any [\*, in_features]
        - output: [T, B, out_features]

    Raises:
        TypeError: if ``wiring`` is none, or a number is none; from ``forward`` for what is no tensor of numbers.
        ValueError: if there is no such connectivity, or weights are missing or given twice; from ``forward`` for an
            input of another width.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.SparseLinear(1000, 500, tdn.wiring.FixedOutDegree(20), weight=0.1)
        >>> layer(torch.ones(3, 1000)).shape, layer.weight.shape
        (torch.Size([3, 500]), torch.Size([20000]))
    """

    start: Tensor
    place: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        wiring: Wiring,
        weight: float | Values | None = None,
        *,
        bias: bool = False,
        seed: int = 0,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.in_features = whole_number("SparseLinear", "in_features", in_features, 1)
        self.out_features = whole_number("SparseLinear", "out_features", out_features, 1)
        seed = whole_number("SparseLinear", "seed", seed, 0)
        if not isinstance(wiring, Wiring):
            raise TypeError(
                f"SparseLinear: expected a rule of connectivity as wiring, got {type(wiring).__name__}; pass e.g. "
                "wiring.FixedProbability(0.1)"
            )
        given = isinstance(wiring, Given) and wiring.weight is not None
        if given == (weight is not None):
            got = "both of them" if given else "none"
            raise ValueError(
                f"SparseLinear: expected weight= or the weights of a Given wiring, got {got}; pass one of the two"
            )
        if isinstance(wiring, Given) and wiring.delay is not None:
            raise ValueError(
                "SparseLinear: expected synapses without delays, got a Given wiring with some; use DelayedLinear, or a "
                "Projection of a SpikingNetwork"
            )
        dtype = dtype or torch.get_default_dtype()
        drawn_as = dtype if dtype == torch.float64 else torch.float32
        stream = stream_of(seed, 0)
        rule = wiring.rule(in_features, out_features, False, stream)
        rows = draw(rule, stream, table_of("SparseLinear", "weight", 0.0 if weight is None else weight), dtype=drawn_as)
        self.register_buffer("start", rows.start.to(device))
        self.register_buffer("place", rows.place.to(device))
        self.weight = nn.Parameter(rows.weight.to(device, dtype))
        self.bias = nn.Parameter(torch.zeros(out_features, device=device, dtype=dtype)) if bias else None

    @classmethod
    def from_dense(cls, weight: Tensor, bias: Tensor | None = None) -> "SparseLinear":
        """The weights [out_features, in_features] of a matrix that are not zero.

        Example:
            >>> SparseLinear.from_dense(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).weight.tolist()
            [3.0, 2.0]
        """
        rows, columns = weight.shape
        layer = cls(columns, rows, Given.from_dense(weight), bias=bias is not None, dtype=weight.dtype)
        if bias is not None:
            layer.bias.data.copy_(bias)
        return layer.to(weight.device)

    @classmethod
    def from_scipy(cls, matrix: Any, *, dtype: torch.dtype | None = None) -> "SparseLinear":
        """The entries of a SciPy matrix [out_features, in_features] of any sparse format."""
        return cls(matrix.shape[1], matrix.shape[0], Given.from_scipy(matrix), dtype=dtype)

    def __getstate__(self) -> dict[str, Any]:
        # torch 2.14 pickles no whole numbers of 16 bits without a sign.
        place = self.place.view(torch.int16) if self.place.dtype == torch.uint16 else self.place
        return {**self.__dict__, "_buffers": {**self._buffers, "place": place}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.place.dtype == torch.int16:
            self.place = self.place.view(torch.uint16)

    def sources(self) -> Tensor:
        """The presynaptic neuron of each synapse, int64 [synapses]."""
        return torch.repeat_interleave(torch.arange(self.in_features, device=self.start.device), self.start.diff())

    def to_dense(self) -> Tensor:
        """The weights as a matrix [out_features, in_features]; those between the same two neurons are added."""
        at = self.place.to(torch.int64) * self.in_features + self.sources()
        dense = self.weight.new_zeros(self.out_features * self.in_features)
        return dense.index_add(0, at, self.weight).unflatten(0, (self.out_features, self.in_features))

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these inputs, in the type of the weights."""
        check_tensor("SparseLinear", x, f"a tensor [..., {self.in_features}]")
        check_numbers(self, x, "SparseLinear")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"SparseLinear: expected an input [..., {self.in_features}], got shape {tuple(x.shape)}; build it for "
                "that number of inputs"
            )

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        y = row_product(x.to(self.weight.dtype), self.start, self.place, self.weight, self.out_features).to(x.dtype)
        return y if self.bias is None else y + self.bias

    def product(self, weight: Tensor, x: Tensor) -> Tensor:
        """The output for a frame with other weights: [synapses], or [B, synapses] for each row of the batch."""
        if weight.ndim == 1:
            y = row_product(x.to(weight.dtype), self.start, self.place, weight, self.out_features)
        else:
            y = self._summed(x[..., self.sources()] * weight)
        return y if self.bias is None else y + self.bias

    def pairs(self, post: Tensor, pre: Tensor, rows: bool) -> Tensor:
        """The product of two activities [B, \\*] at every synapse: for each row, or their sum."""
        if rows:
            return self.at_synapses(post) * pre[..., self.sources()]
        return row_outer(pre, post, self.start, self.place)

    def at_synapses(self, values: Tensor) -> Tensor:
        """One value for each neuron behind, [\\*, out_features], at the synapses that lead to it."""
        return values[..., self.place.to(torch.int64)]

    def over_inputs(self, values: Tensor) -> Tensor:
        """The sum of values [\\*, synapses] over all inputs of a neuron behind, at the synapses that lead to it."""
        return self.at_synapses(self._summed(values))

    def _summed(self, values: Tensor) -> Tensor:
        zeros = values.new_zeros((*values.shape[:-1], self.out_features))
        return zeros.index_add(-1, self.place.to(torch.int64), values)

    def extra_repr(self) -> str:
        synapses = f"{self.weight.numel()} synapses"
        return f"{self.in_features}, {self.out_features}, {synapses}, bias={self.bias is not None}"
