"""Shunting inhibition: an open channel at the resting potential moves nothing, but divides what excitation does.

Run ``python examples/papers/shunting_inhibition.py [PICTURE]``.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

REST, LEAK = -60.0, 10.0  # mV, nS
STEPS, EXCITATION, INHIBITION = 120, 40, 35  # when the spikes come, ms


def potential(excitation: float, inhibition: float, E_inh: float = REST) -> torch.Tensor:
    """The membrane potential in mV after one spike of each kind, of these weights in nS, [STEPS]."""
    receptors = [tdn.AMPA(), tdn.GABA_A(E_inh, tau_decay=20.0)]
    spikes = torch.zeros(STEPS, 1, 2, 1)
    spikes[EXCITATION, 0, 0] = excitation
    spikes[INHIBITION, 0, 1] = inhibition
    conductances = tdn.ConductanceSynapse(receptors)(spikes)
    neuron = tdn.ConductanceLIF(receptors, g_L=LEAK, E_L=REST, v_th=-40.0)  # out of reach
    return tdn.record(neuron, conductances, ["v"])["v"].flatten()


def stationary(excitation: float, inhibition: torch.Tensor) -> torch.Tensor:
    """The depolarisation in mV under constant conductances, one per inhibition."""
    held = inhibition.expand(400, 1, -1)
    neuron = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(REST)], g_L=LEAK, E_L=REST)
    return tdn.record(neuron, (torch.full_like(held, excitation), held), ["v"])["v"][-1, 0] - REST


def main(picture: Path) -> None:
    alone, shunted, shunt = potential(20.0, 0.0), potential(20.0, 60.0), potential(0.0, 60.0)
    hyperpolarising = potential(0.0, 60.0, E_inh=-80.0)
    before, after = alone.max() - REST, shunted.max() - REST
    print(f"excitation: {before:.2f} mV; with the shunt: {after:.2f} mV; shunt: {(shunt - REST).abs().max():.2g} mV")
    assert (shunt - REST).abs().max() < 1e-4, "at the resting potential inhibition is invisible"
    assert after < 0.7 * before, "but it divides the response to excitation"
    assert hyperpolarising.min() < REST - 2, "below the resting potential it is not"

    inhibition = torch.linspace(0.0, 60.0, 31)
    depolarisation = stationary(1.0, inhibition)
    divided = -REST * 1.0 / (LEAK + 1.0 + inhibition)
    assert torch.allclose(depolarisation, divided, rtol=1e-4), "by the ratio of the conductances"

    figure, (course, division) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    course.plot(alone, label="excitation")
    course.plot(shunted, label="excitation and shunt")
    course.plot(shunt, label="shunt")
    course.plot(hyperpolarising, ":", color="gray", label="inhibition at -80 mV")
    course.set(xlabel="time (ms)", ylabel="potential (mV)", title="one spike of each synapse")
    division.plot(inhibition, depolarisation, label="simulated")
    division.plot(inhibition, divided, "k:", label=r"$g_e (E_e - E_L) / (g_L + g_e + g_i)$")
    division.set(xlabel="shunting conductance (nS)", ylabel="depolarisation (mV)", title="division", ylim=(0, None))
    course.legend(frameon=False, loc="lower right")
    division.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("pictures/shunting_inhibition.png"))
