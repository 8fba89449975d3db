"""The microcircuit of Potjans & Diesmann (2014) in NEST and here: rates, irregularity and synchrony over some seeds.

    PYTHON benchmarks/microcircuit_peers.py nest TABLES.json FIGURES.json SCALE DURATION SEED...
    python benchmarks/microcircuit_peers.py here TABLES.json FIGURES.json SCALE DURATION SEED...
    python benchmarks/microcircuit_peers.py compare NEST.json HERE.json

``PYTHON`` is an interpreter with NEST. Runs begin after 500 ms. Figures are those of ``networks.Spikes``: the rate in
Hz, the coefficient of variation of the intervals of neurons with six spikes at least, and the variance of counts in
bins of 3 ms relative to their mean. A figure is within NEST's own spread where the two means over seeds lie no further
apart than the scatter of both allows.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

SETTLE, BIN, FEWEST = 500.0, 3.0, 6


def figures(times: np.ndarray, neuron: np.ndarray, neurons: int, duration: float) -> dict[str, float]:
    """Of the spikes of one population, whose times (ms) begin after the first half second."""
    order = np.lexsort((times, neuron))
    times, neuron = times[order], neuron[order]
    values = []
    for train in np.split(times, np.flatnonzero(np.diff(neuron)) + 1):
        if len(train) >= FEWEST:
            gaps = np.diff(train)
            values.append(gaps.std() / gaps.mean())
    counts = np.histogram(times, np.arange(0, duration + 1e-6, BIN) + 0.05)[0]
    rate = 1000 * len(times) / neurons / duration
    return {"rate": rate, "cv": float(np.mean(values)), "synchrony": float(counts.var() / counts.mean())}


def nest_run(tables: dict, scale: float, duration: float, seed: int) -> dict[str, dict[str, float]]:
    """One run of NEST."""
    import nest

    cell, names, counts, dt = tables["neuron"], tables["populations"], tables["neurons"], tables["dt_ms"]
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.set(resolution=dt, rng_seed=seed, local_num_threads=1)
    tau, tau_syn, C = cell["tau_mem_ms"], cell["tau_syn_ms"], cell["C_pF"]
    a = tau / tau_syn
    peak = tau * tau_syn / (C * (tau_syn - tau)) * (a ** (-tau / (tau - tau_syn)) - a ** (-tau_syn / (tau - tau_syn)))
    J, external = tables["psp_mV"] / peak, tables["background_rate_hz"]
    sizes = [round(scale * count) for count in counts]
    doubled, populations = tables["doubled_weight"], []
    for size in sizes:
        params = {"tau_m": tau, "tau_syn_ex": tau_syn, "tau_syn_in": tau_syn, "C_m": C, "E_L": cell["E_L_mV"]}
        params |= {"V_th": cell["v_th_mV"], "V_reset": cell["v_reset_mV"], "t_ref": cell["t_ref_ms"]}
        made = nest.Create("iaf_psc_exp", size, params=params)
        made.V_m = nest.random.normal(tables["initial_v"]["mean_mV"], tables["initial_v"]["sd_mV"])
        populations.append(made)
    recorders = []
    for i, target in enumerate(names):
        mean = J * tables["external_indegree"][i] * external
        for j, source in enumerate(names):
            w = J * (2.0 if (target, source) == (doubled["target"], doubled["source"]) else 1.0)
            w *= tables["g"] if source.endswith("I") else 1.0
            chance, pairs = tables["connection_probability"][i][j], counts[i] * counts[j]
            inputs = math.log(1 - chance) / math.log(1 - 1 / pairs) / counts[i]
            mean += w * inputs * tables["mean_rates_hz"][j]
            if not round(inputs * scale * sizes[i]):
                continue
            w /= math.sqrt(scale)
            drawn = nest.random.normal(w, tables["weight_rel_sd"] * abs(w))
            delay = tables["delay_ms"]["inhibitory" if w < 0 else "excitatory"]
            delays = nest.math.redraw(nest.random.normal(delay, tables["delay_rel_sd"] * delay), dt - 0.5 * dt, 1e3)
            weight = nest.math.redraw(drawn, -1e6, 0.0) if w < 0 else nest.math.redraw(drawn, 0.0, 1e6)
            rule = {"rule": "fixed_total_number", "N": round(inputs * scale * sizes[i])}
            nest.Connect(populations[j], populations[i], rule, {"weight": weight, "delay": delays})
        populations[i].I_e = 1e-3 * tau_syn * (1 - math.sqrt(scale)) * mean
        drive = nest.Create("poisson_generator", params={"rate": tables["external_indegree"][i] * scale * external})
        nest.Connect(drive, populations[i], "all_to_all", {"weight": J / math.sqrt(scale), "delay": 1.5})
        recorder = nest.Create("spike_recorder", params={"start": SETTLE})
        nest.Connect(populations[i], recorder)
        recorders.append(recorder)
    nest.Simulate(SETTLE + duration)
    found = {}
    for name, size, recorder in zip(names, sizes, recorders, strict=True):
        events = recorder.events
        found[name] = figures(events["times"] - SETTLE, events["senders"], size, duration)
    return found


def run_here(tables: dict, scale: float, duration: float, seed: int) -> dict[str, dict[str, float]]:
    """One run of this package."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "papers"))
    from Potjans_Diesmann_2014 import network

    net = network(tables, scale, seed)
    spikes = net.run(duration, net.run(SETTLE, record=False).state).spikes
    found = {}
    for name, size in spikes.populations.items():
        times, neuron = spikes[name]
        found[name] = figures(times.numpy() - SETTLE, neuron.numpy(), size, duration)
    return found


def compare(nest: list[dict], here: list[dict]) -> None:
    """Print the means, NEST's scatter, and how far apart the means are in units of their standard error."""
    furthest = 0.0
    for name in nest[0]:
        for figure in nest[0][name]:
            one, other = (np.array([run[name][figure] for run in runs]) for runs in (nest, here))
            error = math.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
            z = (other.mean() - one.mean()) / error
            furthest = max(furthest, abs(z))
            inside = np.mean((other >= one.min()) & (other <= one.max()))
            print(
                f"{name:5s} {figure:10s} NEST {one.mean():7.3f} +- {one.std(ddof=1):.3f} ({one.min():.3f} to "
                f"{one.max():.3f}), here {other.mean():7.3f} +- {other.std(ddof=1):.3f}, z {z:5.2f}, {inside:.0%}"
            )
    print(f"{len(nest)} and {len(here)} seeds; the furthest means lie {furthest:.2f} standard errors apart")


def main(simulator: str, first: str, second: str, *rest: str) -> None:
    if simulator == "compare":
        compare(*(json.loads(Path(name).read_text()) for name in (first, second)))
        return
    tables, scale, duration = json.loads(Path(first).read_text()), float(rest[0]), float(rest[1])
    runs = []
    for seed in map(int, rest[2:]):
        runs.append({"nest": nest_run, "here": run_here}[simulator](tables, scale, duration, seed))
        Path(second).write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
