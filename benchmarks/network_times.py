"""How long NEST or Brian2 (C++ standalone) take for the networks of Brette et al. (2007), benchmarks 1 and 2.

    PYTHON benchmarks/network_times.py nest|brian2 coba|cuba NEURONS THREADS SETTLE WINDOW WINDOWS

``PYTHON`` is an interpreter with the simulator; nothing of this package is needed. ``benchmarks/networks.py --peers
PYTHON`` calls it. The networks are those of ``examples/papers/Brette_2007.py``: the same cells, weights, delays of one
step of .1 ms and probabilities of connection; what begins the first is Poisson input of 240 Hz to each cell for 50 ms.
The last line that is printed holds the figures as JSON: neurons, synapses, seconds to build (for Brian2 without the
compiler, whose seconds are ``compile``), by how many bytes a synapse memory grew meanwhile, and for a second of the
model the seconds of the clock and of all processors, and the rate (Hz). NEST is timed by windows, of which the least
counts; Brian2 as a whole, by the clock alone, without the start of its program.
"""

import json
import os
import sys
import tempfile
import time

DT, INPUTS = 0.1, 80
WEIGHTS = {"coba": (6.0, 67.0), "cuba": (1.62, 9.0)}  # nS; mV
CAPACITY, TAU = 200.0, 20.0  # pF, ms


def resident() -> float:
    """Bytes that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def nest_times(model: str, neurons: int, threads: int, settle: float, window: float, windows: int) -> dict:
    """``iaf_cond_exp`` or ``iaf_psc_exp``."""
    import nest

    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.set(resolution=DT, local_num_threads=threads, rng_seed=1)
    before, start = resident(), time.perf_counter()
    cell = {"C_m": CAPACITY, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0}
    excitation, inhibition = WEIGHTS[model]
    if model == "coba":
        kind, own = "iaf_cond_exp", {"g_L": CAPACITY / TAU, "E_L": -60.0, "E_ex": 0.0, "E_in": -80.0}
    else:
        kind, own = "iaf_psc_exp", {"tau_m": TAU, "E_L": -49.0}
        excitation, inhibition = excitation * CAPACITY / TAU, inhibition * CAPACITY / TAU
    cells = nest.Create(kind, neurons, params=cell | own)
    cells.V_m = nest.random.uniform(-60.0, -50.0)
    border = neurons * 4 // 5
    rule = {"rule": "pairwise_bernoulli", "p": INPUTS / neurons}
    for sources, weight in ((cells[:border], excitation), (cells[border:], -inhibition)):
        nest.Connect(sources, cells, rule, {"weight": weight, "delay": DT})
    synapses = nest.num_connections
    if model == "coba":
        begins = nest.Create("poisson_generator", params={"rate": 240.0, "stop": 50.0})
        nest.Connect(begins, cells, syn_spec={"weight": excitation, "delay": DT})
    meter = nest.Create("spike_recorder")
    nest.Connect(cells, meter)
    nest.Prepare()
    build, grew = time.perf_counter() - start, resident() - before
    nest.Run(settle)
    first, clock, processor = meter.n_events, [], []
    for _ in range(windows):
        wall, used = time.perf_counter(), time.process_time()
        nest.Run(window)
        clock.append(time.perf_counter() - wall)
        processor.append(time.process_time() - used)
    rate = 1000 * (meter.n_events - first) / (neurons * window * windows)
    figures = {"clock": min(clock) * 1000 / window, "processor": min(processor) * 1000 / window, "rate": rate}
    return figures | {"neurons": neurons, "synapses": synapses, "build": build, "bytes": grew / synapses}


def brian2_times(model: str, neurons: int, threads: int, settle: float, window: float, windows: int) -> dict:
    """Exponential conductances or currents, a C++ program of its own."""
    import brian2 as b2

    b2.set_device("cpp_standalone", build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.defaultclock.dt = DT * b2.ms
    excitation, inhibition = WEIGHTS[model]
    decays = "dge/dt = -ge / (5*ms) : 1\ndgi/dt = -gi / (10*ms) : 1\n"
    if model == "coba":
        # Conductances in units of the leak, potentials in mV.
        leak = CAPACITY / TAU
        excitation, inhibition = excitation / leak, inhibition / leak
        moves = "dv/dt = (-60 - v + ge * (0 - v) + gi * (-80 - v)) / (20*ms) : 1 (unless refractory)\n"
    else:
        inhibition, moves = -inhibition, "dv/dt = (-49 - v + ge + gi) / (20*ms) : 1 (unless refractory)\n"
    method = "exponential_euler" if model == "coba" else "exact"
    cells = b2.NeuronGroup(
        neurons, moves + decays, threshold="v > -50", reset="v = -60", refractory=5 * b2.ms, method=method
    )
    cells.v = "-60 + 10 * rand()"
    border = neurons * 4 // 5
    kept = [cells]
    for group, name, weight in ((cells[:border], "ge", excitation), (cells[border:], "gi", inhibition)):
        synapses = b2.Synapses(group, cells, on_pre=f"{name} += {weight}", delay=DT * b2.ms)
        synapses.connect(p=INPUTS / neurons)
        kept.append(synapses)
    if model == "coba":
        kept.append(b2.PoissonInput(cells, "ge", 1, 240 * b2.Hz, weight=excitation, when="start"))
    meter = b2.SpikeMonitor(cells, record=False)
    network = b2.Network(*kept, meter)
    if model == "coba":
        network.run(50 * b2.ms)
        kept[-1].active = False
    network.run((settle + window * windows - 50 * (model == "coba")) * b2.ms)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        b2.device.build(directory=folder, compile=True, run=False)
        compiled, start = time.perf_counter() - start, time.perf_counter()
        b2.device.run(folder, with_output=False, run_args=[])
        wall = time.perf_counter() - start
        seconds, synapses = b2.device._last_run_time, sum(len(each) for each in kept[1:3])
        rate = int(meter.num_spikes) / (neurons * (settle + window * windows) / 1000)
    span = (settle + window * windows) / 1000
    figures = {"clock": seconds / span, "processor": None, "rate": rate, "compile": compiled}
    return figures | {"neurons": neurons, "synapses": synapses, "build": wall - seconds, "bytes": None}


if __name__ == "__main__":
    simulator, model, *numbers, last = sys.argv[1:]
    neurons, threads, settle, window = int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3])
    times = {"nest": nest_times, "brian2": brian2_times}[simulator]
    print(json.dumps(times(model, neurons, threads, settle, window, int(last))))
