"""The benchmark of networks runs from the command line and counts what there is."""

import json
import sys

import pytest


def test_writes_a_table_and_figures(script, tmp_path):
    file = tmp_path / "figures.json"
    picture = tmp_path / "cost.png"
    # An interpreter without another simulator.
    peers = "--peers", sys.executable, "--simulators", "nest"
    options = "--neurons", "400", "--threads", "1", "--window", "20", "--picture", picture
    done = script("networks.py", *options, *peers, "--json", file)
    assert "nest, coba 400: left out, for" in done
    assert picture.stat().st_size > 5000
    coba, row = json.loads(file.read_text())
    assert coba["name"] == "coba 400"
    # 40 trains that begin it, of which each neuron hears 8.
    assert (coba["neurons"], row["neurons"]) == (440, 400)
    assert coba["synapses"] == pytest.approx(400 * 88, rel=0.05)
    assert row["synapses"] == pytest.approx(400 * 80, rel=0.05)
    assert 6 < row["bytes"] < 8
    assert row["clock"] > 0
    assert row["rate"] > 0
