"""Google speech commands as mel spectrograms."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from .frame_dataset import FrameSequences
from .sequence_data import SequenceData, Sequences

RATE = 16_000
"""Samples of sound in a second."""
FLOOR = 1e-6
SUBSETS = {"train": "training", "val": "validation", "test": "testing"}
WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy"),
    *("house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop"),
    *("three", "tree", "two", "up", "visual", "wow", "yes", "zero"),
)


class SpeechCommands(SequenceData):
    r"""105,829 spoken words of 35 kinds, a second each, as log-energies in mel bands; the official split.

    Torchaudio finds the files and computes the spectrogram. The frames of all words, 2 bytes a band, stay in memory.

    Args:
        root: folder that holds ``SpeechCommands/speech_commands_v0.02``.
        download: fetch the data set, 2.3 GB, if it is missing.
        bands: number of mel bands.
        dt: from one frame to the next, ms; a window is twice as long, and 25 ms at least.
        options: those of :class:`SequenceData`.

    Raises:
        ImportError: without torchaudio.
        FileNotFoundError: from ``setup``, if the data set is missing.
        ValueError: from ``setup``, naming the file, if one is damaged or no sound of one channel at 16 kHz.

    Source: Warden (2018), arXiv:1804.03209.
    """

    classes = len(WORDS)

    def __init__(
        self, *, root: str = "data", download: bool = False, bands: int = 40, dt: float = 10.0, **options: Any
    ):
        super().__init__(**options)
        self.root, self.download = root, download
        self.shape = (whole_number("SpeechCommands", "bands", bands, 1),)
        self.dt = positive_number("SpeechCommands", "dt", dt, unit="ms")

    def prepare_data(self) -> None:
        self._files("test")

    def load(self) -> dict[str, Sequences]:
        return {name: self._split(name) for name in SUBSETS}

    def _files(self, name: str) -> list[tuple[Path, int]]:
        """The files of a split, and their classes."""
        try:
            from torchaudio.datasets import SPEECHCOMMANDS
        except ImportError as error:
            raise ImportError(
                'SpeechCommands: expected torchaudio, found none; get it with: pip install "torchdyn_neuro[audio]"'
            ) from error
        if self.download:
            Path(self.root).mkdir(parents=True, exist_ok=True)
        try:
            found = SPEECHCOMMANDS(self.root, download=self.download, subset=SUBSETS[name])
            sounds = [found.get_metadata(index) for index in range(len(found))]
        except (RuntimeError, OSError) as error:
            raise FileNotFoundError(
                "SpeechCommands: expected SpeechCommands/speech_commands_v0.02 with validation_list.txt, "
                f"testing_list.txt and WORD/*.wav in {self.root!r}, found none that is complete; set "
                "data.download=true, or get it from https://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
            ) from error
        unknown = [word for _, _, word, *_ in sounds if word not in WORDS]
        if unknown:
            raise ValueError(
                f"SpeechCommands: expected the 35 words, got {unknown[0]!r} in {self.root!r}; get it again"
            )
        return [(Path(found._archive) / Path(path), WORDS.index(word)) for path, _, word, *_ in sounds]

    def _split(self, name: str) -> FrameSequences:
        from torchaudio.transforms import MelSpectrogram

        hop = round(RATE * self.dt / 1e3)
        window = max(2 * hop, RATE // 40)
        width = 2 ** (window - 1).bit_length()
        transform = MelSpectrogram(RATE, n_fft=width, win_length=window, hop_length=hop, n_mels=self.shape[0])
        frames, labels = [], []
        for path, label in self._files(name):
            mel = transform(read_sound(path).float() / 2**15)
            frames.append(torch.log(mel + FLOOR).T.half())
            labels.append(label)
        return FrameSequences(frames, torch.tensor(labels, dtype=torch.int64))


def read_sound(path: Path) -> Tensor:
    """The samples of a WAV file of one channel, 16 bits and 16 kHz, int16.

    Raises:
        ValueError: if it is anything else, or empty.
    """
    try:
        with wave.open(str(path)) as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            announced, data = file.getnframes(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"read_sound: expected a WAV file, got {str(path)!r}, which is truncated or none ({error}); get it again"
        ) from error
    if form != (1, 2, RATE) or not announced or len(data) != 2 * announced:
        raise ValueError(
            f"read_sound: expected one channel of 16 bits at {RATE} Hz, got {form[0]} of {8 * form[1]} bits at "
            f"{form[2]} Hz with {len(data)} of {announced * form[0] * form[1]} bytes in {str(path)!r}; get it again"
        )
    return torch.from_numpy(np.frombuffer(data, "<i2").astype(np.int16))
