"""Hodgkin & Huxley (1952), Fig. 12, calculated: action potentials of the squid axon after initial depolarisations.

A membrane action potential follows a depolarisation of 90, 15 or 7 mV; one of 6 mV dies away. Added are the gates m, h
and n during the action potential that starts at 15 mV, and the two conductances they make; the paper shows such
conductances for an action potential that travels along the axon, which this one does not.

Source: A. L. Hodgkin, A. F. Huxley (1952), A quantitative description of membrane current and its application to
conduction and excitation in nerve, J. Physiol. 117:500. 6.3 degrees Celsius; the potential in today's sign and zero.

Run: python examples/papers/Hodgkin_Huxley_1952.py
"""

from pathlib import Path

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


def check(times: torch.Tensor, v: torch.Tensor, m: torch.Tensor, h: torch.Tensor, n: torch.Tensor) -> None:
    """The features of the figure; v, m, h, n are [T, depolarisations]."""
    response = v - REST
    late = times > 0.2  # past the shock itself
    peaks = response[late].max(0).values
    assert (peaks[:3] > 85).all(), "90, 15 and 7 mV fire a full action potential"
    assert peaks[3] < 15, "6 mV stays below threshold"
    latency = times[late][response[late].argmax(0)]
    assert latency[0] < latency[1] < latency[2], "the weaker the shock, the later the spike"
    assert (response[:, :3].min(0).values < -8).all(), "the spike undershoots the rest"
    # Fast activation, slow inactivation, slow potassium.
    assert times[m[:, 1].argmax()] < times[n[:, 1].argmax()]
    assert m[:, 1].max() > 0.9
    assert h[:, 1].min() < 0.15
    assert 0.6 < n[:, 1].max() < 0.9


def draw(times: torch.Tensor, v: torch.Tensor, m: torch.Tensor, h: torch.Tensor, n: torch.Tensor, path: Path) -> None:
    """The picture, three panels over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

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
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    times, states = simulate()
    v = torch.cat([state.v for state in states])
    sodium, potassium = zip(*(state.channels[:2] for state in states), strict=True)
    m, h, n = (torch.cat(gate) for gate in (*zip(*sodium, strict=True), *zip(*potassium, strict=True)))
    check(times, v, m, h, n)
    path = Path("pictures") / "Hodgkin_Huxley_1952.png"
    draw(times, v, m, h, n, path)
    print(f"90, 15 and 7 mV fire, 6 mV does not; peak {v[21:, 1].max():.1f} mV; picture: {path}")


if __name__ == "__main__":
    main()
