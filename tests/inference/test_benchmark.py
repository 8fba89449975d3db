import json

import pytest

import torchdyn_neuro as tdn
from tests.inference.trained import CLICKS, checkpoint, digits
from torchdyn_neuro.data import Digits
from torchdyn_neuro.inference.benchmark import command
from torchdyn_neuro.metrics import efficiency_report


def measured(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        command([*map(str, arguments), "--seconds", "0.01", "--json"])
    assert end.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_counted_is_that_of_the_test_data(capsys, tmp_path):
    path = digits(tmp_path / "best.ckpt")
    found = measured(capsys, path, "--samples", 0)
    classifier, data = tdn.load(path), Digits()
    data.setup()
    images, labels = data.splits["test"].images, data.splits["test"].labels
    assert found["samples"] == len(labels)
    assert found["accuracy"] == pytest.approx((classifier(images).argmax(1) == labels).double().mean().item())
    report = efficiency_report(classifier.model, classifier.encode(images))
    assert found["spikes"] == pytest.approx(report.spikes)
    assert found["energy_nj"] == pytest.approx(report.energy())
    assert found["parameters"] == sum(each.numel() for each in classifier.model.parameters())
    assert found["steps"] == 4
    assert 0 < found["step_ms"] <= found["step_p95_ms"]
    assert found["samples_per_second"] > 0


def test_without_the_data_there_are_times_only(capsys, tmp_path):
    path = checkpoint(tmp_path / "clicks.ckpt", {**CLICKS, "dt": 5.0})
    found = measured(capsys, path)
    assert "accuracy" not in found
    assert found["steps"] == 100
    with pytest.raises(SystemExit) as end:
        command([str(path), "--root", str(tmp_path)])
    assert end.value.code == 1
    assert "expected the data of the training" in capsys.readouterr().err
