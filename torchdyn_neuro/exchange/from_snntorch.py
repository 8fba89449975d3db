"""A model of snnTorch as a model of this library."""

import torch
from torch import Tensor, nn

from ..connections import OneToOne
from ..core.chain import Chain
from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.fits import check_model
from ..core.recurrent import Recurrent
from ..synapses import ExponentialSynapse
from .delayed_reset import DelayedReset
from .elsewhere import converted, leaky, number, plain, tau_of


def from_snntorch(model: nn.Module, dt: float = 1.0) -> Chain:
    r"""A model of snnTorch as a chain with the same weights, which spikes in the same steps.

    ``Leaky``, ``RLeaky``, ``Synaptic``, ``RSynaptic``, ``Lapicque`` and the layers of torch are mapped:

    - :math:`\beta = e^{-dt/\tau_m}`, and the input is not scaled by :math:`1 - \beta`: ``R = 1 / (1 - beta)``;
      ``beta=1`` is an ``IF``.
    - ``reset_mechanism="subtract"`` with ``reset_delay=True``, the default, subtracts one step later what has not
      decayed since: a cell without a reset, in a :class:`~torchdyn_neuro.Recurrent` through a :class:`DelayedReset`.
      Without the delay it is ``reset="subtract"``, as long as one threshold is enough to fall below it.
    - ``"zero"`` is ``reset="zero"``; all but ``Leaky`` also lose the input of the step after a delayed reset, a
      refractory period of one step.
    - Spikes are fired above the threshold there, at it too here.

    Args:
        model: an ``nn.Sequential`` of layers with ``init_hidden=True``, or one layer; it stays as it is.
        dt: length of its step, ms.

    Returns:
        A chain that maps [T, B, \*] to the spikes [T, B, \*]. Values of neurons are copied and not learned.

    Raises:
        ImportError: without snnTorch.
        TypeError: if ``model`` is none.
        ValueError: naming the layer that does not map, with the reason.

    Source: Eshraghian et al. (2023), Proc. IEEE 111:1016, and the published code.
    """
    check_model("from_snntorch", model)
    positive_number("from_snntorch", "dt", dt, unit="ms")
    import snntorch as snn

    kinds = (snn.Leaky, snn.RLeaky, snn.Synaptic, snn.RSynaptic, snn.Lapicque)

    def convert(layer: nn.Module) -> list[nn.Module]:
        if type(layer) not in kinds:
            raise ValueError("expected Leaky, RLeaky, Synaptic, RSynaptic, Lapicque or a layer of torch")
        return [_neuron(layer, type(layer).__name__, dt)]

    return converted("from_snntorch", model, convert, (nn.Sequential,))


def _neuron(layer: nn.Module, kind: str, dt: float) -> Dynamics:
    if layer.inhibition or layer.state_quant:
        raise ValueError("expected neither inhibition nor state_quant, which no cell has")
    if (layer.graded_spikes_factor != 1).any():
        raise ValueError("expected graded_spikes_factor=1, for spikes are 0 or 1")
    mechanism, delayed = layer.reset_mechanism, bool(getattr(layer, "reset_delay", True))
    if kind == "RSynaptic" and not delayed:
        raise ValueError("expected reset_delay=True, without which it does not run in snnTorch 1.0")
    later = mechanism == "subtract" and delayed
    options = {"v_th": number(layer.threshold), "reset": "none" if later else mechanism}
    if mechanism == "zero" and delayed and kind != "Leaky":
        options["t_ref"] = dt
    decay, gain = _moves(layer, kind)
    cell = leaky(decay, gain, dt, **options)
    back = _connection(layer) if kind.startswith("R") else None
    # It comes in as input, which the cell scales.
    reset = (layer.threshold.detach().double() / gain).to(layer.threshold.dtype)
    if not kind.endswith("Synaptic"):
        if later:
            return Recurrent(cell, DelayedReset(reset, back))
        return cell if back is None else Recurrent(cell, back)
    membrane = Recurrent(cell, DelayedReset(reset)) if later else cell
    alpha = layer.alpha.detach().clamp(0, 1)
    if not ((alpha > 0) & (alpha < 1)).all():
        raise ValueError(f"expected alpha between 0 and 1, got {alpha.flatten()[0]:g}, for which there is no synapse")
    whole = Chain(synapse=ExponentialSynapse(number(tau_of(alpha, dt)), dt=dt), neuron=membrane)
    return whole if back is None else Recurrent(whole, back)


def _moves(layer: nn.Module, kind: str) -> tuple[Tensor, Tensor]:
    """By what the potential is multiplied in a step, and by what the input."""
    if kind == "Lapicque":
        time, R, C = (value.detach().double() for value in (layer.time_step, layer.R, layer.C))
        return 1 - time / (R * C), time / C
    return layer.beta.detach().double().clamp(0, 1), torch.ones(())


def _connection(layer: nn.Module) -> nn.Module:
    if isinstance(layer.recurrent, (nn.Linear, nn.Conv2d)):
        return plain(layer.recurrent)
    weight = layer.recurrent.V.detach()
    if weight.ndim == 0:
        weight = weight.reshape(1)
    connection = OneToOne(tuple(weight.shape))
    connection.weight = nn.Parameter(weight.clone())
    return connection
