"""From input spike times to output spike times, with the exact gradient."""

import torch
from torch import Tensor

from ..core.spiking import SpikingODE
from ..core.state import State
from .cells import EventCell, event_cell, select


def spike_times(module: SpikingODE, time: Tensor, weight: Tensor, duration: float, *, most_spikes: int = 1) -> Tensor:
    r"""Spike times of a layer of neurons that receive weighted events, exactly, between and beyond any grid.

    The gradient is the exact one of the event-driven system, as EventProp's: a spike time moves with the potential by
    the implicit function theorem, :math:`dt^* = -dv(t^*) / \dot v(t^*)`, and the state is carried through the reset.

    Args:
        module: the neurons; ``LIF`` or ``SynapticLIF``.
        time: times of the inputs, ms, [B, K], ascending in each row; infinity where there is no event.
        weight: what each event adds to each neuron, [B, K, N] or broadcastable.
        duration: end of the simulation, ms.
        most_spikes: number M of spikes that are returned for each neuron.

    Returns:
        Spike times, [B, N, M], ascending; infinity where a neuron has fired less often.

    Raises:
        ValueError: if the times are not sorted, or shapes do not fit.

    Source: Wunderlich & Pehl (2021), Event-based backpropagation can compute exact gradients for spiking neural
    networks, Scientific Reports 11:12829.
    """
    if time.ndim != 2 or weight.ndim != 3 or weight.shape[1] != time.shape[1]:
        raise ValueError(
            f"spike_times: expected time [B, K] and weight [B, K, N], got {tuple(time.shape)} and {tuple(weight.shape)}"
        )
    if torch.isnan(time).any() or (time[:, 1:] < time[:, :-1]).any():
        raise ValueError("spike_times: expected times in ascending order in each row, got others; sort them first")
    cell = event_cell(module)
    state = cell.initial_state(time.new_zeros(time.shape[0], weight.shape[-1]))
    now = torch.zeros_like(state.v)
    rounds: list[Tensor] = []
    for k in range(time.shape[1]):
        arrives = (time[:, k : k + 1] <= duration).expand_as(now)
        end = torch.where(arrives, time[:, k : k + 1], now)
        state, now = _run_until(cell, state, now, end, rounds)
        state = select(arrives, cell.receive(state, weight[:, k]), state)
    _run_until(cell, state, now, torch.full_like(now, duration), rounds)
    return _earliest(rounds, now, most_spikes)


def _run_until(cell: EventCell, state: State, now: Tensor, end: Tensor, rounds: list[Tensor]) -> tuple[State, Tensor]:
    """Advance to ``end``, spike by spike; append the times of each round of spikes to ``rounds``."""
    while True:
        wait, rises = cell.next_spike(state, (end - now).detach())
        fired = torch.isfinite(wait)
        if not fired.any():
            return cell.advance(state, end - now), end
        wait = torch.where(fired, wait, torch.zeros_like(wait))
        wait = _with_gradient(cell, state, wait, fired & rises)
        state = select(fired, cell.reset(cell.advance(state, wait)), state)
        now = torch.where(fired, now + wait, now)
        rounds.append(torch.where(fired, now, torch.full_like(now, torch.inf)))


def _with_gradient(cell: EventCell, state: State, wait: Tensor, crosses: Tensor) -> Tensor:
    """The same times, with the gradient of the root of the potential: one Newton step whose slope is held fixed."""
    reached = cell.advance(state, wait)
    slope = torch.where(crosses, cell.slope(reached).detach(), torch.ones_like(wait))
    excess = torch.where(crosses, reached.v - cell.module.v_th(), torch.zeros_like(wait)) / slope
    return wait - (excess - excess.detach())


def _earliest(rounds: list[Tensor], like: Tensor, count: int) -> Tensor:
    absent = torch.full_like(like, torch.inf)
    return torch.stack([*rounds, *[absent] * count], -1).sort(-1).values[..., :count]
