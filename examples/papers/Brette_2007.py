"""Brette et al. (2007), J. Comput. Neurosci. 23:349, benchmarks 1 and 2: networks that keep themselves going.

The two networks of Vogels & Abbott (2005), J. Neurosci. 25:10786: 4,000 leaky cells, four of five excitatory, each
connected to one in fifty. Synapses are conductances (``COBA``, benchmark 1) or currents (``CUBA``, benchmark 2).
Nothing comes from outside but, for the first, some random spikes in the first 50 ms; there the cells rest 10 mV below
threshold and fire only because of each other, while those of the second rest 1 mV above it. Both go on by themselves,
irregularly and asynchronously: those with conductances, whose membranes get quicker the more arrives, at three times
the rate and in bursts, so that their intervals vary more than those of random spikes.
How much of the counts of spikes is common to the cells, their coherence, is measured as in ``Brunel_2000.py``, here in
bins of 3 ms: 1 / N of cells that do not know of each other, 1 where all fire at once.
A spike arrives a step (.1 ms) after it was fired. Run ``python examples/papers/Brette_2007.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Population, Projection, Spikes, SpikeSource, SpikingNetwork
from torchdyn_neuro.wiring import FixedProbability, Uniform

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DT, INPUTS, TAU_E, TAU_I = 0.1, 80, 5.0, 10.0  # ms, synapses of a cell, ms, ms
LEVELS = {"v_th": -50.0, "v_reset": -60.0, "t_ref": 5.0, "dt": DT}
WEIGHTS = {"COBA": (6.0, 67.0), "CUBA": (1.62, -9.0)}  # nS; mV
COLORS = {"E": "#1f5fa8", "I": "#c0392b"}


def cell(model: str) -> tdn.core.dynamics.Dynamics:
    """Time constant of 20 ms; 200 pF and 10 nS where there are conductances."""
    if model == "CUBA":
        return tdn.TwoSynapseLIF(20.0, TAU_E, TAU_I, v_rest=-49.0, reset="value", **LEVELS)
    receptors = tdn.Receptor(0.0, tau_decay=TAU_E, name="E"), tdn.Receptor(-80.0, tau_decay=TAU_I, name="I")
    synapse = tdn.ConductanceSynapse(receptors, output="mean", dt=DT)
    return tdn.Chain(synapse, tdn.ConductanceLIF(receptors, C=200.0, g_L=10.0, E_L=-60.0, **LEVELS))


def network(model: str, neurons: int = 4000, seed: int = 1) -> SpikingNetwork:
    """``COBA`` or ``CUBA``; however many neurons, each has 80 inputs in the mean."""
    sizes = {"E": neurons * 4 // 5, "I": neurons - neurons * 4 // 5}
    potential = "1.v" if model == "COBA" else "v"
    populations: dict[str, Population | SpikeSource] = {
        name: Population(size, cell(model), inputs=("exc", "inh"), initial={potential: Uniform(-60.0, -50.0)})
        for name, size in sizes.items()
    }
    rule = FixedProbability(INPUTS / neurons)
    kinds = dict(zip(sizes, zip(WEIGHTS[model], ("exc", "inh"), strict=True), strict=True))
    if model == "COBA":
        # A train for every ten cells, with 30 Hz; each cell hears as many of them as a tenth of its inputs.
        trains, generator = neurons // 10, torch.Generator().manual_seed(seed)
        step, train = (torch.rand(round(50.0 / DT), trains, generator=generator) < 0.03 * DT).nonzero().T
        populations["first"] = SpikeSource(trains, (step + 1) * DT, train)
        kinds["first"] = kinds["E"]
    projections = [
        Projection(source, target, rule, weight, DT, receptor)
        for source, (weight, receptor) in kinds.items()
        for target in sizes
    ]
    return SpikingNetwork(populations, projections, seed=seed)


def draw(found: dict[str, Spikes], figures: dict[str, dict[str, float]], picture: Path) -> None:
    """Of each network a raster, the rate of the population and the intervals."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained", width_ratios=(2, 2, 1))
    for (left, middle, right), (model, spikes) in zip(axes, found.items(), strict=True):
        end, at = spikes.end * spikes.dt, 0
        for name, shown in (("E", 160), ("I", 40)):
            times, neuron = spikes[name]
            own = (neuron < shown) & (times > end - 250.0)
            left.plot(times[own], at + neuron[own], ".", ms=2, color=COLORS[name], label=name)
            at += shown
            rate = torch.histc(times, round((end - spikes.begin * spikes.dt) / 2), spikes.begin * spikes.dt, end)
            middle.stairs(
                500 * rate / spikes.populations[name],
                spikes.begin * spikes.dt + 2.0 * torch.arange(len(rate) + 1),
                color=COLORS[name],
                label=name,
            )
        left.set(title=f"{model}: {figures[model]['rate']:.1f} Hz", xlabel="time (ms)", ylabel="neuron", ylim=(0, at))
        middle.set(
            title=f"coherence {figures[model]['coherence']:.4f}",
            xlabel="time (ms)",
            ylabel="rate (Hz)",
            ylim=(0, None),
            xlim=(end - 250, end),
        )
        middle.legend(frameon=False, ncols=2)
        times, neuron = spikes["E"]
        order = torch.argsort(neuron, stable=True)
        gaps = times[order].diff()[neuron[order].diff() == 0]
        right.hist(gaps, torch.logspace(0.6, 3, 40).tolist(), color="0.4")
        right.set(title=f"CV {figures[model]['cv']:.2f}", xlabel="interval (ms)", xscale="log", ylabel="count")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


def main(
    picture: Path = Path("pictures/Brette_2007.png"), duration: float = 1000.0, settle: float = 200.0
) -> dict[str, Any]:
    found, figures = {}, {}
    for model in WEIGHTS:
        net = network(model)
        run = net.run(duration, net.run(settle, record=False).state)
        spikes = found[model] = run.spikes
        common = spikes.synchrony("E") / spikes.populations["E"]
        late = 1000.0 * (spikes["E"][0] > (spikes.end * DT - 50.0)).sum().item() / 50.0 / spikes.populations["E"]
        figures[model] = {"rate": spikes.rate("E"), "inhibitory": spikes.rate("I"), "cv": spikes.cv("E", 4)}
        figures[model] |= {"coherence": common, "last": late}
        print(
            f"{model}: {run.real_time_factor:.3f} times real time; "
            + ", ".join(f"{key} {value:.4g}" for key, value in figures[model].items())
        )
    draw(found, figures, picture)
    for each in figures.values():
        assert each["cv"] > 0.3  # in a short run the long intervals are missing
        assert each["coherence"] < 0.02
        assert each["last"] > 0.5 * each["rate"]  # still going
    assert 12.0 < figures["COBA"]["rate"] < 25.0
    assert 4.0 < figures["CUBA"]["rate"] < 8.0
    assert figures["COBA"]["cv"] > 1.0
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
