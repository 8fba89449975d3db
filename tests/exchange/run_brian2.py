"""Runs the lines of a table in Brian2: ``run_brian2.py FOLDER`` reads rows.json and x.npz, writes spikes.json."""

import json
import sys
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    import brian2

    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = 1 * brian2.ms
    with np.load(folder / "x.npz") as read:
        current, spikes = read["current"], read["spikes"]
    found = []
    for line in json.loads((folder / "rows.json").read_text()):
        drive = brian2.TimedArray(current, dt=1 * brian2.ms)
        group = eval(line, dict(vars(brian2)))
        group.namespace["I"] = drive
        monitor, parts = brian2.SpikeMonitor(group), []
        if "s" in group.variables:
            step, neuron = np.nonzero(spikes)
            source = brian2.SpikeGeneratorGroup(len(group), neuron, step * brian2.ms)
            synapses = brian2.Synapses(source, group, on_pre="s += 1")
            synapses.connect(j="i")
            parts = [source, synapses]
        brian2.Network(group, monitor, *parts).run(len(current) * brian2.ms)
        steps = np.round(np.asarray(monitor.t / brian2.ms)).astype(int).tolist()
        found.append(list(zip(steps, np.asarray(monitor.i).tolist(), strict=True)))
    (folder / "spikes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
