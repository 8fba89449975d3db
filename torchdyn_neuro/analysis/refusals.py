"""What dynamics cannot be analysed as a smooth autonomous field, and why."""

from torch import Tensor

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.network import Network
from ..core.ode import ODE
from ..core.spiking import Spiking
from ..core.state import State, leaves


def check_dynamics(dynamics: Dynamics, between_spikes: bool) -> None:
    """Raise unless dynamics are differential equations without delay, chance and, unless allowed, threshold."""
    owner = type(dynamics).__name__
    _check_kind(owner, dynamics)
    for part in dynamics.modules():
        if isinstance(part, Network) and part.steps:
            raise ValueError(
                f"{owner}: expected a coupling without a delay, got {part.delay:g} ms, whose state is a whole "
                "stretch of the past; pass delay=0 with neurons that put out a rate"
            )
        if isinstance(part, ODE):
            _check_random(owner, part)
        if isinstance(part, Spiking) and not between_spikes:
            _check_smooth(owner, part)


def _check_kind(owner: str, dynamics: Dynamics) -> None:
    """Raise unless dynamics have a vector field; a spike of a layer would be an input of those behind it."""
    if isinstance(dynamics, Chain):
        layers = [layer for layer in dynamics if isinstance(layer, Dynamics)]
        if not layers:
            raise TypeError(
                f"{owner}: expected a differential equation among the layers, got none, so that nothing moves; call "
                "it, or put dynamics into it"
            )
        for layer in layers:
            _check_kind(owner, layer)
        for layer in layers[:-1]:
            for part in layer.modules():
                if isinstance(part, Spiking):
                    raise ValueError(
                        f"{owner}: expected layers that put out rates, got {type(part).__name__}, whose spikes jump in "
                        "the input of the layer behind it; analyse the layers by themselves"
                    )
    elif not isinstance(dynamics, (ODE, Network)):
        raise TypeError(
            f"{owner}: expected differential equations (an ODE, a Network of one without a delay, or a Chain of such), "
            f"got {type(dynamics).__name__}, which is known by its step only; write it as an ODE, or pass a function "
            "f(state)"
        )


def _check_random(owner: str, part: ODE) -> None:
    source = part.noise if part.noise is not None else part.integrator
    if part.noise is not None or part.integrator.draws:
        raise ValueError(
            f"{owner}: expected an equation without chance, got noise ({type(source).__name__}); leave it out to "
            "analyse the mean equation"
        )


def _check_smooth(owner: str, part: Spiking) -> None:
    acts = part.reset != "none" or part.t_ref or part.adaptation is not None
    acts = acts or type(part).on_spike is not Spiking.on_spike
    if acts:
        raise ValueError(
            f"{owner}: expected a smooth equation, got the threshold of {type(part).__name__}, where the "
            "state jumps; pass between_spikes=True to analyse the equation below it, or measure spikes "
            "(f_i_curve, isi, power_spectrum)"
        )


def check_constant_input(dynamics: Dynamics, input: State) -> None:
    """Raise unless the input is a frame of floats that may be held for ever."""
    owner = type(dynamics).__name__
    given = leaves(input) if input is not None else []
    if callable(input) and not isinstance(input, Tensor):
        raise ValueError(
            f"{owner}: expected a constant input, got a function, under which the field depends on time; "
            "pass one frame [1, *]"
        )
    if not given or not all(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in given):
        got = "none" if input is None else type(input).__name__
        raise TypeError(
            f"{owner}: expected a constant input, one frame [1, *] of floats, got {got}; pass e.g. "
            "input=torch.zeros(1, 2) for two neurons"
        )
    for leaf in given:
        if leaf.ndim < 2:
            raise ValueError(
                f"{owner}: expected one frame of input [1, *], got shape {tuple(leaf.shape)}; put the batch "
                "in front, input[None]"
            )
    arrives = any(getattr(part, "arrive", None) is not None for part in dynamics.modules())
    if arrives and any((leaf != 0).any() for leaf in given):
        raise ValueError(
            f"{owner}: expected no input, for it is spikes that arrive, which no vector field has, got some; pass zeros"
        )
