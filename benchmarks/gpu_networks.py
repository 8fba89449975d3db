"""Networks of spiking neurons on a card against the CPU of the same machine; a part of ``gpu.sh``."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu import TABLES
from gpu_measure import Setting
from torch.profiler import ProfilerActivity, profile

from torchdyn_neuro.networks import Run, SpikingNetwork, SpikingNetworkState

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "papers"))

RATES, CVS = 0.1, 0.1
"""How far rates may lie apart, of the larger one, and CVs: populations of some thousand spikes in different runs."""
FEWEST = 500
"""Spikes of a population whose figures are compared."""


def spiking_networks(setting: Setting) -> None:
    """CUBA with 4,000 cells and the microcircuit at three scales: seconds for one of the model, and statistics."""
    from Brette_2007 import network as vogels_abbott

    rows: list[dict[str, Any]] = []
    note = None
    neurons, settle, window = setting.size((4000, 200, 2000), (100, 0.2, 0.4))
    cases: list[tuple[str, Callable[[], SpikingNetwork]]] = [
        (f"cuba {neurons}", lambda: vogels_abbott("CUBA", neurons)),
        (f"cuba {neurons} frozen", lambda: vogels_abbott("CUBA", neurons).freeze()),
    ]
    if os.environ.get(TABLES):
        from Potjans_Diesmann_2014 import network

        tables = json.loads(Path(os.environ[TABLES]).read_text())
        scales = [1e-3] if setting.dry else [0.1, 0.3, 1.0]
        cases += [(f"microcircuit {scale:g}", lambda scale=scale: network(tables, scale)) for scale in scales]
    else:
        note = f"microcircuit: left out, for neither --tables nor {TABLES} says where its numbers are"
    for name, build in [cases[0], *cases[2:]] if setting.dry else cases:
        rows.append(_compared(setting, name, build, float(settle), float(window)))
        setting.write({"note": note, "rates agree": all(row["agree"] for row in rows), "rows": rows})


def _compared(
    setting: Setting, name: str, build: Callable[[], SpikingNetwork], settle: float, window: float
) -> dict[str, Any]:
    start = time.perf_counter()
    net = build()
    built = time.perf_counter() - start
    state = net.run(settle, record=False).state
    # CVs depend on how long they are counted: as long as on the card.
    expected = net.run(window, state)
    card = setting.device.type == "cuda"
    if card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        net.to(setting.device)
    else:
        SpikingNetwork._on_card = True
    start = time.perf_counter()
    first = net.run(net.dt, state)
    moved = time.perf_counter() - start
    short, found, again = net.run(min(window, 200.0), state), net.run(window, state), net.run(window, state)
    gap, spread = _apart(net, found, expected)
    figures = {
        "network": name,
        "neurons": net.layout.total,
        "synapses": net.packed.synapses,
        "build s": built,
        "to the card and compiled s": moved,
        "CPU": expected.real_time_factor,
        "CPU threads": torch.get_num_threads(),
        "card": min(found.real_time_factor, again.real_time_factor),
        "card, 200 ms": short.real_time_factor,
        "us/step": 1000 * min(found.real_time_factor, again.real_time_factor) * net.dt,
        **(_kernels(net, state) if card else {}),
        "first step s": first.seconds,
        "events/step": found.figures.events / (window / net.dt),
        "card GB": torch.cuda.max_memory_allocated() / 1e9 if card else None,
        "Hz": 1000 * len(found.spikes) / (net.layout.total * window),
        "CPU Hz": 1000 * len(expected.spikes) / (net.layout.total * window),
        "rates apart": gap,
        "CVs apart": spread,
        "agree": gap <= RATES and spread <= CVS,
    }
    if not card:
        SpikingNetwork._on_card = property(lambda net: net.device.type == "cuda")
    return figures


def _kernels(net: SpikingNetwork, state: SpikingNetworkState) -> dict[str, float]:
    """The mean time of the kernels of a step, as the card says."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        net.run(20.0, state)
    names = {"run": "update us", "deliver": "deliver us"}
    events = [event for event in found.key_averages() if event.key in names]
    return {names[event.key]: event.device_time_total / event.count for event in events}


def _apart(net: SpikingNetwork, found: Run, expected: Run) -> tuple[float, float]:
    """The largest differences of rates, of the larger one, and of CVs, over populations with enough spikes."""
    rates, cvs = [0.0], [0.0]
    for name in net.populations:
        one, other = found.spikes, expected.spikes
        if min(len(one[name][0]), len(other[name][0])) >= FEWEST:
            pair = one.rate(name), other.rate(name)
            rates.append(abs(pair[0] - pair[1]) / max(pair))
            cvs.append(abs(one.cv(name) - other.cv(name)))
    return max(rates), max(cvs)
