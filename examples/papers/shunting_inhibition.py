"""Shunting inhibition: an open channel at the resting potential moves nothing, but divides what excitation does.

Run ``python examples/papers/shunting_inhibition.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

REST, LEAK = -60.0, 10.0  # mV, nS
DT, DURATION, EXCITATION, INHIBITION = 0.05, 120.0, 40.0, 35.0  # ms; the last two: when the spikes come


def potential(excitation: list[float], inhibition: list[float], E_inh: float = REST) -> torch.Tensor:
    """The membrane potential [T, B] in mV after one spike of each kind, of these weights [B] in nS."""
    receptors = [tdn.AMPA(), tdn.GABA_A(E_inh, tau_decay=20.0)]
    spikes = torch.zeros(round(DURATION / DT), len(excitation), 2, 1)
    spikes[round(EXCITATION / DT), :, 0, 0] = torch.tensor(excitation)
    spikes[round(INHIBITION / DT), :, 1, 0] = torch.tensor(inhibition)
    conductances = tdn.ConductanceSynapse(receptors, dt=DT)(spikes)
    neuron = tdn.ConductanceLIF(receptors, g_L=LEAK, E_L=REST, v_th=-40.0, dt=DT)  # out of reach
    return tdn.record(neuron, conductances, ["v"])["v"].squeeze(-1)


def stationary(excitation: float, inhibition: torch.Tensor) -> torch.Tensor:
    """The depolarisation in mV under constant conductances, one per inhibition."""
    held = inhibition.expand(400, 1, -1)
    neuron = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(REST)], g_L=LEAK, E_L=REST)
    return tdn.record(neuron, (torch.full_like(held, excitation), held), ["v"])["v"][-1, 0] - REST


def main(picture: Path = Path("pictures/shunting_inhibition.png")) -> dict[str, Any]:
    alone, shunted, shunt = potential([20.0, 20.0, 0.0], [0.0, 60.0, 60.0]).unbind(1)
    hyperpolarising = potential([0.0], [60.0], E_inh=-80.0)[:, 0]
    before, after = alone.max() - REST, shunted.max() - REST
    moved = (shunt - REST).abs().max()
    print(f"excitation: {before:.2f} mV; with the shunt: {after:.2f} mV; shunt: {moved:.2g} mV")

    inhibition = torch.linspace(0.0, 60.0, 31)
    depolarisation = stationary(1.0, inhibition)
    divided = -REST * 1.0 / (LEAK + 1.0 + inhibition)

    time = DT * torch.arange(len(alone))
    figure, (course, division) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    course.plot(time, alone, label="excitation")
    course.plot(time, shunted, label="excitation and shunt")
    course.plot(time, shunt, label="shunt")
    course.plot(time, hyperpolarising, ":", color="gray", label="inhibition at -80 mV")
    course.set(xlabel="time (ms)", ylabel="potential (mV)", title="one spike of each synapse")
    division.plot(inhibition, depolarisation, label="simulated")
    division.plot(inhibition, divided, "k:", label=r"$g_e (E_e - E_L) / (g_L + g_e + g_i)$")
    division.set(xlabel="shunting conductance (nS)", ylabel="depolarisation (mV)", title="division", ylim=(0, None))
    course.legend(frameon=False, loc="lower right")
    division.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "excitation": before.item(),
        "shunted": after.item(),
        "shunt": moved.item(),
        "hyperpolarising": hyperpolarising.min().item() - REST,
        "division": dict(zip(inhibition.tolist(), depolarisation.tolist(), strict=True)),
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
