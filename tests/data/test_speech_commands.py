"""Speech commands on sounds made in their format."""

import wave

import numpy as np
import pytest
import torch

from torchdyn_neuro.data import SpeechCommands
from torchdyn_neuro.data.speech_commands import WORDS, read_sound

needs_torchaudio = pytest.mark.skipif(
    not __import__("importlib").util.find_spec("torchaudio"), reason="torchaudio is not installed"
)


def write_sound(path, samples, *, rate=16000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())


def tone(frequency, seconds):
    return 8000 * np.sin(2 * np.pi * frequency * np.arange(int(16000 * seconds)) / 16000)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "SpeechCommands/speech_commands_v0.02"
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for word, frequency in (("yes", 400), ("no", 3000)):
        (folder / word).mkdir(parents=True)
        for index, name in enumerate(("train", "validation_list.txt", "testing_list.txt")):
            path = f"{word}/abc{index}_nohash_0.wav"
            write_sound(folder / path, tone(frequency, 1.0 if index else 0.5))
            lists.setdefault(name, []).append(path)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).write_text("\n".join(lists[name]) + "\n")
    return tmp_path


@needs_torchaudio
@pytest.mark.filterwarnings("ignore")  # of torchaudio about itself
def test_words(root):
    data = SpeechCommands(root=str(root), batch_size=2)
    [(frames, labels, _)] = data.test_dataloader()
    assert frames.shape == (2, 101, 40)
    assert frames.dtype == torch.float32
    assert [WORDS[label] for label in labels] == ["yes", "no"]
    # The higher tone is in higher bands.
    assert frames[1, 50].argmax() > 25 > 15 > frames[0, 50].argmax()
    assert data.splits["train"].lengths.tolist() == [51, 51]
    assert [len(data.splits[name].labels) for name in ("train", "val", "test")] == [2, 2, 2]
    assert len(set(WORDS)) == data.classes == 35


@needs_torchaudio
def test_a_missing_set(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected SpeechCommands/.* set data\.download=true, or get it from https"
    ):
        SpeechCommands(root=str(tmp_path)).prepare_data()


def test_without_torchaudio(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchaudio.datasets", None)
    with pytest.raises(ImportError, match=r'expected torchaudio.*pip install "torchdyn_neuro\[audio\]"'):
        SpeechCommands().prepare_data()


@pytest.mark.parametrize(
    ("options", "keep", "message"),
    [
        ({"rate": 8000}, None, "1 of 16 bits at 8000 Hz"),
        ({"channels": 2}, None, "2 of 16 bits"),
        ({}, -100, "with 15900 of 16000 bytes"),
        ({}, 10, "truncated or none"),
        ({}, 0, "truncated or none"),
    ],
)
def test_damaged_sounds_are_named(tmp_path, options, keep, message):
    path = tmp_path / "a.wav"
    write_sound(path, tone(400, 0.5), **options)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=message) as caught:
        read_sound(path)
    assert "a.wav" in str(caught.value)
