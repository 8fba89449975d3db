"""Smooth equations by a solver of adaptive steps."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.network import Network
from ..core.ode import ODE
from ..core.spiking import Spiking
from ..core.state import State, fill, first_frame, first_leaf, leaves, map_state, stack_frames, widen


def odeint(
    module: Dynamics,
    x: State,
    state: State = None,
    *,
    input: str = "held",
    method: str = "dopri5",
    rtol: float = 1e-9,
    atol: float = 1e-11,
    **solver: Any,
) -> tuple[State, State]:
    r"""Run a smooth equation over a sequence with the adaptive steps of torchdiffeq: a reference for any integrator.

    It takes and gives what ``module.scan(x, state, input=input)`` does; the integrator of the module has no part in it.
    The solver starts anew where the input jumps. Gradients reach the input, the state and all parameters.

    Args:
        module: an :class:`ODE` without threshold and noise, such as those of ``tdn.rates``, or a :class:`Network` of
            such without a delay.
        x: input [T, B, \*], one frame per ``dt`` of the module.
        state: state to start from; the initial one if omitted.
        input: ``"held"``: each frame over its step; ``"linear"``: a straight line from frame to frame, the last held.
        method: of torchdiffeq.
        rtol: relative tolerance; float32 needs a wider one, 1e-5.
        atol: absolute tolerance.
        solver: further arguments of ``torchdiffeq.odeint``, such as ``options``.

    Returns:
        The outputs [T, B, \*] at the end of each step and the last state.

    Raises:
        ImportError: without torchdiffeq.
        TypeError, ValueError: if the module is no smooth equation, or one of chance, such as dropout; for an empty
            batch; for wrong shapes as ``scan``.

    Source: Chen et al. (2018), NeurIPS (torchdiffeq); Dormand & Prince (1980), J. Comput. Appl. Math. 6:19.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> net = tdn.CTRNN(3).double()
        >>> y, state = tdn.rates.odeint(net, torch.ones(5, 2, 3, dtype=torch.float64))
        >>> y.shape
        torch.Size([5, 2, 3])
    """
    try:
        from torchdiffeq import odeint as solve
    except ImportError as error:
        raise ImportError(
            "odeint: expected the package torchdiffeq, got none; pip install 'torchdyn_neuro[ode]'"
        ) from error
    check_smooth("odeint", module)
    one_of("odeint", "input", input, "held", "linear")
    x = module._read(x, axis=2)
    module.check_input(x)
    x_0 = first_frame(x)
    state = module.initial_state(x_0) if state is None else module.take_state(x_0, state)
    dtype, frames = first_leaf(x).dtype, widen(x)
    _check_certain(module, x_0, state)
    outputs = []
    for start, end in _smooth_stretches(frames, input):
        given = tuple(leaves(state))
        times = module.dt * torch.arange(end - start + 1, dtype=given[0].dtype, device=given[0].device)
        field = _field(module, state, frames, start, input)
        paths = solve(field, given, times, method=method, rtol=rtol, atol=atol, **solver)
        states = [fill(state, row) for row in zip(*(path.unbind(0) for path in paths), strict=True)][1:]
        outputs += [map_state(lambda leaf: leaf.to(dtype), _observed(module, each)) for each in states]
        state = states[-1]
    return stack_frames(outputs), state


def _field(
    module: ODE | Network, pattern: State, frames: State, start: int, input: str
) -> Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """The right-hand side as the solver wants it, with the time since step ``start``."""
    now = map_state(lambda leaf: leaf[start], frames)
    line: State = ()
    if input == "linear":
        line = map_state(lambda leaf: leaf[min(start + 1, len(leaf) - 1)] - leaf[start], frames)

    def field(t: Tensor, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        here = fill(pattern, values)
        change = module.vector_field(map_state(lambda leaf, slope: leaf + t / module.dt * slope, now, line), here)
        # What does not flow is left out of a change.
        return tuple(leaves(map_state(torch.add, map_state(torch.zeros_like, here), change)))

    return field


def check_smooth(owner: str, module: Dynamics) -> None:
    """Raise unless a module is an ordinary differential equation: no spike, no noise, no delay.

    Args:
        owner: who wants one, for the message.
        module: the module.
    """
    name = type(module).__name__
    if isinstance(module, Network):
        if module.steps:
            raise ValueError(
                f"{owner}: expected a coupling inside the step, got {name} with a delay of {module.delay:g} ms, which "
                "is no ordinary differential equation; leave the delay out, or run it with scan()"
            )
        check_smooth(owner, module.neuron)
        return
    if not isinstance(module, ODE):
        raise TypeError(
            f"{owner}: expected a differential equation, got {name}; pass an ODE or a Network of such, or run it with "
            "scan()"
        )
    if isinstance(module, Spiking):
        raise ValueError(
            f"{owner}: expected a smooth equation, got {name}, which spikes: a threshold and a reset are no "
            "differential equation; run it with scan()"
        )
    if module.noise is not None or module.diffusion is not None:
        raise ValueError(
            f"{owner}: expected an equation without noise, got {name} with one, which no adaptive step resolves; run "
            "it with scan()"
        )
    if module.derivative is None and module.relaxation is None:
        raise ValueError(
            f"{owner}: expected an equation with a derivative or a relaxation, got {name} without; run it with scan()"
        )


@torch.no_grad()
def _check_certain(module: ODE | Network, x_0: State, state: State) -> None:
    """Raise if the equation has no rows, or another value each time: the solver would make its steps ever smaller."""
    if not all(leaf.numel() for leaf in leaves(state)):
        raise ValueError(
            f"odeint: expected a row at least, got a batch of {first_leaf(x_0).shape[0]}; leave an empty batch out"
        )
    if first_leaf(x_0).is_meta:
        return
    first, second = (leaves(module.vector_field(widen(x_0), state)) for _ in range(2))
    if not all(torch.equal(one.nan_to_num(), other.nan_to_num()) for one, other in zip(first, second, strict=True)):
        raise ValueError(
            f"odeint: expected an equation without chance, got two rates of change for one state of "
            f"{type(module).__name__}; call eval() on modules with dropout"
        )


def _smooth_stretches(frames: State, input: str) -> Iterator[tuple[int, int]]:
    """Where the input is smooth: the first step of each stretch and that behind its last."""
    steps = len(first_leaf(frames))
    if input == "linear":
        yield from ((n, n + 1) for n in range(steps))
        return
    start = 0
    for n in range(1, steps + 1):
        if n == steps or not all(torch.equal(leaf[n], leaf[start]) for leaf in leaves(frames)):
            yield start, n
            start = n


def _observed(module: Dynamics, state: State) -> State:
    return module.neuron.observe(state.neuron) if isinstance(module, Network) else module.observe(state)
