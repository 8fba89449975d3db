"""Sparse spike propagation: in inference, only the weights of neurons that spiked are read."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.recurrent import Recurrent

_SAMPLED_ROWS = 64
"""Rows whose activity stands for that of all: enough to choose a path, too few to cost anything."""
_FEWEST_OUTPUTS = 256
_LEAST_WORK = 2**20
"""Outputs, and multiplications of the dense product, below which it is the faster one at any activity: measured on
one core by ``benchmarks/events.py``."""
_LEAST_RECURRENT_WEIGHTS = 2**22
"""Size below which the fused loop of a ``Recurrent`` with a dense connection beats the eager one that gathers."""


class EventLinear(nn.Linear):
    r"""An ``nn.Linear`` for spikes: without gradients, it adds up the columns of the neurons that are active.

    .. math:: y_i = b_i + \sum_{j : x_j \ne 0} W_{ij} x_j

    The result is that of the dense product up to rounding, for counts and any other values as for spikes. The columns
    are gathered for all rows of [T, B] at once where the share of entries other than zero is at most ``most_active``
    and the layer is large enough to gain by it, on a CPU, outside autocast and compiled graphs; in all other cases, and
    wherever gradients are on, the dense product is taken. The weight keeps its shape and name, but lies in memory
    column by column.

    Args:
        in_features: number of presynaptic neurons.
        out_features: number of postsynaptic neurons.
        bias: whether a bias is added.
        most_active: highest share of active inputs at which columns are gathered, from 0 to 1. The default leaves a
            margin: a layer of 256 gains up to 3 to 10 %, one of 1024 up to 20 %. 1 gathers always.
        device, dtype: as in ``nn.Linear``.

    Shape:
        - input: [T, B, in_features] or any [\*, in_features]
        - output: [T, B, out_features]

    Raises:
        ValueError: if ``most_active`` is not from 0 to 1.

    Example:
        >>> layer = EventLinear(1000, 200)
        >>> with torch.no_grad():
        ...     layer((torch.rand(50, 4, 1000) < 0.02).float()).shape
        torch.Size([50, 4, 200])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        most_active: float = 0.05,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.most_active = _checked(most_active)
        _lay_out_by_column(self.weight)

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, most_active: float = 0.05) -> "EventLinear":
        """The same layer, with the very parameters (and hooks) of ``linear``.

        Args:
            linear: the layer; it goes on working, and trains the same parameters.
            most_active: as in the class.
        """
        layer = cls.__new__(cls)
        layer.__dict__ = {**linear.__dict__, "most_active": _checked(most_active)}
        _lay_out_by_column(layer.weight)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        if not self._may_gather(x):
            return super().forward(x)
        rows = x.reshape(-1, self.in_features)
        if self.most_active < 1 and not self._gains(rows):
            return super().forward(x)
        return self._gather(rows).unflatten(0, x.shape[:-1])

    def _gains(self, rows: Tensor) -> bool:
        if self.out_features < _FEWEST_OUTPUTS or rows.numel() * self.out_features < _LEAST_WORK:
            return False
        sample = rows[:: max(1, rows.shape[0] // _SAMPLED_ROWS)]
        return bool(torch.count_nonzero(sample) <= self.most_active * sample.numel())

    def _may_gather(self, x: Tensor) -> bool:
        return not (
            torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or x.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or x.ndim < 2
            or x.numel() == 0
            or x.shape[-1] != self.in_features  # left to the dense product, whose error says so
            or x.dtype != self.weight.dtype
        )

    def _gather(self, rows: Tensor) -> Tensor:
        row, column = rows.nonzero(as_tuple=True)
        first = torch.searchsorted(row, torch.arange(rows.shape[0]))
        columns = self.weight.t().contiguous()  # a copy only where the weight has been laid out anew
        y = functional.embedding_bag(column, columns, first, mode="sum", per_sample_weights=rows[row, column])
        return y if self.bias is None else y.add_(self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, most_active={self.most_active:g}"


def propagate_events(model: nn.Module, *, most_active: float = 0.05) -> nn.Module:
    """Let every ``nn.Linear`` of a model gather the columns of active neurons in inference.

    Each is replaced by an :class:`EventLinear` with the same parameters; names, state dict and training stay what they
    are. A layer whose input is dense notices it and takes the dense product. Subclasses and parametrised layers are
    left alone, and so are the connections of a ``Recurrent`` below 2048 neurons, whose fused loop is faster.

    Args:
        model: an ``nn.Sequential``, a ``Chain``, a ``Recurrent`` or any other module; changed in place.
        most_active: as in :class:`EventLinear`.

    Returns:
        The model; a new layer if it is an ``nn.Linear`` itself.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> propagate_events(tdn.Chain(nn.Linear(700, 256), tdn.LIF()))[0]
        EventLinear(in_features=700, out_features=256, bias=True, most_active=0.05)
    """
    replaced: dict[nn.Linear, EventLinear] = {}

    def replacement(linear: nn.Linear) -> EventLinear:
        if linear not in replaced:
            replaced[linear] = EventLinear.from_linear(linear, most_active=most_active)
        return replaced[linear]

    if type(model) is nn.Linear:
        return replacement(model)
    for module in list(model.modules()):
        least = _LEAST_RECURRENT_WEIGHTS if isinstance(module, Recurrent) else 0
        # Not named_children(), which names a layer that stands in two places only once.
        for name, child in list(module._modules.items()):
            if type(child) is nn.Linear and child.weight.numel() >= least:
                setattr(module, name, replacement(child))
    return model


def _checked(most_active: float) -> float:
    if not 0 <= most_active <= 1:
        raise ValueError(
            f"EventLinear: expected most_active from 0 to 1, got {most_active!r}; it is a share of the inputs"
        )
    return float(most_active)


def _lay_out_by_column(weight: nn.Parameter) -> None:
    """The same values and shape; what one presynaptic neuron sends out is contiguous."""
    with torch.no_grad():
        weight.data = weight.data.t().contiguous().t()
