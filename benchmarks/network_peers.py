"""The spikes of a network whose synapses, delays and spikes from outside are given, as NEST or Brian2 has them.

    PYTHON benchmarks/network_peers.py nest|brian2 NETWORK.npz SPIKES.npz

``PYTHON`` is an interpreter with the simulator (``pip install nest-simulator "numpy<2.4" brian2`` in an environment of
its own); nothing of this package is needed. ``tests/networks/test_peers.py`` writes the network and compares.

The file holds, by name: dt, duration (ms); tau_mem, tau_exc, tau_inh (ms), C (pF), v_th, v_reset (mV from rest), t_ref
(ms) of all cells; current (pA), first (mV from rest) of each; pre, post, weight (pA), delay (steps) of each synapse,
where pre counts the neurons first and the given spike trains behind them; given_step, given_train of each given spike,
steps counted from 0. A spike of step n is fired at its end, (n + 1) dt. What comes back is step and neuron of each
spike, in this order.
"""

import sys

import numpy as np


def nest_spikes(given) -> tuple[np.ndarray, np.ndarray]:
    """``iaf_psc_exp`` on the grid."""
    import nest

    dt, neurons = float(given["dt"]), len(given["current"])
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution = dt
    kinds = {"E_L": 0.0, "C_m": given["C"], "tau_m": given["tau_mem"], "tau_syn_ex": given["tau_exc"]}
    kinds |= {"tau_syn_in": given["tau_inh"], "V_th": given["v_th"], "V_reset": given["v_reset"]}
    kinds = {key: float(value) for key, value in kinds.items()} | {"t_ref": float(given["t_ref"])}
    cells = nest.Create("iaf_psc_exp", neurons, params=kinds)
    cells.set({"I_e": given["current"].tolist()})
    cells.set({"V_m": given["first"].tolist()})
    order = np.argsort(given["given_step"], kind="stable")
    step, train = given["given_step"][order], given["given_train"][order]
    trains = int(given["pre"].max()) + 1 - neurons
    times = [{"spike_times": np.round((step[train == k] + 1) * dt, 6).tolist()} for k in range(trains)]
    nest.Create("spike_generator", trains, params=times)
    meter = nest.Create("spike_recorder")
    nest.Connect(cells, meter)
    ids = np.concatenate([np.array(cells.tolist()), cells.tolist()[-1] + 1 + np.arange(trains)])
    synapses = {"weight": given["weight"], "delay": np.round(given["delay"] * dt, 6)}
    nest.Connect(ids[given["pre"]], ids[given["post"]], "one_to_one", {"synapse_model": "static_synapse", **synapses})
    nest.Simulate(float(given["duration"]))
    events = meter.get("events")
    return np.round(events["times"] / dt).astype(int) - 1, events["senders"] - cells.tolist()[0]


def brian2_spikes(given) -> tuple[np.ndarray, np.ndarray]:
    """The same cell, its exact solution written out, in the order of the other."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"
    dt, neurons = float(given["dt"]), len(given["current"])
    b2.defaultclock.dt = dt * b2.ms
    constants = {name: float(given[name]) for name in ("tau_mem", "tau_exc", "tau_inh", "C", "v_th", "v_reset")}
    tau, decay = constants["tau_mem"], np.exp(-dt / constants["tau_mem"])
    falls = [np.exp(-dt / constants[name]) for name in ("tau_exc", "tau_inh")]
    brings = [
        tau * own / (constants["C"] * (own - tau)) * (fall - decay)
        for own, fall in zip((constants["tau_exc"], constants["tau_inh"]), falls, strict=True)
    ]
    names = {"decay": decay, "fall_e": falls[0], "fall_i": falls[1], "bring_e": brings[0], "bring_i": brings[1]}
    names |= {"leaks": tau / constants["C"] * (1 - decay), "held": round(float(given["t_ref"]) / dt)}
    names |= {"v_th": constants["v_th"], "v_reset": constants["v_reset"]}
    cells = b2.NeuronGroup(
        neurons,
        "v : 1\ns_e : 1\ns_i : 1\nI : 1\nleft : integer",
        threshold="v >= v_th and left <= 0",
        reset="v = v_reset; left = held + 1",
        namespace=names,
    )
    cells.v, cells.I = given["first"], given["current"]
    cells.run_regularly(
        "v = v + int(left <= 0) * (v * (decay - 1) + s_e * bring_e + s_i * bring_i + leaks * I)\n"
        "s_e = s_e * fall_e\ns_i = s_i * fall_i",
        when="groups",
    )
    cells.run_regularly("left = left - 1", when="start")
    trains = int(given["pre"].max()) + 1 - neurons
    # Brian2 counts a step from its beginning: the spike of step n comes at n dt there.
    source = b2.SpikeGeneratorGroup(trains, given["given_train"], given["given_step"] * dt * b2.ms)
    kept = [cells, source]
    inside = given["pre"] < neurons
    for group, own, shift in ((cells, inside, 0), (source, ~inside, neurons)):
        for positive, current in ((True, "s_e"), (False, "s_i")):
            chosen = own & ((given["weight"] >= 0) == positive)
            if not chosen.any():
                continue
            # What arrives is added behind the decay, and the membrane integrates it from the next step on.
            synapses = b2.Synapses(group, cells, "w : 1", on_pre=f"{current}_post += w")
            synapses.connect(i=given["pre"][chosen] - shift, j=given["post"][chosen])
            synapses.w, synapses.delay = given["weight"][chosen], given["delay"][chosen] * dt * b2.ms
            kept.append(synapses)
    meter = b2.SpikeMonitor(cells)
    b2.Network(*kept, meter).run(float(given["duration"]) * b2.ms)
    return np.round(np.asarray(meter.t / b2.ms) / dt).astype(int), np.asarray(meter.i)


def main(simulator: str, network: str, spikes: str) -> None:
    with np.load(network) as given:
        step, neuron = {"nest": nest_spikes, "brian2": brian2_spikes}[simulator](dict(given))
    order = np.lexsort((neuron, step))
    np.savez(spikes, step=step[order], neuron=neuron[order])


if __name__ == "__main__":
    main(*sys.argv[1:])
