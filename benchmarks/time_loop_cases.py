"""The cases of the time-loop benchmark: their shapes, their inputs, and the model of this library for each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from time_loop_cells import TAU_D, TAU_F, TAU_MEM, TAU_SYN, AdaptiveSynapticLIF, RateUnits, U
from torch import Tensor, nn

import torchdyn_neuro as tdn


@dataclass(frozen=True)
class Case:
    """One thing to be timed.

    Args:
        name: what ``--cases`` calls it.
        kind: the key under which the peers keep their model of it.
        shape: of the input, [T, B, \\*].
        model: builds this library's model; weights are drawn anew.
        spikes: whether the input is spikes, with probability 0.1, rather than currents from 0 to 3.
        pointwise: whether the model is a time loop and nothing else, so that the bytes it must move are known and
            its input has a gradient.
        gain: factor of the first weights, at which the neurons fire.
        scale: what T and B have been multiplied with.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    model: Callable[[], nn.Module]
    spikes: bool = False
    pointwise: bool = False
    gain: float = 1.0
    scale: float = 1.0

    def input(self, device: torch.device) -> Tensor:
        """A fixed random input."""
        drawn = torch.rand(self.shape, generator=torch.Generator().manual_seed(0))
        x = (drawn < 0.1).to(drawn.dtype) if self.spikes else 3 * drawn
        return x.to(device).requires_grad_(self.pointwise)

    def excite(self, module: nn.Module) -> None:
        """Scale the first weights of a model, ours or a peer's: as torch starts them, no neuron would ever fire."""
        first = next((layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d)), None)
        if first is not None:
            with torch.no_grad():
                first.weight.mul_(self.gain)

    def scaled(self, scale: float) -> "Case":
        """The same case with T and B multiplied by ``scale``."""
        steps, batch, *neurons = self.shape
        shape = (max(1, round(steps * scale)), max(1, round(batch * scale)), *neurons)
        return replace(self, shape=shape, scale=scale)

    @property
    def moved_bytes(self) -> int | None:
        """Bytes that must move, or ``None``: x and y forward; the gradient of y, x again and its gradient backward."""
        return 5 * 4 * torch.Size(self.shape).numel() if self.pointwise else None


def _lif() -> tdn.LIF:
    return tdn.LIF(tau_mem=TAU_MEM)


def _linear_lif(neurons: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(neurons, neurons), _lif())


def _recurrent() -> nn.Module:
    recurrent = tdn.Recurrent(_lif(), nn.Linear(256, 256, bias=False))
    return nn.Sequential(nn.Linear(700, 256), recurrent, nn.Linear(256, 20), tdn.LeakyIntegrator(tau_mem=TAU_MEM))


def _convolution() -> nn.Module:
    return nn.Sequential(tdn.Stepwise(nn.Conv2d(64, 64, 3, padding=1, bias=False)), _lif())


def _plastic() -> nn.Module:
    return tdn.Chain(tdn.TsodyksMarkram(U, TAU_F, TAU_D), tdn.ExponentialSynapse(tau=TAU_SYN), _lif())


def _noisy() -> nn.Module:
    return tdn.LIF(tau_mem=TAU_MEM, noise=tdn.WhiteNoise(0.1))


def _substeps(cell: type[tdn.Dynamics]) -> Callable[[], nn.Module]:
    return lambda: cell(integrator=tdn.RK4(substeps=10))


def _ctrnn() -> nn.Module:
    return tdn.Network(RateUnits(tdn.RK4()), nn.Linear(256, 256))


CASES = {
    case.name: case
    for case in (
        Case("lif", "lif", (100, 64, 1024), _lif, pointwise=True),
        Case("linear-512", "linear", (500, 16, 512), _linear_lif(512), spikes=True, gain=30.0),
        Case("linear-2048", "linear", (500, 16, 2048), _linear_lif(2048), spikes=True, gain=30.0),
        Case("recurrent", "recurrent", (100, 64, 700), _recurrent, spikes=True, gain=30.0),
        Case("convolution", "convolution", (4, 32, 64, 32, 32), _convolution, spikes=True, gain=60.0),
        Case("adaptive", "adaptive", (100, 64, 1024), AdaptiveSynapticLIF, pointwise=True),
        Case("plastic", "plastic", (100, 64, 1024), _plastic, spikes=True, pointwise=True),
        Case("noisy", "noisy", (100, 64, 1024), _noisy, pointwise=True),
        Case("adex", "adex", (8, 64, 256), _substeps(tdn.AdEx), pointwise=True),
        Case("eif", "eif", (8, 64, 256), _substeps(tdn.EIF), pointwise=True),
        Case("ctrnn", "ctrnn", (100, 64, 256), _ctrnn),
    )
}
"""The cases by name; the sizes are those that other libraries report."""
