"""What an inference costs: spikes, synaptic operations, energy."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ..activity.layers import fired, hooked, spiking_layers, undisturbed
from ..connections import GapJunction, LateralInhibition, PooledSum
from ..core.chain import Chain
from ..core.context import folded, real_steps
from ..core.fits import check_model, check_model_input
from ..core.lengths import check_lengths, padding
from ..core.network import Network
from ..core.quantities import Constrained
from ..core.state import State, first_leaf
from ..core.torch_private import NormBase
from ..layers import SpikingSelfAttention
from .weight_uses import WeightUses, countable

MULTIPLY_ACCUMULATE = 4.6
"""Energy of a multiplication and an addition in float32, 3.7 + 0.9 pJ, at 45 nm; Horowitz (2014), ISSCC, 10."""
ACCUMULATE = 0.9
"""Energy of an addition in float32, pJ, at 45 nm; Horowitz (2014), ISSCC, 10."""


@dataclass(frozen=True)
class LayerCost:
    """What one layer with weights did, for each sample.

    Args:
        name: name of the layer in the model.
        kind: its class.
        accumulates: weights that were added up, one for each spike that met one.
        multiply_accumulates: weights that were multiplied by a number and added up.
        dense: weights that one frame without zeros would meet.
    """

    name: str
    kind: str
    accumulates: float
    multiply_accumulates: float
    dense: float


class EfficiencyReport:
    """What an inference costs, on average over the samples seen; printed as a table.

    Args:
        layers: what each layer with weights did.
        spikes: spikes of all spiking layers, for each sample.
        left_out: layers whose operations are not counted, or not all: those between spikes in attention, for example.
    """

    def __init__(self, layers: list[LayerCost], spikes: float, left_out: list[str]):
        self.layers, self.spikes, self.left_out = {layer.name: layer for layer in layers}, spikes, left_out

    def __getitem__(self, name: str) -> LayerCost:
        return self.layers[name]

    def __iter__(self) -> Iterator[LayerCost]:
        return iter(self.layers.values())

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def accumulates(self) -> float:
        """Additions of weights, in all layers."""
        return sum(layer.accumulates for layer in self)

    @property
    def multiply_accumulates(self) -> float:
        """Multiplications of weights, in all layers."""
        return sum(layer.multiply_accumulates for layer in self)

    @property
    def dense(self) -> float:
        """Multiplications in one pass of the same layers without time, as of a network of rectifiers."""
        return sum(layer.dense for layer in self)

    def energy(self, *, multiply_accumulate: float = MULTIPLY_ACCUMULATE, accumulate: float = ACCUMULATE) -> float:
        """Energy of the synaptic operations, nJ.

        Args:
            multiply_accumulate: energy of a multiplication and an addition, pJ.
            accumulate: energy of an addition, pJ.
        """
        return (multiply_accumulate * self.multiply_accumulates + accumulate * self.accumulates) / 1000

    def __str__(self) -> str:
        rows = [("layer", "class", "AC", "MAC", "dense MAC")]
        rows += [
            (
                each.name or "(model)",
                each.kind,
                *(f"{n:.0f}" for n in (each.accumulates, each.multiply_accumulates, each.dense)),
            )
            for each in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        lines.append(f"{self.spikes:.1f} spikes, {self.energy():.3g} nJ for each sample")
        if self.left_out:
            lines.append(f"not counted: {', '.join(self.left_out)}")
        return "\n".join(lines)

    __repr__ = __str__


class EfficiencyCounter:
    """Counts inside a ``with`` block what all passes of a model cost.

    Args:
        model: any model of layers.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 5, bias=False), tdn.LIF(), nn.Linear(5, 2), tdn.LeakyIntegrator())
        >>> with EfficiencyCounter(model) as counter:
        ...     y = model(torch.ones(10, 4, 3))
        >>> counter.report()["0"].accumulates
        150.0
    """

    def __init__(self, model: nn.Module):
        check_model("EfficiencyCounter", model)
        self.model = model
        self.layers = {name: layer for name, layer in model.named_modules() if countable(layer)}
        inside = {part for layer in self.layers.values() for part in layer.modules() if part is not layer}
        self.layers = {name: layer for name, layer in self.layers.items() if layer not in inside}
        self.left_out = [name or "(model)" for name, module in model.named_modules() if self._unknown(module, inside)]
        self.stepped = set(_run_step_by_step(model))
        self.uses: dict[str, WeightUses] = {}
        self.frames: dict[str, int] = {}
        self.sums: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name in self.layers}
        self.spikes = 0.0
        self.samples = 0
        self._hooks: list = []

    def _unknown(self, module: nn.Module, inside: set[nn.Module]) -> bool:
        if module in self.layers.values() or module in inside or isinstance(module, (NormBase, Constrained)):
            return False
        if isinstance(module, (GapJunction, LateralInhibition, PooledSum, SpikingSelfAttention)):
            return True
        return any(p is not None and p.ndim > 1 for p in module._parameters.values()) and not _normalizes(module)

    def __enter__(self) -> "EfficiencyCounter":
        put = [partial(self.model.register_forward_pre_hook, self._begin)]
        put += [partial(layer.register_forward_hook, partial(self._see, name)) for name, layer in self.layers.items()]
        put += [partial(layer.register_forward_hook, self._fire) for layer in spiking_layers(self.model).values()]
        self.uses = {name: WeightUses(layer) for name, layer in self.layers.items()}
        self._hooks.append(hooked(put))
        self._hooks[-1].__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.pop().__exit__(*error)

    def _begin(self, model: nn.Module, inputs: tuple) -> None:
        self.frames.clear()
        self.samples += first_leaf(inputs[0]).shape[1]

    def _fire(self, layer: nn.Module, inputs: tuple, output: State) -> None:
        spikes, _ = fired(first_leaf(output))
        self.spikes += float(spikes.sum())

    @torch.no_grad()
    def _see(self, name: str, layer: nn.Module, inputs: tuple, output: State) -> None:
        x, lengths, uses = first_leaf(inputs[0]).detach(), real_steps(), self.uses[name]
        first = self.frames.get(name, 0)
        if layer in self.stepped:
            x = x.unsqueeze(0)
            self.frames[name] = first + 1
        elif (fold := folded()) is not None:
            x, first = fold.unpack(x), 0
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        if lengths is not None:
            check_lengths("EfficiencyCounter", lengths, x.shape[1], least=0)
            real = ~padding(lengths.to(x.device) - first, len(x))
        frames = x[real]
        dense = float(uses(torch.ones_like(x[0, :1])))
        sums = self.sums[name]
        sums[2] = dense
        # Counts are that many spikes; whatever else comes in is a number to multiply with.
        if bool(((frames >= 0) & (frames == frames.round())).all()):
            sums[0] += float(uses(frames).sum())
        else:
            sums[1] += dense * len(frames)

    def report(self) -> EfficiencyReport:
        """What has been counted so far, for each sample."""
        samples = max(self.samples, 1)
        layers = [
            LayerCost(name, type(layer).__name__, sums[0] / samples, sums[1] / samples, sums[2])
            for (name, layer), sums in zip(self.layers.items(), self.sums.values(), strict=True)
        ]
        # What was never called, but does something, does it in another way.
        unseen = [f"{name} (not called)" for name, sums in self.sums.items() if self.samples and not sums[2]]
        return EfficiencyReport(layers, self.spikes / samples, self.left_out + unseen)


def efficiency_report(model: nn.Module, x: State) -> EfficiencyReport:
    r"""Run a model and tell what an inference costs: spikes, synaptic operations, and their energy.

    A spike that comes into a layer adds each weight that it meets, one accumulate (AC) each; a count of 2 is two
    spikes. Where anything else comes in, numbers with fractions or below 0, each weight of each frame is multiplied
    (MAC), zeros included. Absent weights (zeros) count nothing, nor do biases, norms, which can be folded into the
    weights, and the neurons themselves. Frames that are all the same, of an image that is shown for some
    steps, count one by one.

    .. math:: E = 4.6\ \mathrm{pJ}\; n_{MAC} + 0.9\ \mathrm{pJ}\; n_{AC}

    which is arithmetic alone: the memory that weights come from may cost ten times as much.

    Args:
        model: any model; it is left as it was. Inside ``tdn.padded(lengths)`` only real steps count.
        x: an input of the model [T, B, \*].

    Returns:
        Averages over the samples, by layer; ``print`` shows a table.

    Source: Horowitz (2014), ISSCC, "Computing's energy problem (and what we can do about it)" (float32 at 45 nm).

    Example:
        >>> import torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 5, bias=False), tdn.LeakyIntegrator())
        >>> report = efficiency_report(model, torch.full((10, 4, 3), 0.5))
        >>> report.multiply_accumulates, round(report.energy(), 3)
        (150.0, 0.69)
    """
    check_model_input("efficiency_report", model, x)
    with undisturbed(model), EfficiencyCounter(model) as counter:
        model(x)
    return counter.report()


def _run_step_by_step(model: nn.Module) -> Iterator[nn.Module]:
    """The modules that see one frame at a time."""
    for module in model.modules():
        if isinstance(module, Network) or (isinstance(module, Chain) and module.learns):
            yield from (part for part in module.modules() if part is not module)


def _normalizes(module: nn.Module) -> bool:
    return isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm))
