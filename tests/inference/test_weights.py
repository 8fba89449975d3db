import json

import pytest
import torch

import torchdyn_neuro as tdn
from tests.inference.trained import CONVOLUTIONAL, digits, some_digits
from torchdyn_neuro.compression import bits_of, prune, quantize
from torchdyn_neuro.training import load_checkpoint


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("weights") / "best.ckpt")


def test_a_checkpoint_gives_the_logits_of_its_parts(path):
    images, _ = some_digits(5)
    classifier = tdn.load(path)
    assert not classifier.training
    model = classifier.model
    y = model(images.unsqueeze(0).expand(4, *images.shape))
    torch.testing.assert_close(classifier(images), y.mean(0))
    kept = {name: value for name, value in load_checkpoint(path)["state_dict"].items() if name.startswith("model.")}
    assert all(torch.equal(value, classifier.state_dict()[name]) for name, value in kept.items())


def test_round_trip_is_exact_and_runs_nothing(path, tmp_path):
    images, _ = some_digits(5)
    classifier = tdn.load(path)
    written = tdn.save(path, tmp_path / "deep" / "digits.safetensors")
    assert sorted(each.name for each in written.parent.iterdir()) == ["digits.json", "digits.safetensors"]
    assert torch.equal(tdn.load(written)(images), classifier(images))
    assert json.loads(written.with_suffix(".json").read_text())["config"] == classifier.config["config"]


def test_quantized_and_pruned_ones_come_back_as_they_are(tmp_path):
    images, _ = some_digits(5)
    classifier = tdn.load(digits(tmp_path / "conv.ckpt", model=CONVOLUTIONAL))
    whole = tdn.save(classifier, tmp_path / "whole.safetensors").stat().st_size
    zeros = prune(classifier.model, 0.5)
    quantize(classifier.model, 8)
    again = tdn.load(tdn.save(classifier, tmp_path / "small.safetensors"))
    assert bits_of(again) == bits_of(classifier) != {}
    assert torch.equal(again(images), classifier(images))
    assert (tmp_path / "small.safetensors").stat().st_size < 0.6 * whole
    weights = {name: again.model.get_submodule(name).weight for name in zeros}
    for name, share in zeros.items():
        assert (weights[name] == 0).double().mean() >= share > 0


def test_a_file_with_another_configuration_is_refused(path, tmp_path):
    written = tdn.save(path, tmp_path / "a.safetensors")
    beside = written.with_suffix(".json")
    text = beside.read_text()
    beside.write_text(text.replace('"steps": 4', '"steps": 5'))
    with pytest.raises(ValueError, match="another configuration"):
        tdn.load(written)
    beside.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors and a\.json beside each other"):
        tdn.load(written)
    beside.write_text(text)
    written.write_bytes(written.read_bytes()[:-50])
    with pytest.raises(ValueError, match="damaged"):
        tdn.load(written)


def test_code_in_a_configuration_is_refused(path, tmp_path):
    checkpoint = load_checkpoint(path)
    checkpoint["config"]["encoder"] = {"_target_": "os.system", "command": "true"}
    torch.save(checkpoint, tmp_path / "hostile.ckpt")
    with pytest.raises(ValueError, match=r"os\.system"):
        tdn.load(tmp_path / "hostile.ckpt")


def test_weights_that_do_not_fit_are_refused(path, tmp_path):
    checkpoint = load_checkpoint(path)
    checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if "weight" not in name}
    torch.save(checkpoint, tmp_path / "holes.ckpt")
    with pytest.raises(ValueError, match=r"missing or too many, model\."):
        tdn.load(tmp_path / "holes.ckpt")


def test_wrong_endings_and_classifiers_without_configuration_are_refused(path, tmp_path):
    with pytest.raises(ValueError, match=r"write a\.safetensors"):
        tdn.save(path, tmp_path / "a.pt")
    classifier = tdn.load(path)
    classifier.config = {}
    with pytest.raises(ValueError, match="one without"):
        tdn.save(classifier, tmp_path / "a.safetensors")
