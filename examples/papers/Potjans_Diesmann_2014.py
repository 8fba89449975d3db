"""Potjans & Diesmann (2014), Cereb. Cortex 24:785: the cortical microcircuit, 77,169 neurons and .3 billion synapses.

Four layers of one square millimetre of cortex, each with excitatory (E) and inhibitory (I) cells, connected as
experiments say and driven by Poisson spikes from outside. The cells fire asynchronously and irregularly at rates that
differ between layers, lowest in layer 2/3 and 6 (E) and highest in layer 5, as in Table 6 of the paper.
At a ``scale`` below 1 there are fewer neurons with fewer inputs each; weights grow by 1 / sqrt(scale), and a constant
current makes up for the mean, so rates and their irregularity stay about what they are.
The numbers come from a JSON file with the paper's tables 4 and 5 (populations, probabilities of connection, weights,
delays, drive). At full scale the network takes 2 GB.
Run ``python examples/papers/Potjans_Diesmann_2014.py [PICTURE [TABLES.json [SCALE [DURATION]]]]``.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Poisson, Population, Projection, Spikes, SpikingNetwork
from torchdyn_neuro.wiring import FixedTotal, Normal

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def network(tables: dict[str, Any], scale: float, seed: int = 1) -> SpikingNetwork:
    """The circuit at a scale."""
    cell, names, counts = tables["neuron"], tables["populations"], tables["neurons"]
    tau, tau_syn, C, dt = cell["tau_mem_ms"], cell["tau_syn_ms"], cell["C_pF"], tables["dt_ms"]
    # The current (pA) whose postsynaptic potential has the wanted peak.
    a = tau / tau_syn
    peak = tau * tau_syn / (C * (tau_syn - tau)) * (a ** (-tau / (tau - tau_syn)) - a ** (-tau_syn / (tau - tau_syn)))
    J = tables["psp_mV"] / peak
    external = tables["background_rate_hz"]
    doubled, spread = tables["doubled_weight"], tables["delay_rel_sd"]
    sizes = [round(scale * count) for count in counts]

    projections, mean_input = [], []
    for i, target in enumerate(names):
        mean = J * tables["external_indegree"][i] * external
        for j, source in enumerate(names):
            inhibits = source.endswith("I")
            factor = 2.0 if (target, source) == (doubled["target"], doubled["source"]) else 1.0
            w = factor * (tables["g"] * J if inhibits else J)
            chance, pairs = tables["connection_probability"][i][j], counts[i] * counts[j]
            inputs = math.log(1 - chance) / math.log(1 - 1 / pairs) / counts[i]
            mean += w * inputs * tables["mean_rates_hz"][j]
            synapses = round(inputs * scale * sizes[i])
            if not synapses:
                continue
            w /= math.sqrt(scale)
            sign = {"high_bound": 0.0} if inhibits else {"low_bound": 0.0}
            weight = Normal(w, tables["weight_rel_sd"] * abs(w), **sign)
            delay = tables["delay_ms"]["inhibitory" if inhibits else "excitatory"]
            delays = Normal(delay, spread * delay, low_bound=dt)
            projections.append(Projection(source, target, FixedTotal(synapses), weight, delays))
        mean_input.append(mean)

    populations = {}
    for i, name in enumerate(names):
        current = 1e-3 * tau_syn * (1 - math.sqrt(scale)) * mean_input[i]  # pA
        # Excitation and inhibition decay with one time constant: one current holds both. R in mV per pA.
        membrane = tdn.SynapticLIF(
            tau,
            tau_syn,
            R=tau / C,
            v_rest=cell["E_L_mV"] + tau / C * current,
            v_th=cell["v_th_mV"],
            v_reset=cell["v_reset_mV"],
            reset="value",
            t_ref=cell["t_ref_ms"],
            dt=dt,
        )
        rate = tables["external_indegree"][i] * scale * external
        start = Normal(tables["initial_v"]["mean_mV"], tables["initial_v"]["sd_mV"])
        drive = Poisson(rate, J / math.sqrt(scale))
        populations[name] = Population(sizes[i], membrane, drives=[drive], initial={"v": start})
    return SpikingNetwork(populations, projections, seed=seed)


def draw(spikes: Spikes, figures: dict[str, dict[str, float]], published: list[float], picture: Path) -> None:
    """A raster of a share of the cells, rates beside the published ones, and irregularity."""
    names = list(figures)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 5), layout="constrained", width_ratios=(2.2, 1, 1))
    window, at, ticks = 200.0, 0, []
    for name in reversed(names):
        times, neuron = spikes[name]
        shown = max(10, spikes.populations[name] // max(1, sum(spikes.populations.values()) // 1500))
        last = spikes.end * spikes.dt
        own = (neuron < shown) & (times > last - window)
        left.plot(times[own], at + neuron[own], ".", ms=1.2, color="#1f5fa8" if name.endswith("E") else "#c0392b")
        ticks.append(at + shown / 2)
        at += shown
    left.set(xlabel="time (ms)", yticks=ticks, yticklabels=names[::-1], ylim=(0, at))
    places = torch.arange(len(names))
    colors = ["#1f5fa8" if name.endswith("E") else "#c0392b" for name in names]
    middle.barh(places, [figures[name]["rate"] for name in names], color=colors, label="here")
    middle.plot(published, places, "kd", ms=5, label="published")
    middle.set(xlabel="rate (Hz)", yticks=places, yticklabels=names)
    middle.legend(frameon=False)
    right.barh(places, [figures[name]["cv"] for name in names], color=colors)
    right.set(xlabel="CV of the intervals", yticks=places, yticklabels=names, xlim=(0, 1.05))
    for axes in (middle, right):
        axes.invert_yaxis()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


def main(
    picture: Path = Path("pictures/Potjans_Diesmann_2014.png"),
    tables: Path = Path("cortical_microcircuit.json"),
    scale: float = 0.1,
    duration: float = 2000.0,
    settle: float = 500.0,
) -> dict[str, dict[str, float]]:
    described = json.loads(Path(tables).read_text())
    net = network(described, scale)
    print(f"{net.layout.total} neurons, {net.packed.synapses} synapses in {net.packed.nbytes / 1e6:.0f} MB")
    found = net.run(duration, net.run(settle, record=False).state)
    spikes = found.spikes
    print(f"{duration:g} ms in {found.seconds:.2f} s: {found.real_time_factor:.3f} times real time")
    figures = {
        name: {"rate": spikes.rate(name), "cv": spikes.cv(name, 6), "synchrony": spikes.synchrony(name)}
        for name in described["populations"]
    }
    for (name, each), published in zip(figures.items(), described["mean_rates_hz"], strict=True):
        print(
            f"{name:5s}" + ", ".join(f"{key} {value:6.3f}" for key, value in each.items()) + f" (published {published})"
        )
    draw(spikes, figures, described["mean_rates_hz"], picture)
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *map(float, sys.argv[3:]))
