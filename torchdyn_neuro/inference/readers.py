"""From files to samples: images, arrays and events, as the data that a classifier was trained on would give them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from ..data import Events, Recording, collect
from ..data.event_data import EventData, EventSequences
from ..data.events import check_milliseconds
from ..data.formats.address_events import read_bin
from ..data.formats.aedat2 import read_aedat2
from ..data.formats.aedat3 import VERSION, read_aedat3
from ..data.formats.hdf5 import read_hdf5
from ..data.image_data import ImageData, Split
from ..data.sequential_images import ImageSequences, SequentialImages

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PLAIN = (".csv", ".txt", ".npy")
"""Events as rows of numbers, which say nothing of their unit."""
HDF5 = (".h5", ".hdf5")


class Samples(NamedTuple):
    """names: of each; samples: [N, \\*], or sequences [N, T, \\*]; lengths: [N] of padded sequences, or None."""

    names: list[str]
    samples: Tensor
    lengths: Tensor | None


def reader_for(
    data: LightningDataModule, shape: tuple[int, ...], *, encoded: bool, resize: bool = False
) -> Callable[[Path], Samples]:
    """What reads the files that a classifier can be asked about.

    Args:
        data: the data that it was trained on; they are not read.
        shape: of one sample, or of one frame of a sequence, if the data do not say.
        encoded: whether the classifier makes sequences of samples itself.
        resize: images may be of another size.
    """
    if isinstance(data, EventData):
        return lambda path: read_events(path, data)
    if isinstance(data, SequentialImages):
        return lambda path: _in_steps(read_images(path, data.images, resize=resize), data)
    if isinstance(data, ImageData):
        return lambda path: read_images(path, data, resize=resize)
    return lambda path: read_array(path, tuple(getattr(data, "shape", shape)), encoded=encoded)


def read_images(path: Path, data: ImageData, *, resize: bool = False) -> Samples:
    """Pictures in the formats of Pillow, or arrays ``.npy`` [C, H, W] or [N, C, H, W]; bytes count from 0 to 255.

    Raises:
        ValueError: if the size is another, and not to be changed; if values are not from 0 to 1.
    """
    if path.suffix.lower() == ".npy":
        return _batch_of(path, _load_array(path), data.shape, scale_bytes=True)
    if path.suffix.lower() not in IMAGES:
        raise ValueError(f"predict: expected an image or an array ({', '.join(IMAGES)}, .npy), got {str(path)!r}")
    from PIL import Image, UnidentifiedImageError

    channels, height, width = data.shape
    try:
        with Image.open(path) as image:
            _check_picture(path, image)
            picture = image.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"predict: expected an image in {str(path)!r}, which is damaged or none ({error})") from error
    if picture.size != (width, height):
        if not resize:
            raise ValueError(
                f"predict: expected {width} x {height} pixels, got {picture.size[0]} x {picture.size[1]} in "
                f"{str(path)!r}; --resize changes the size"
            )
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255).view(height, width, -1).movedim(-1, 0)
    return Samples([path.name], pixels[None], None)


def _check_picture(path: Path, image: Any) -> None:
    """Raise where a picture has more to it than bytes of colour, of which the rest would go without a word."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"predict: expected one picture, got {frames} in {str(path)!r}; save each of them by itself")
    if image.mode == "F" or image.mode.startswith("I"):
        raise ValueError(
            f"predict: expected pixels of 8 bits, got mode {image.mode!r} in {str(path)!r}; scale them to 0 to 255, or "
            "save an array (.npy) of values from 0 to 1"
        )
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        raise ValueError(
            f"predict: expected a picture that lets nothing through, got transparent pixels in {str(path)!r}; lay it "
            "on a background like that of the training"
        )


def read_array(path: Path, shape: tuple[int, ...], *, encoded: bool) -> Samples:
    """Arrays ``.npy``: samples [\\*shape] or [N, \\*shape], or of a classifier of sequences [T, \\*] or [N, T, \\*]."""
    if path.suffix.lower() != ".npy":
        raise ValueError(f"predict: expected an array (.npy), got {str(path)!r}; save it with numpy.save")
    values = _load_array(path)
    if encoded:
        return _batch_of(path, values, shape)
    if values.ndim == len(shape) + 1:
        values = values[None]
    if values.ndim != len(shape) + 2 or values.shape[2:] != shape or 0 in values.shape[:2]:
        expected = ", ".join(map(str, shape))
        raise ValueError(
            f"predict: expected sequences [T, {expected}] or [N, T, {expected}], got {list(values.shape)} in "
            f"{str(path)!r}"
        )
    return Samples(_numbered(path, len(values)), torch.from_numpy(values).float(), None)


def read_events(path: Path, data: EventData) -> Samples:
    """Recordings of events, binned as in training: ``.bin``, ``.aedat`` 2 and 3.1, HDF5, ``.csv``, ``.npy``.

    A line of a ``.csv``, or a row of a ``.npy``, is an event: its time in ms, then its unit, or its polarity, row and
    column. A first line that is no numbers is skipped.
    """
    kind = type(data).__name__
    events = collect(kind, _recordings(path), data.sensor, data.classes)
    if not len(events):
        raise ValueError(f"predict: expected recordings in {str(path)!r}, got none")
    if path.suffix.lower() in PLAIN:
        check_milliseconds(f"predict: {path.name}", events, "multiply seconds by 1000", few=data.dt)
    return bin_samples(events, data, _numbered(path, len(events)))


def bin_samples(events: Events, data: EventData, names: list[str]) -> Samples:
    """Recordings as the frames of the data."""
    chosen = torch.arange(len(events))
    frames, _, lengths = EventSequences(data, events, chosen).batch(chosen, None)
    return Samples(names, frames, lengths)


def _recordings(path: Path) -> Iterator[Recording]:
    suffix, where = path.suffix.lower(), repr(str(path))
    if suffix in HDF5:
        yield from (recording._replace(label=0) for recording in read_hdf5(path))
    elif suffix == ".bin":
        yield Recording(*read_bin(path), 0, name=where)
    elif suffix == ".aedat":
        with path.open("rb") as file:
            newer = file.read(len(VERSION)) == VERSION
        yield Recording(*(read_aedat3 if newer else read_aedat2)(path), 0, name=where)
    elif suffix in PLAIN:
        rows = _load_array(path) if suffix == ".npy" else _load_text(path)
        if rows.ndim != 2 or rows.shape[1] not in (2, 4):
            raise ValueError(
                f"predict: expected events of 2 numbers (time in ms, unit) or 4 (time, polarity, row, column), got "
                f"{list(rows.shape)} in {where}"
            )
        units = rows[:, 1:]
        if not np.array_equal(units, np.rint(units)):
            raise ValueError(f"predict: expected whole numbers of units in {where}, got fractions")
        units = units.astype(np.int64)
        yield Recording(
            rows[:, 0].astype(np.float64) * 1e3, units[:, 0] if units.shape[1] == 1 else units, 0, name=where
        )
    else:
        raise ValueError(f"predict: expected events (.bin, .aedat, .h5, .hdf5, .csv, .txt, .npy), got {where}")


def _load_text(path: Path) -> np.ndarray:
    text = [line for line in path.read_text().replace(",", " ").replace(";", " ").splitlines() if line.strip()]
    first = text[0].split() if text else []
    try:
        [float(word) for word in first]
        skipped = 0
    except ValueError:
        skipped = 1
    if len(text) <= skipped:
        raise ValueError(f"predict: expected events in {str(path)!r}, got none; give a recording with some")
    try:
        values = np.loadtxt(text, ndmin=2, skiprows=skipped)
    except ValueError as error:
        raise ValueError(f"predict: expected numbers in {str(path)!r}, got something else ({error})") from error
    _check_finite(path, values)
    return values


def _load_array(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"predict: expected an array of numbers in {str(path)!r}, {error}") from error
    if values.dtype.kind not in "biuf":
        raise ValueError(f"predict: expected real numbers in {str(path)!r}, got {values.dtype}")
    _check_finite(path, values)
    # Torch knows no other order of bytes, and no longer numbers.
    kept = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.float64
    return values.astype(kept, copy=False)


def _check_finite(path: Path, values: np.ndarray) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"predict: expected finite numbers in {str(path)!r}, got NaN or infinity")


def _batch_of(path: Path, values: np.ndarray, shape: tuple[int, ...], *, scale_bytes: bool = False) -> Samples:
    if values.shape == shape:
        values = values[None]
    if values.shape[1:] != shape or not len(values):
        expected = ", ".join(map(str, shape))
        raise ValueError(
            f"predict: expected samples [{expected}] or [N, {expected}], got {list(values.shape)} in {str(path)!r}"
        )
    samples = torch.from_numpy(values).float()
    if scale_bytes:
        samples = samples / 255 if values.dtype == np.uint8 else samples
        check_pixels(repr(str(path)), samples)
    return Samples(_numbered(path, len(samples)), samples, None)


def check_pixels(where: str, pixels: Tensor) -> None:
    """Raise unless all pixels are from 0 to 1, as in training."""
    if pixels.min() < 0 or pixels.max() > 1:
        raise ValueError(
            f"predict: expected pixels from 0 to 1, or bytes in a file, got {pixels.min():g} to {pixels.max():g} in "
            f"{where}; divide by the greatest value"
        )


def _in_steps(images: Samples, data: SequentialImages) -> Samples:
    split = Split(images.samples, torch.zeros(len(images.samples), dtype=torch.int64))
    sequences = ImageSequences(split, data.images, data.order, data.permutation, data.seed)
    frames, _, lengths = sequences.batch(torch.arange(len(images.samples)), None)
    return Samples(images.names, frames, lengths)


def _numbered(path: Path, count: int) -> list[str]:
    return [path.name] if count == 1 else [f"{path.name}[{index}]" for index in range(count)]
