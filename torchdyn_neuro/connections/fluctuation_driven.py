"""An initialisation that keeps spiking layers active."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Constrained
from ..core.record import record


def postsynaptic_potential(dynamics: Dynamics, *, field: str = "v", duration: float = 500.0) -> Tensor:
    """The response of the potential to one spike of weight 1, in steps from its arrival, [T].

    Args:
        dynamics: a neuron, or a :class:`Chain` of synapse and neuron that ends with it; per-neuron parameters are
            averaged over.
        field: path to the potential, as :func:`record` takes it, e.g. ``"v"`` or ``"1.v"`` in a chain.
        duration: how long the response is followed, ms.

    Raises:
        ValueError: if ``duration`` is not positive.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> postsynaptic_potential(tdn.LIF(tau_mem=10.0), duration=3.0)
        tensor([0.0952, 0.0861, 0.0779])
    """
    duration = positive_number("postsynaptic_potential", "duration", duration, unit="ms")
    shapes = [module.start.shape for module in dynamics.modules() if isinstance(module, Constrained)]
    steps = max(1, round(duration / dynamics.dt))
    # Small, so that no threshold is reached, and a power of two, so that scaling back does not round.
    weight = 2.0**-10
    impulse = torch.zeros(steps, 1, *torch.broadcast_shapes((1,), *shapes))
    impulse[0] = weight
    with torch.no_grad():
        start = record(dynamics, torch.zeros_like(impulse), [field])[field]
        response = record(dynamics, impulse, [field])[field] - start
    return response.flatten(1).mean(1) / weight


@contextmanager
def _plain_weight(layer: nn.Module) -> Iterator[Tensor]:
    """The weight, to be filled in place; a parametrised one takes over what was written."""
    if not is_parametrized(layer, "weight"):
        yield layer.weight
        return
    weight = layer.weight.detach().clone()
    yield weight
    layer.weight = weight


@torch.no_grad()
def fluctuation_driven_(
    layer: nn.Module,
    target: Dynamics,
    *,
    rate: float,
    distance: float = 2.0,
    mean: float = 0.0,
    threshold: float = 1.0,
    field: str = "v",
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""Fill the weights of a layer so that the potential behind it fluctuates around a mean below the threshold.

    With ``n`` inputs that fire at rate :math:`\nu` as Poisson processes, weights of mean :math:`\mu_w` and variance
    :math:`\sigma_w^2`, and the response :math:`\epsilon` to one spike, the potential without threshold has

    .. math::
        \mu_v = n \nu \mu_w \int \epsilon \, dt, \qquad
        \sigma_v^2 = n \nu (\sigma_w^2 + \mu_w^2) \int \epsilon^2 \, dt

    The weights are drawn from the normal distribution for which :math:`\mu_v` is ``mean`` and the threshold lies
    ``distance`` standard deviations above it: on average over neurons, whose own means differ with what they drew. The
    integrals are sums over the response that ``target`` really gives, at its step.

    Args:
        layer: an ``nn.Linear``, a convolution, or another layer whose ``weight`` is [post, pre, *]; a mask of
            :func:`sparse` counts, its zeros are no inputs. Apply :func:`dale` afterwards: it keeps the variance.
        target: what the layer feeds: a neuron, or a :class:`Chain` of synapse and neuron.
        rate: rate of each input, Hz.
        distance: from the mean potential to the threshold, in standard deviations; between 1 and 3 neurons are driven
            by fluctuations.
        mean: mean potential, measured from rest.
        threshold: threshold, measured from rest.
        field: path to the potential in ``target``, see :func:`postsynaptic_potential`.
        generator: source of the random numbers.

    Returns:
        The layer.

    Raises:
        ValueError: if the rate or the distance is not positive, if the mean is not below the threshold, or if inputs
            of this rate cannot give so small a variance with so large a mean.

    Source: Rossbroich, Gygax & Zenke (2022), Neuromorph. Comput. Eng. 2:044016.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> layer = fluctuation_driven_(nn.Linear(200, 100, bias=False), tdn.LIF(), rate=10.0)
    """
    if rate <= 0 or distance <= 0 or mean >= threshold:
        raise ValueError(
            "fluctuation_driven_: expected a rate and a distance above 0 and a mean below the threshold, got "
            f"rate={rate}, distance={distance}, mean={mean}, threshold={threshold}; change them"
        )
    response = postsynaptic_potential(target, field=field).double()
    with _plain_weight(layer) as weight:
        connected = weight != 0 if is_parametrized(layer, "weight") else None
        inputs = weight[0].numel() if connected is None else connected.flatten(1).sum(1).double().mean().item()
        spikes = inputs * rate * target.dt / 1000  # per step
        mean_weight = mean / (spikes * response.sum().item())
        variance = ((threshold - mean) / distance) ** 2 / (spikes * response.square().sum().item()) - mean_weight**2
        if variance < 0:
            raise ValueError(
                f"fluctuation_driven_: expected a mean that {inputs:g} inputs of {rate:g} Hz can give with a deviation "
                f"of {(threshold - mean) / distance:g}, got mean={mean:g}; lower the mean or the distance"
            )
        weight.normal_(mean_weight, variance**0.5, generator=generator)
        if connected is not None:
            weight.mul_(connected)
    return layer
