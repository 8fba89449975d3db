"""Hodgkin & Huxley (1952), Fig. 12, calculated: action potentials of the squid axon after initial depolarisations.

A membrane action potential follows a depolarisation of 90, 15 or 7 mV; one of 6 mV dies away. Added are the gates m, h
and n during the action potential that starts at 15 mV, and the two conductances they make; the paper shows such
conductances for an action potential that travels along the axon, which this one does not.

Source: A. L. Hodgkin, A. F. Huxley (1952), A quantitative description of membrane current and its application to
conduction and excitation in nerve, J. Physiol. 117:500. 6.3 degrees Celsius; the potential in today's sign and zero.

Run ``python examples/papers/Hodgkin_Huxley_1952.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import HodgkinHuxleyState

DEPOLARISATIONS = (90.0, 15.0, 7.0, 6.0)  # mV above rest
REST = -65.0  # mV
DURATION = 20.0  # ms


def simulate(dt: float = 0.01) -> tuple[torch.Tensor, list[HodgkinHuxleyState]]:
    """Times [T] in ms and the states at them, one column per depolarisation."""
    cell = tdn.HodgkinHuxley(v_init=REST, integrator=tdn.RK4(), dt=dt)
    silence = torch.zeros(1, len(DEPOLARISATIONS))
    state = cell.initial_state(silence)
    # The shock moves the potential at once and leaves the gates behind.
    state = state._replace(v=state.v + torch.tensor([DEPOLARISATIONS]))
    states = [state]
    with torch.no_grad():
        for _ in range(round(DURATION / dt)):
            _, state = cell.step(silence, state)
            states.append(state)
    return torch.arange(len(states)) * dt, states


def summary(times: torch.Tensor, v: torch.Tensor) -> dict[str, list[float]]:
    """Highest potential (mV), when it is reached (ms) and lowest potential (mV), one entry per depolarisation."""
    late = times > 0.2  # past the shock itself
    highest = v[late].max(0)
    return {
        "peak": highest.values.tolist(),
        "latency": times[late][highest.indices].tolist(),
        "trough": v.min(0).values.tolist(),
    }


def draw(picture: Path, times: torch.Tensor, v: torch.Tensor, *open_share: torch.Tensor) -> None:
    """Three panels over time: the potentials, the gates m, h and n, the conductances."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    m, h, n = open_share
    figure, (potential, gates, conductances) = plt.subplots(3, 1, sharex=True, figsize=(6, 8), layout="constrained")
    for column, shock in enumerate(DEPOLARISATIONS):
        potential.plot(times, v[:, column], label=f"{shock:g} mV")
    potential.set(ylabel="membrane potential (mV)", title="Fig. 12: after a depolarising shock")
    potential.legend(title="depolarisation", frameon=False)
    for name, gate in (("m", m), ("h", h), ("n", n)):
        gates.plot(times, gate[:, 1], label=name)
    gates.set(ylabel="open share of each gate", ylim=(0, 1), title="Gates after 15 mV")
    gates.legend(frameon=False)
    conductances.plot(times, 120 * m[:, 1] ** 3 * h[:, 1], label="sodium")
    conductances.plot(times, 36 * n[:, 1] ** 4, label="potassium")
    conductances.set(xlabel="time (ms)", ylabel="conductance (mS/cm$^2$)", xlim=(0, 14), title="Conductances")
    conductances.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)
    plt.close(figure)


def main(picture: Path = Path("pictures/Hodgkin_Huxley_1952.png"), dt: float = 0.01) -> dict[str, Any]:
    times, states = simulate(dt)
    v = torch.cat([state.v for state in states])
    sodium, potassium = zip(*(state.channels[:2] for state in states), strict=True)
    m, h, n = (torch.cat(gate) for gate in (*zip(*sodium, strict=True), *zip(*potassium, strict=True)))
    figures = summary(times, v)
    for shock, peak, latency in zip(DEPOLARISATIONS, figures["peak"], figures["latency"], strict=True):
        print(f"after {shock:2g} mV the potential rises to {peak:5.1f} mV at {latency:.2f} ms")
    draw(picture, times, v, m, h, n)
    print(f"picture: {picture}")
    return {**figures, "gates": {name: gate[:, 1].tolist() for name, gate in (("m", m), ("h", h), ("n", n))}}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
