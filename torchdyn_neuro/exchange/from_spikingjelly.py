"""A model of SpikingJelly as a model of this library."""

import operator

import torch
from torch import nn

from ..core.chain import Chain
from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.fits import check_model
from ..core.recurrent import Recurrent
from ..integrators import Euler
from ..layers import SpikingDropout
from ..neurons import IF, LIF, LeakyIntegrator
from ..synapses import Delay, ExponentialSynapse
from .elsewhere import PLAIN, converted, leaky, number, plain, tau_of


def from_spikingjelly(model: nn.Module, dt: float = 1.0) -> Chain:
    r"""A model of SpikingJelly as a chain with the same weights, which spikes in the same steps.

    ``IFNode``, ``LIFNode``, ``ParametricLIFNode``, ``CUBALIFNode``, ``NonSpikingLIFNode``, ``Delay``, ``Dropout``,
    ``LinearRecurrentContainer``, ``ElementWiseRecurrentContainer`` (of a sum) and the layers of torch, wrapped or not,
    are mapped:

    - ``tau`` counts steps and is taken by Euler's method: ``tau_mem = tau dt``, ``integrator=Euler()``. A ``tau`` below
      2, where that warns, is the exact ``tau_mem = -dt / ln(1 - 1 / tau)``.
    - ``decay_input=True`` is ``R=1``, ``False`` ``R=tau``.
    - ``v_reset=None`` is ``reset="subtract"``, any other both the resting potential and ``reset="value"``.

    Args:
        model: an ``nn.Sequential`` of layers, or one layer; it stays as it is.
        dt: length of its step, ms.

    Returns:
        A chain that maps [T, B, \*] to [T, B, \*]. Values of neurons are copied and not learned.

    Raises:
        ImportError: without SpikingJelly.
        TypeError: if ``model`` is none.
        ValueError: naming the layer that does not map, with the reason.

    Source: Fang et al. (2023), Sci. Adv. 9:eadi1480, and the published code.
    """
    check_model("from_spikingjelly", model)
    positive_number("from_spikingjelly", "dt", dt, unit="ms")
    from spikingjelly.activation_based import layer as layers
    from spikingjelly.activation_based import neuron

    neurons = {
        neuron.IFNode: _if,
        neuron.LIFNode: _lif,
        neuron.ParametricLIFNode: _lif,
        neuron.CUBALIFNode: _cuba_lif,
        neuron.NonSpikingLIFNode: _leaky_integrator,
    }

    def convert(part: nn.Module) -> list[nn.Module]:
        kind = type(part)
        if kind in neurons:
            return [neurons[kind](part, dt)]
        if kind is layers.Delay:
            return [Delay(part.delay_steps * dt, dt=dt)]
        if kind is layers.Dropout:
            return [SpikingDropout(part.p, dt=dt)]
        if kind is layers.LinearRecurrentContainer:
            return _recurrent(part, _one(convert(part.sub_module)))
        if kind is layers.ElementWiseRecurrentContainer:
            if part.element_wise_function not in (operator.add, torch.add):
                raise ValueError("expected element_wise_function=torch.add, for feedback is added to the input")
            return [Recurrent(_one(convert(part.sub_module)), nn.Identity())]
        if kind.__module__.startswith("spikingjelly") and isinstance(part, PLAIN):
            base = next(base for base in kind.__mro__ if base in PLAIN)
            if kind.__name__ == base.__name__:
                return [plain(part)]
        raise ValueError(
            "expected IFNode, LIFNode, ParametricLIFNode, CUBALIFNode, NonSpikingLIFNode, Delay, Dropout, a recurrent "
            "container or a layer of torch"
        )

    containers = (nn.Sequential, layers.SeqToANNContainer, layers.MultiStepContainer)
    return converted("from_spikingjelly", model, convert, containers)


def _one(parts: list[nn.Module]) -> Dynamics:
    if len(parts) != 1 or not isinstance(parts[0], Dynamics):
        raise ValueError("expected one layer of neurons in a recurrent container")
    return parts[0]


def _spiking(node: nn.Module, dt: float) -> dict[str, object]:
    options = {"v_th": node.v_threshold, "detach_reset": node.detach_reset, "dt": dt}
    if node.v_reset is None:
        return {**options, "reset": "subtract"}
    return {**options, "reset": "value", "v_reset": node.v_reset, "v_rest": node.v_reset}


def _if(node: nn.Module, dt: float) -> IF:
    return IF(C=dt, **_spiking(node, dt))


def _lif(node: nn.Module, dt: float) -> LIF:
    tau = node.tau if hasattr(node, "tau") else (1 / node.w.detach().double().sigmoid()).item()
    return LIF(R=1.0 if node.decay_input else tau, **_time_constant(tau, dt), **_spiking(node, dt))


def _time_constant(tau: float, dt: float) -> dict[str, object]:
    if tau < 2:
        return {"tau_mem": number(tau_of(1 - 1 / tau, dt))}
    return {"tau_mem": tau * dt, "integrator": Euler()}


def _cuba_lif(node: nn.Module, dt: float) -> Chain:
    if node.v_reset:
        raise ValueError(f"expected v_reset of 0 or None, got {node.v_reset:g}, at which it starts but does not rest")
    options = {key: value for key, value in _spiking(node, dt).items() if key != "dt"}
    return Chain(
        synapse=ExponentialSynapse(number(tau_of(node.c_decay, dt)), dt=dt),
        neuron=leaky(node.v_decay, 1.0, dt, **options),
    )


def _leaky_integrator(node: nn.Module, dt: float) -> LeakyIntegrator:
    if node.decode is not None:
        raise ValueError(f"expected decode=None, got {node.decode!r}; decode the sequence that the chain puts out")
    return LeakyIntegrator(**_time_constant(node.tau, dt), dt=dt)


def _recurrent(container: nn.Module, neurons: Dynamics) -> list[nn.Module]:
    """One matrix for the input and what comes back, as a layer in front and a connection."""
    weight, bias = container.rc.weight.detach(), container.rc.bias
    width = container.sub_module_out_features
    inputs = weight.shape[1] - width
    if inputs != width:
        raise ValueError(f"expected as many neurons as inputs, got {width} and {inputs}")
    front, back = nn.Linear(inputs, inputs, bias=bias is not None), nn.Linear(width, inputs, bias=False)
    front.weight = nn.Parameter(weight[:, :inputs].clone())
    back.weight = nn.Parameter(weight[:, inputs:].clone())
    if bias is not None:
        front.bias = nn.Parameter(bias.detach().clone())
    return [front, Recurrent(neurons, back)]
