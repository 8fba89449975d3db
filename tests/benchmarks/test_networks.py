"""The benchmark of networks runs from the command line and counts what there is."""

import json

import pytest


def test_writes_a_table_and_figures(script, tmp_path):
    file = tmp_path / "figures.json"
    script("networks.py", "--neurons", "400", "--threads", "1", "--window", "20", "--json", file)
    coba, row = json.loads(file.read_text())
    assert coba["name"] == "coba 400"
    # 40 trains that begin it, of which each neuron hears 8.
    assert (coba["neurons"], row["neurons"]) == (440, 400)
    assert coba["synapses"] == pytest.approx(400 * 88, rel=0.05)
    assert row["synapses"] == pytest.approx(400 * 80, rel=0.05)
    assert 6 < row["bytes"] < 8
    assert row["clock"] > 0
    assert row["rate"] > 0
