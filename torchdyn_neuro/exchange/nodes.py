"""The NIR node of each layer that has one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from .. import integrators
from ..activity import CurrentScale
from ..connections import EventConv2d, OneToOne
from ..core.integrator import Integrator
from ..core.layers import is_plain_linear
from ..core.ode import ODE
from ..core.spiking import Spiking
from ..neurons import IF, LIF, LeakyIntegrator, ParametricLIF, SynapticLIF
from ..synapses import Delay, ExponentialSynapse
from .nir_library import OWN, has_field, library
from .spike_threshold import SpikeThreshold
from .units import MS_PER_S, seconds, spread


class Place(NamedTuple):
    """Where a layer stands: its name, the shapes of its frames without the batch, and whether metadata may say more."""

    name: str
    given: tuple[int, ...]
    shape: tuple[int, ...]
    metadata: bool


def node_of(layer: nn.Module, place: Place) -> Any:
    """The node that says what a layer does.

    Raises:
        ValueError: if NIR has none.
    """
    for kind, write in WRITERS.items():
        # A weight that follows from others is written as it is now.
        if parametrize.type_before_parametrizations(layer) is kind:
            node = write(layer, place)
            break
    else:
        if not is_plain_linear(layer):
            raise refusal(place.name, layer, "which is none of them", "replace it, or export the part in front")
        node = _linear(layer, place)
    node.input_type, node.output_type = {"input": np.array(place.given)}, {"output": np.array(place.shape)}
    return node


def refusal(name: str, layer: nn.Module, why: str, way: str) -> ValueError:
    return ValueError(
        f"to_nir: expected layers that NIR has a node for (linear and convolutional ones, LIF, IF, SynapticLIF, "
        f"LeakyIntegrator, ExponentialSynapse, Delay, OneToOne, CurrentScale, sum and average pooling, flattening, "
        f"thresholds and recurrent connections), got {name!r}, a {type(layer).__name__}, {why}; {way}"
    )


def _linear(layer: nn.Module, place: Place) -> Any:
    nir = library("to_nir")
    if len(place.given) != 1:
        raise refusal(place.name, layer, f"which acts on the last axis of frames {place.given}", "flatten them first")
    weight, bias = layer.weight, layer.bias
    if bias is None:
        return nir.Linear(weight=_array(weight))
    return nir.Affine(weight=_array(weight), bias=_array(bias))


def _convolution(layer: nn.Conv1d | nn.Conv2d, place: Place) -> Any:
    nir = library("to_nir")
    if layer.padding_mode != "zeros":
        raise refusal(place.name, layer, f"which pads with {layer.padding_mode!r}", "pad with zeros")
    plane = place.given[1:]
    settings = {
        "input_shape": plane[0] if len(plane) == 1 else np.array(plane),
        "weight": _array(layer.weight),
        "bias": _array(torch.zeros_like(layer.weight[:, 0].flatten(1)[:, 0]) if layer.bias is None else layer.bias),
        "groups": layer.groups,
    }
    for name in ("stride", "padding", "dilation"):
        value = _in_numbers(layer) if name == "padding" else getattr(layer, name)
        settings[name] = value[0] if len(plane) == 1 and not isinstance(value, str) else value
    return (nir.Conv1d if len(plane) == 1 else nir.Conv2d)(**settings)


def _in_numbers(layer: nn.Conv1d | nn.Conv2d) -> str | tuple[int, ...]:
    """The padding in numbers, which every version reads, where both sides get the same."""
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    both = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "same" and not any(pad % 2 for pad in both):
        return tuple(pad // 2 for pad in both)
    return layer.padding


def _pooling(layer: nn.AvgPool2d, place: Place) -> Any:
    nir = library("to_nir")
    kernel, stride, padding = (_pair(value) for value in (layer.kernel_size, layer.stride, layer.padding))
    if layer.ceil_mode:
        raise refusal(place.name, layer, "with ceil_mode", "build it without")
    if layer.divisor_override not in (None, 1, int(kernel.prod())):
        raise refusal(place.name, layer, f"which divides by {layer.divisor_override}", "divide by 1 or by its size")
    if layer.divisor_override is None and padding.any() and not layer.count_include_pad:
        raise refusal(place.name, layer, "which does not count its padding", "build it with count_include_pad=True")
    kind = nir.SumPool2d if layer.divisor_override == 1 else nir.AvgPool2d
    return kind(kernel_size=kernel, stride=stride, padding=padding)


def _flatten(layer: nn.Flatten, place: Place) -> Any:
    # NIR does not count the batch.
    first, last = (at if at < 0 else at - 1 for at in (layer.start_dim, layer.end_dim))
    if layer.start_dim == 0 or layer.end_dim == 0:
        raise refusal(place.name, layer, "which flattens the batch", "start at dimension 1")
    return library("to_nir").Flatten(input_type={"input": np.array(place.given)}, start_dim=first, end_dim=last)


def _scale(layer: OneToOne | CurrentScale, place: Place) -> Any:
    value = layer.weight if isinstance(layer, OneToOne) else layer.scale
    return library("to_nir").Scale(scale=_array(value.broadcast_to(place.shape)))


def _delay(layer: Delay, place: Place) -> Any:
    if layer.kernel != "linear":
        raise refusal(place.name, layer, f"which averages with a {layer.kernel} kernel", 'use kernel="linear"')
    return library("to_nir").Delay(delay=seconds(layer.delay(), place.shape))


def _threshold(layer: SpikeThreshold, place: Place) -> Any:
    return library("to_nir").Threshold(threshold=spread(layer.threshold(), place.shape))


def _leaky_integrator(cell: LeakyIntegrator, place: Place) -> Any:
    notes = _notes(cell, place, {})
    return library("to_nir").LI(
        tau=seconds(cell.tau_mem(), place.shape),
        r=spread(cell.R(), place.shape),
        v_leak=spread(cell.v_rest(), place.shape),
        metadata={OWN: notes} if notes else {},
    )


def _exponential(synapse: ExponentialSynapse, place: Place) -> Any:
    if synapse.output != "end":
        raise refusal(place.name, synapse, f'with output="{synapse.output}"', 'use output="end"')
    jump = 1.0 if synapse.normalize == "peak" else 1.0 / synapse.tau().double()
    return library("to_nir").LI(
        tau=seconds(synapse.tau(), place.shape),
        # A spike is one for a step, which brings r dt / tau.
        r=spread(synapse.tau().double() / synapse.dt * jump, place.shape),
        v_leak=np.zeros(place.shape),
        metadata={OWN: {"layer": "ExponentialSynapse", "normalize": synapse.normalize}},
    )


def _lif(cell: LIF, place: Place) -> Any:
    nir = library("to_nir")
    return nir.LIF(
        tau=seconds(cell.tau_mem(), place.shape),
        r=spread(cell.R(), place.shape),
        v_leak=spread(cell.v_rest(), place.shape),
        **_spiking(cell, place, nir.LIF),
    )


def _if(cell: IF, place: Place) -> Any:
    nir = library("to_nir")
    # NIR starts it at zero.
    rest = {"v_rest": spread(cell.v_rest(), place.shape)} if cell.v_rest().any() else {}
    return nir.IF(r=MS_PER_S / spread(cell.C(), place.shape), **_spiking(cell, place, nir.IF, beyond=rest))


def _synaptic_lif(cell: SynapticLIF, place: Place) -> Any:
    nir = library("to_nir")
    return nir.CubaLIF(
        tau_mem=seconds(cell.tau_mem(), place.shape),
        tau_syn=seconds(cell.tau_syn(), place.shape),
        r=spread(cell.R(), place.shape),
        v_leak=spread(cell.v_rest(), place.shape),
        # A spike is one for a step, which brings w_in dt / tau_syn; here it brings its weight.
        w_in=seconds(cell.tau_syn(), place.shape) / (cell.dt / MS_PER_S),
        **_spiking(cell, place, nir.CubaLIF, synapse="joint"),
    )


def _spiking(
    cell: Spiking, place: Place, kind: type, *, beyond: dict[str, Any] | None = None, **notes: Any
) -> dict[str, Any]:
    """Threshold and reset of a cell in the fields of a node, and in its metadata what they do not say."""
    for name in cell.terms:
        why = f"with {type(getattr(cell, name)).__name__} as {name}"
        raise refusal(place.name, cell, why, f"export it with {name}=None, or leave the layer out")
    beyond = dict(beyond or {})
    fields: dict[str, Any] = {"v_threshold": spread(cell.v_th(), place.shape)}
    goes_to = {"value": cell.v_reset, "zero": lambda: torch.zeros(())}.get(cell.reset)
    own = {"reset": cell.reset, **notes}
    if goes_to is not None and has_field(kind, "v_reset"):
        fields["v_reset"] = spread(goes_to(), place.shape)
    elif cell.reset == "value":
        beyond["reset"], beyond["v_reset"] = "value", spread(goes_to(), place.shape)
    elif cell.reset != "subtract" or has_field(kind, "v_reset") or cell.v_rest().any():
        beyond["reset"] = cell.reset
    if cell.t_ref:
        beyond["t_ref"] = cell.t_ref / MS_PER_S
    return {**fields, "metadata": {OWN: {**own, **_notes(cell, place, beyond)}}}


def _notes(cell: ODE, place: Place, beyond: dict[str, Any]) -> dict[str, Any]:
    """What stands in the metadata: what NIR cannot say, and the integrator, of which it says nothing."""
    if cell.noise is not None:
        raise refusal(place.name, cell, f"with {type(cell.noise).__name__} as noise", "export it with noise=None")
    method = {} if cell.integrator == _default(cell) else integrator_notes(place.name, cell)
    if cell.v_init is not None:
        beyond["v_init"] = spread(cell.v_init(), place.shape)
    if beyond and not place.metadata:
        said = ", ".join(f"{name}={value!r}" if isinstance(value, str) else name for name, value in beyond.items())
        raise refusal(
            place.name,
            cell,
            f"whose {said} the fields of this version of NIR do not say",
            "build it with what they say (reset to a value from NIR 1.0.5 on, by subtraction before, no refractory "
            "period, a start at rest), or pass metadata=True: from_nir reads it there, other programs do not",
        )
    return {**beyond, **method}


def _default(cell: ODE) -> Integrator:
    return type(cell)(dt=cell.dt).integrator


def integrator_notes(name: str, cell: ODE) -> dict[str, Any]:
    """The integrator of a cell, by its name and the numbers it was made of."""
    method = cell.integrator
    settings = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    known = getattr(integrators, type(method).__name__, None) is type(method)
    if not known or not all(isinstance(value, (int, float, str)) for value in settings.values()):
        raise refusal(name, cell, f"whose integrator is {method!r}", "use one such as ExponentialEuler() or Euler()")
    return {"integrator": type(method).__name__, **{f"integrator_{key}": value for key, value in settings.items()}}


def _array(value: torch.Tensor) -> np.ndarray:
    # numpy has no bfloat16.
    value = value.detach().cpu()
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy().copy()


def _pair(value: int | Sequence[int]) -> np.ndarray:
    return np.array([value, value] if isinstance(value, int) else list(value))


WRITERS: dict[type, Callable[[Any, Place], Any]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    EventConv2d: _convolution,
    nn.AvgPool2d: _pooling,
    nn.Flatten: _flatten,
    OneToOne: _scale,
    CurrentScale: _scale,
    Delay: _delay,
    SpikeThreshold: _threshold,
    LeakyIntegrator: _leaky_integrator,
    ExponentialSynapse: _exponential,
    LIF: _lif,
    ParametricLIF: _lif,
    IF: _if,
    SynapticLIF: _synaptic_lif,
}
"""Layers and how they are written; beside them any that computes x W^T + b and nothing else."""
