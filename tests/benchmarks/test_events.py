"""The benchmark runs from the command line and writes figures that make sense."""

import json


def test_writes_tables_and_figures(script, tmp_path):
    file = tmp_path / "figures.json"
    options = ["--sizes", "64", "--rows", "8", "--network-sizes", "50", "--steps", "60", "--repeats", "1"]
    assert "sparse propagation" in script("events.py", *options, "--threads", "1", "--json", file)
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"]
    assert [row["case"] for row in figures["rows"]] == ["propagation"] * 5 + ["network"] * 3
    assert all(seconds > 0 for row in figures["rows"] for seconds in row["seconds"].values())
    assert figures["rows"][-1]["activity"] > 0
