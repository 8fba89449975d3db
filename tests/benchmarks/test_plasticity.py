"""The benchmark runs from the command line, and the libraries end up with the same weights."""

import json


def test_writes_a_table_and_figures(script, tmp_path):
    file = tmp_path / "figures.json"
    options = ["--steps", "20", "--rows", "3", "--inputs", "30", "--neurons", "20", "--repeats", "1"]
    assert "30 -> 20, T = 20, B = 3" in script("plasticity.py", *options, "--threads", "1", "--json", file)
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"]
    assert [row["name"] for row in figures["rows"]][:2] == ["torchdyn_neuro, auto", "torchdyn_neuro, eager"]
    assert all(min(row["seconds"] + row["processor"]) > 0 for row in figures["rows"])
    for change, apart in figures["differences"].values():
        assert apart < 1e-2 * change
