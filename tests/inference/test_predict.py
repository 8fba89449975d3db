import io
import json

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from tests.inference.trained import CLICKS, checkpoint, digits, some_digits
from torchdyn_neuro.core.context import padded
from torchdyn_neuro.data import Recording, collect
from torchdyn_neuro.inference.predict import command
from torchdyn_neuro.inference.readers import bin_samples
from torchdyn_neuro.training import build


@pytest.fixture
def ask(capsys, monkeypatch):
    """The answers of the command, its status and what it said of mistakes."""

    def run(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as end:
            command([*map(str, arguments), "--json"])
        said = capsys.readouterr()
        return [json.loads(line) for line in said.out.splitlines()], end.value.code, said.err

    return run


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("digits") / "best.ckpt")


def clicks(path, **options):
    return checkpoint(path / "clicks.ckpt", {**CLICKS, "dt": 5.0, **options})


def agrees(answer, logits, rates=None):
    probabilities = logits.detach().double().softmax(-1)
    assert answer["label"] == int(probabilities.argmax())
    assert answer["probability"] == pytest.approx(float(probabilities.max()), rel=1e-6)
    if rates is not None:
        assert answer["rates_hz"] == pytest.approx(rates)


def test_images_in_arrays_and_files(images, ask, tmp_path):
    from PIL import Image

    pixels, _ = some_digits(3)
    np.save(tmp_path / "three.npy", pixels.numpy())
    bytes_of = (255 * pixels[0, 0]).round().to(torch.uint8).numpy()
    Image.fromarray(bytes_of).save(tmp_path / "one.png")
    np.save(tmp_path / "bytes.npy", bytes_of[None])
    answers, status, _ = ask(images, tmp_path / "three.npy", tmp_path / "one.png", tmp_path / "bytes.npy")
    assert status == 0
    classifier = tdn.load(images)
    logits = classifier(pixels)
    for answer, each in zip(answers, logits, strict=False):
        agrees(answer, each)
    rounded = classifier(torch.from_numpy(bytes_of / np.float32(255))[None, None])[0]
    agrees(answers[3], rounded)
    agrees(answers[4], rounded)
    assert [answer["name"] for answer in answers] == [
        "three.npy[0]",
        "three.npy[1]",
        "three.npy[2]",
        "one.png",
        "bytes.npy",
    ]


def test_one_bad_file_does_not_stop_the_others(images, ask, tmp_path):
    pixels, _ = some_digits(1)
    np.save(tmp_path / "good.npy", pixels.numpy())
    np.save(tmp_path / "wrong.npy", np.zeros((3, 3)))
    np.save(tmp_path / "nan.npy", np.full((1, 8, 8), np.nan))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    names = ["none.npy", "wrong.npy", "nan.npy", "broken.png", "good.npy"]
    answers, status, said = ask(images, *(tmp_path / name for name in names))
    assert status == 1
    assert len(answers) == 1
    for reason in ("found none", r"expected samples [1, 8, 8]", "NaN or infinity", "damaged or none"):
        assert reason in said
    assert len(said.splitlines()) == 4


def test_samples_line_by_line(images, ask):
    pixels, _ = some_digits(2)
    typed = "\n".join(" ".join(map(str, each.flatten().tolist())) for each in pixels)
    answers, status, _ = ask(images, "-", typed=typed)
    assert status == 0
    for answer, logits in zip(answers, tdn.load(images)(pixels), strict=True):
        agrees(answer, logits)
    answers, status, said = ask(images, "-", typed="1 2 3\n")
    assert status == 1
    assert "expected 64 numbers for [1, 8, 8], got 3 in line 1" in said


EVENTS = [[(1.0, 0), (2.0, 3), (11.0, 7), (31.5, 7)], [(0.0, 5), (6.0, 5)]]


@pytest.mark.parametrize(
    "options", [{}, {"tail": 10.0, "clip": 1}, {"duration": 50.0, "length": "duration", "pool": 2}]
)
def test_events_as_they_come_and_in_a_file_are_what_training_would_see(options, ask, tmp_path):
    path = clicks(tmp_path, **options)
    classifier, data = tdn.load(path), build({**CLICKS, "dt": 5.0, **options}, "data")
    recordings = [Recording(np.array(each)[:, 0] * 1e3, np.array(each)[:, 1].astype(int), 0) for each in EVENTS]
    whole = bin_samples(collect("test", recordings, (8,), 3), data, ["a", "b"])
    expected = classifier(whole.samples, whole.lengths)
    for index, events in enumerate(EVENTS):
        file = tmp_path / f"{index}.csv"
        file.write_text("time,unit\n" + "\n".join(f"{time},{unit}" for time, unit in events))
        answers, status, _ = ask(path, file)
        assert status == 0
        agrees(answers[0], expected[index])
    typed = "\n\n".join("\n".join(f"{time} {unit}" for time, unit in events) for events in EVENTS)
    answers, status, _ = ask(path, "-", typed=typed)
    assert status == 0
    for index in range(2):
        last = [answer for answer in answers if answer["sequence"] == index]
        assert [answer["step"] for answer in last] == list(range(1, int(whole.lengths[index]) + 1))
        agrees(last[-1], expected[index])
        with padded(whole.lengths):
            y = classifier.model(whole.samples.transpose(0, 1))
        for answer in last:
            agrees(answer, y[: answer["step"], index].mean(0))


def test_a_short_sequence_has_its_last_word(ask, tmp_path):
    answers, status, _ = ask(clicks(tmp_path), "-", "--every", 4, typed="1 2\n26 3\n\n1 2\n")
    assert status == 0
    assert [(answer["sequence"], answer["step"]) for answer in answers] == [(0, 4), (0, 6), (1, 1)]


def test_rates_are_spikes_over_neurons_and_time(ask, tmp_path):
    path = clicks(tmp_path)
    classifier = tdn.load(path)
    frames = (torch.rand(1, 30, 8, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    times, units = (frames[0] > 0).nonzero().T
    rows = torch.stack([5.0 * times, units.double()], 1)
    np.save(tmp_path / "events.npy", rows.numpy())
    answers, _, _ = ask(path, tmp_path / "events.npy")
    # The layer in front of the readout.
    [(name, rate)] = answers[0]["rates_hz"].items()
    spikes = tdn.record(classifier.model, frames.transpose(0, 1), [f"{name}.output"])
    counted = float(next(iter(spikes.values())).detach().sum())
    assert rate == pytest.approx(counted / (12 * 30 * 0.001))
    assert counted > 0


def test_mistakes_in_a_stream_name_their_line(ask, tmp_path):
    path = clicks(tmp_path)
    for typed, reason in (
        ("1 2\n0.5 2\n", "not before 1"),
        ("1 2\nx\n", "expected numbers, got 'x' in line 2"),
        ("1 9\n", "expected units from 0 to 7, got 9 to 9 in line 1"),
        ("1 0.5\n", "whole numbers of units"),
    ):
        _, status, said = ask(path, "-", typed=typed)
        assert status == 1
        assert reason in said
    path = clicks(tmp_path, normalize=3)
    _, status, said = ask(path, "-", typed="1 2\n")
    assert status == 1
    assert "mean of the whole recording" in said


def test_pictures_that_are_more_than_bytes_of_colour_are_refused(images, ask, tmp_path):
    from PIL import Image

    grey = (255 * some_digits(1)[0][0, 0]).round().to(torch.uint8).numpy()
    clear = np.stack([grey, grey, grey, 255 - grey], -1)
    odd = {
        "deep.png": (Image.fromarray(grey.astype(np.uint16) * 257), "expected pixels of 8 bits, got mode 'I;16'"),
        "real.tif": (Image.fromarray(grey.astype(np.float32) / 255), "expected pixels of 8 bits, got mode 'F'"),
        "clear.png": (Image.fromarray(clear, "RGBA"), "got transparent pixels"),
    }
    for name, (picture, _) in odd.items():
        picture.save(tmp_path / name)
    Image.fromarray(grey).save(tmp_path / "two.gif", save_all=True, append_images=[Image.fromarray(255 - grey)])
    answers, status, said = ask(images, *(tmp_path / name for name in odd), tmp_path / "two.gif")
    assert (answers, status) == ([], 1)
    for _, why in odd.values():
        assert why in said
    assert "expected one picture, got 2" in said
    clear[..., 3] = 255
    Image.fromarray(clear, "RGBA").save(tmp_path / "opaque.png")
    np.save(tmp_path / "swapped.npy", (grey[None] / 255).astype(">f8"))
    (first, second), status, _ = ask(images, tmp_path / "opaque.png", tmp_path / "swapped.npy")
    assert status == 0
    assert first["probability"] == pytest.approx(second["probability"], rel=1e-6)


def test_bytes_as_pixels_of_a_stream_are_refused(images, ask):
    answers, status, said = ask(images, "-", typed=" ".join(["0", "255"] * 32))
    assert (answers, status) == ([], 1)
    assert "expected pixels from 0 to 1, or bytes in a file, got 0 to 255 in line 1" in said


def test_odd_files_of_events(ask, tmp_path):
    listed = [[3.0, 1], [2100.0, 3], [2104.0, 1]]
    np.save(tmp_path / "short.npy", np.array(listed, np.float16))
    np.save(tmp_path / "long.npy", np.array(listed, np.float16).astype(np.float64))
    (short, long), status, _ = ask(clicks(tmp_path), tmp_path / "short.npy", tmp_path / "long.npy")
    assert status == 0
    assert {**short, "name": ""} == {**long, "name": ""}
    (tmp_path / "none.csv").write_text("time,unit\n\n")
    (tmp_path / "far.csv").write_text("1,inf\n")
    _, _, said = ask(clicks(tmp_path), tmp_path / "none.csv", tmp_path / "far.csv")
    assert "expected events in" in said
    assert "expected finite numbers in" in said


def test_classes_with_names_are_called_by_them(ask, tmp_path, capsys):
    path = checkpoint(tmp_path / "a.ckpt", {"_target_": "torchdyn_neuro.data.YinYang"})
    np.save(tmp_path / "one.npy", np.array([[1.0, 0], [3.0, 1], [20.0, 2]]))
    answers, status, told = ask(path, tmp_path / "one.npy", "--top", 3)
    assert (status, told) == (0, "")
    [answer] = answers
    assert answer["class"] == ("yin", "yang", "dots")[answer["label"]]
    assert {each["class"] for each in answer["top"]} == {"yin", "yang", "dots"}
    with pytest.raises(SystemExit):
        command([str(path), str(tmp_path / "one.npy")])
    assert capsys.readouterr().out.split()[1] == answer["class"]


def test_events_in_seconds_are_refused(ask, tmp_path):
    path = clicks(tmp_path)
    times = np.linspace(0, 0.9, 40)
    np.savetxt(tmp_path / "one.csv", np.stack([times, np.arange(40) % 8], 1), delimiter=",")
    answers, status, told = ask(path, tmp_path / "one.csv")
    assert (answers, status) == ([], 1)
    assert "expected times in ms, got recordings of at most 0.9 ms" in told
    assert "as if they were seconds; multiply seconds by 1000" in told
