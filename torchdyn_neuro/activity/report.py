"""How much each layer of a model fires."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.fits import check_model, check_model_input
from ..core.state import State, first_leaf
from ..core.streaming import Streaming
from .layers import fired, hooked, spiking_layers, steps_per_spike, undisturbed

SATURATION = 0.95
"""Share of the highest possible rate beyond which a neuron counts as saturated."""


@dataclass(frozen=True)
class LayerActivity:
    """What one spiking layer did.

    Args:
        name: name of the layer in the model; of one that a pass calls several times, with the number of the call.
        kind: its class.
        neurons: shape of its neurons; ``None`` if the pass did not call it.
        rate: mean rate over neurons, rows and time, Hz.
        silent: share of its neurons that never fired.
        saturated: share of its neurons that fired in more than 95 % of the steps in which they could.
        scaled: what :func:`calibrate` scaled, and by how much; empty otherwise.
    """

    name: str
    kind: str
    neurons: tuple[int, ...] | None
    rate: float
    silent: float
    saturated: float
    scaled: str = ""

    @property
    def verdict(self) -> str:
        """``"silent"`` if no neuron fired, ``"saturated"`` if most can fire no faster, ``"not called"``, or nothing."""
        if self.neurons is None:
            return "not called"
        if self.silent == 1:
            return "silent"
        return "saturated" if self.saturated > 0.5 else ""


class ActivityReport:
    """The activity of every spiking layer of a model, in the order in which they run; printed as a table.

    Args:
        layers: what each layer did.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> report = tdn.activity_report(tdn.LIF(), torch.full((100, 1, 2), 2.0))
        >>> report[""].rate, report.silent
        (70.0, [])
    """

    def __init__(self, layers: list[LayerActivity]):
        self.layers = {layer.name: layer for layer in layers}

    def __getitem__(self, name: str) -> LayerActivity:
        return self.layers[name]

    def __iter__(self) -> Iterator[LayerActivity]:
        return iter(self.layers.values())

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def silent(self) -> list[str]:
        """Names of the layers in which no neuron fired."""
        return [layer.name for layer in self if layer.verdict == "silent"]

    @property
    def saturated(self) -> list[str]:
        """Names of the layers in which most neurons can fire no faster."""
        return [layer.name for layer in self if layer.verdict == "saturated"]

    def __str__(self) -> str:
        rows = [("layer", "class", "neurons", "Hz", "silent", "saturated", "", "scaled")]
        for layer in self:
            called = layer.neurons is not None
            numbers = (f"{layer.rate:.1f}", f"{layer.silent:.0%}", f"{layer.saturated:.0%}") if called else ("-",) * 3
            neurons = "x".join(map(str, layer.neurons)) if called else "-"
            rows.append((layer.name or "(model)", layer.kind, neurons, *numbers, layer.verdict.upper(), layer.scaled))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = {0, 1, 6, 7}
        lines = [
            "  ".join(
                text.ljust(width) if index in left else text.rjust(width)
                for index, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join(lines)

    __repr__ = __str__


def activity_report(model: nn.Module, x: State) -> ActivityReport:
    """Run a model and tell how much each of its spiking layers fires, and which are silent or saturated.

    The model is left as it was. Norms over the batch that are in training mode use the statistics of ``x``; dropout
    is off.

    Args:
        model: any model with spiking layers: an ``nn.Sequential``, a :class:`Chain`, a :class:`Stepwise` around
            another model.
        x: an input of the model.

    Returns:
        One :class:`LayerActivity` for each layer, by name, or for each of its calls, such as ``"act (call 2)"``;
        ``print`` shows a table.

    Raises:
        ValueError: if the model holds no spiking layer.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(tdn.LIF(), tdn.LIF())
        >>> print(tdn.activity_report(model, torch.full((100, 1, 2), 2.0)))
        layer  class  neurons    Hz  silent  saturated          scaled
        0      LIF          2  70.0      0%         0%
        1      LIF          2   0.0    100%         0%  SILENT
    """
    layers = layers_of(model, "activity_report")
    check_model_input("activity_report", model, x)
    with undisturbed(model):
        return measured(model, x, layers)


def layers_of(model: nn.Module, owner: str) -> dict[str, Dynamics]:
    """The spiking layers of a model; ``ValueError`` if there are none."""
    check_model(owner, model)
    if any(isinstance(module, Streaming) for module in model.modules()):
        raise ValueError(f"{owner}: expected a model that does not remember, got Streaming; pass the model inside it")
    layers = spiking_layers(model)
    if not layers:
        raise ValueError(
            f"{owner}: expected a model with spiking layers, got none in {type(model).__name__}; put some in, or let "
            "tdn.replace swap its activations for spiking ones"
        )
    return layers


def measured(
    model: nn.Module, x: State, layers: dict[str, Dynamics], scaled: Mapping[tuple[Dynamics, int], str] | None = None
) -> ActivityReport:
    """The report of one pass; ``scaled`` says what was scaled for which call of a layer."""
    called: list[tuple[Dynamics, Tensor]] = []

    def count(layer: Dynamics, inputs: tuple, output: State) -> None:
        spikes, steps = fired(first_leaf(output))
        called.append((layer, spikes / steps))

    with hooked([partial(layer.register_forward_hook, count) for layer in layers.values()]):
        model(x)
    names = {layer: name for name, layer in layers.items()}
    calls = Counter(layer for layer, _ in called)
    seen: Counter[Dynamics] = Counter()
    rows = []
    for layer, share in called:
        name, note = names[layer], (scaled or {}).get((layer, seen[layer]), "")
        seen[layer] += 1
        if calls[layer] > 1:
            name = f"{name} (call {seen[layer]})".strip()
        quickest = SATURATION / steps_per_spike(layer)
        rows.append(
            LayerActivity(
                name,
                type(layer).__name__,
                tuple(share.shape),
                share.mean().item() * 1000 / layer.dt,
                (share == 0).double().mean().item(),
                (share > quickest).double().mean().item(),
                note,
            )
        )
    idle = [layer for layer in layers.values() if layer not in calls]
    rows += [LayerActivity(names[layer], type(layer).__name__, None, 0.0, 1.0, 0.0) for layer in idle]
    return ActivityReport(rows)
