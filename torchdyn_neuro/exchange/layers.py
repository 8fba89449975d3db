"""The layer of each NIR node that has one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import integrators
from ..connections import OneToOne
from ..core.chain import Chain
from ..core.integrator import Integrator
from ..core.surrogate import Surrogate
from ..neurons import IF, LIF, LeakyIntegrator, SynapticLIF
from ..surrogates import ATan
from ..synapses import Delay, ExponentialSynapse
from .nir_library import OWN
from .spike_threshold import SpikeThreshold
from .units import MS_PER_S, gathered, milliseconds, undone


@dataclass(frozen=True)
class Reading:
    """How nodes are read: the step in ms, and what NIR leaves open; ``None`` for what the metadata says, or a default.

    Args:
        dt: time step, ms.
        dtype: of values and weights.
        integrator: of all neurons.
        synapse: of a ``CubaLIF``: ``"first"`` or ``"joint"``.
        reset: ``"subtract"`` or ``"value"``.
        surrogate: slope of the spikes.
    """

    dt: float
    dtype: torch.dtype
    integrator: Integrator | None = None
    synapse: str | None = None
    reset: str | None = None
    surrogate: Surrogate = field(default_factory=ATan)

    def layer(self, name: str, node: Any) -> nn.Module:
        """The layer that does what a node says.

        Raises:
            ValueError: if the library has none, or the node says what no layer can.
        """
        read = READERS.get(type(node).__name__)
        if read is None:
            raise ValueError(
                f"from_nir: expected nodes that the library has a layer for ({', '.join(READERS)}), got {name!r}, a "
                f"{type(node).__name__}; take it out of the graph"
            )
        try:
            return read(self, node)
        except (TypeError, ValueError) as error:
            raise ValueError(f"from_nir: node {name!r}, {type(node).__name__}: {error}") from error

    def value(self, array: np.ndarray) -> float | torch.Tensor:
        return gathered(array, self.dtype)

    def time(self, array: np.ndarray) -> float | torch.Tensor:
        return gathered(milliseconds(array), self.dtype)

    def weight(self, array: np.ndarray) -> nn.Parameter:
        return nn.Parameter(torch.tensor(np.asarray(array), dtype=self.dtype))

    def method(self, notes: dict[str, Any]) -> dict[str, Any]:
        """The integrator of a cell, as an argument; none for its default."""
        if self.integrator is not None:
            return {"integrator": self.integrator}
        if "integrator" not in notes:
            return {}
        settings = {key[11:]: _number(value) for key, value in notes.items() if key.startswith("integrator_")}
        return {"integrator": getattr(integrators, notes["integrator"])(**settings)}

    def spiking(self, node: Any) -> dict[str, Any]:
        """Threshold, reset, and all else that spiking cells share, as arguments."""
        notes = notes_of(node)
        options = {"v_th": self.value(node.v_threshold), "surrogate": self.surrogate, "dt": self.dt}
        goes_to = notes.get("v_reset", getattr(node, "v_reset", None))
        reset = notes.get("reset", "subtract" if goes_to is None else "value")
        options["reset"] = reset if self.reset is None else self.reset
        if options["reset"] == "value":
            options["v_reset"] = self.value(np.zeros(()) if goes_to is None else goes_to)
        if "t_ref" in notes:
            options["t_ref"] = float(milliseconds(notes["t_ref"]))
        return {**options, **self.start(notes), **self.method(notes)}

    def start(self, notes: dict[str, Any]) -> dict[str, Any]:
        return {"v_init": self.value(notes["v_init"])} if "v_init" in notes else {}


def notes_of(node: Any) -> dict[str, Any]:
    """What :func:`to_nir` has written into the metadata of a node."""
    return dict((getattr(node, "metadata", None) or {}).get(OWN, {}))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value


def _linear(reading: Reading, node: Any) -> nn.Linear:
    if node.weight.ndim != 2:
        raise ValueError(f"expected a matrix of weights, got shape {node.weight.shape}; split it into several nodes")
    bias = getattr(node, "bias", None)
    layer = nn.utils.skip_init(nn.Linear, node.weight.shape[1], node.weight.shape[0], bias=bias is not None)
    return _with_weights(reading, layer, node.weight, bias)


def _with_weights(reading: Reading, layer: nn.Module, weight: np.ndarray, bias: np.ndarray | None) -> nn.Module:
    layer.weight = reading.weight(weight)
    if bias is not None:
        if np.shape(bias) != (len(weight),):
            raise ValueError(f"expected a bias of shape ({len(weight)},), got {np.shape(bias)}; give one per output")
        layer.bias = reading.weight(bias)
    return layer


def _convolution(reading: Reading, node: Any) -> nn.Conv1d | nn.Conv2d:
    outputs, inputs, *kernel = node.weight.shape
    kind, groups = (nn.Conv1d, nn.Conv2d)[len(kernel) - 1], int(node.groups)
    settings = {name: _sizes(getattr(node, name), len(kernel)) for name in ("stride", "padding", "dilation")}
    settings["bias"] = node.bias is not None
    layer = nn.utils.skip_init(kind, inputs * groups, outputs, tuple(kernel), groups=groups, **settings)
    return _with_weights(reading, layer, node.weight, node.bias)


def _sizes(value: Any, axes: int) -> str | tuple[int, ...]:
    """A size for each axis, from one for all or one for each; or a word such as ``"same"``."""
    if isinstance(value, (str, bytes)):
        return value.decode() if isinstance(value, bytes) else value
    sizes = [int(size) for size in np.atleast_1d(value)]
    return tuple(sizes * axes if len(sizes) == 1 else sizes)


def _pooling(reading: Reading, node: Any) -> nn.AvgPool2d:
    sizes = [_sizes(getattr(node, name), 2) for name in ("kernel_size", "stride", "padding")]
    return nn.AvgPool2d(*sizes, divisor_override=1 if type(node).__name__ == "SumPool2d" else None)


def _flatten(reading: Reading, node: Any) -> nn.Flatten:
    # NIR does not count the batch.
    return nn.Flatten(*(int(at) if at < 0 else int(at) + 1 for at in (node.start_dim, node.end_dim)))


def _scale(reading: Reading, node: Any) -> OneToOne:
    scale = np.atleast_1d(node.scale)
    layer = OneToOne(scale.shape)
    layer.weight = reading.weight(scale)
    return layer


def _delay(reading: Reading, node: Any) -> Delay:
    return Delay(reading.time(node.delay), dt=reading.dt)


def _threshold(reading: Reading, node: Any) -> SpikeThreshold:
    return SpikeThreshold(reading.value(node.threshold), surrogate=reading.surrogate)


def _leaky_integrator(reading: Reading, node: Any) -> LeakyIntegrator | ExponentialSynapse:
    notes = notes_of(node)
    if notes.get("layer") == "ExponentialSynapse":
        return ExponentialSynapse(reading.time(node.tau), normalize=notes["normalize"], dt=reading.dt)
    options = {"R": reading.value(node.r), "v_rest": reading.value(node.v_leak), "dt": reading.dt}
    return LeakyIntegrator(reading.time(node.tau), **options, **reading.start(notes), **reading.method(notes))


def _lif(reading: Reading, node: Any) -> LIF:
    options = {"R": reading.value(node.r), "v_rest": reading.value(node.v_leak)}
    return LIF(reading.time(node.tau), **options, **reading.spiking(node))


def _if(reading: Reading, node: Any) -> IF:
    # C dv/dt = I, in ms.
    capacitance = undone(lambda C: MS_PER_S / C, np.float64(node.r), MS_PER_S / np.float64(node.r))
    rest = reading.value(notes_of(node).get("v_rest", np.zeros(())))
    return IF(C=gathered(capacitance, reading.dtype), v_rest=rest, **reading.spiking(node))


def _cuba_lif(reading: Reading, node: Any) -> SynapticLIF | Chain:
    options = reading.spiking(node)
    synapse = notes_of(node).get("synapse", "first") if reading.synapse is None else reading.synapse
    if synapse == "first":
        membrane = {"R": reading.value(node.r), "v_rest": reading.value(node.v_leak)}
        return Chain(
            synapse=_synapse(reading, node, node.w_in),
            neuron=LIF(reading.time(node.tau_mem), **membrane, **options),
        )
    # Of the current, w_in dt / tau_syn is the jump of a spike; what is not one goes to the resistance.
    jump = np.float64(node.w_in) * (reading.dt / MS_PER_S) / np.float64(node.tau_syn)
    resistance = np.where(np.abs(jump - 1) < 1e-12, node.r, node.r * jump)
    return SynapticLIF(
        reading.time(node.tau_mem),
        reading.time(node.tau_syn),
        R=reading.value(resistance),
        v_rest=reading.value(node.v_leak),
        **options,
    )


def _cuba_li(reading: Reading, node: Any) -> Chain:
    membrane = {"R": reading.value(node.r), "v_rest": reading.value(node.v_leak), "dt": reading.dt}
    method = reading.method(notes_of(node))
    return Chain(
        synapse=_synapse(reading, node, node.w_in),
        membrane=LeakyIntegrator(reading.time(node.tau_mem), **membrane, **method),
    )


def _synapse(reading: Reading, node: Any, w_in: np.ndarray) -> LeakyIntegrator:
    """The current of a node with one: tau_syn dI/dt = -I + w_in S is a leaky integrator."""
    method = reading.method(notes_of(node))
    return LeakyIntegrator(reading.time(node.tau_syn), R=reading.value(w_in), dt=reading.dt, **method)


READERS: dict[str, Callable[[Reading, Any], nn.Module]] = {
    "Affine": _linear,
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _pooling,
    "AvgPool2d": _pooling,
    "Flatten": _flatten,
    "Scale": _scale,
    "Delay": _delay,
    "Threshold": _threshold,
    "LI": _leaky_integrator,
    "LIF": _lif,
    "IF": _if,
    "CubaLIF": _cuba_lif,
    "CubaLI": _cuba_li,
}
"""Nodes, by their names in NIR, and how they are read."""
