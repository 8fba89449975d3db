"""Spikes and traces in an HDF5 file, written as they come."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .running import Piece, SpikingNetworkState
from .spikes import Spikes


class SpikeFile:
    """Writes what a run finds to an HDF5 file, piece by piece: give it to a run as ``record``.

    The file holds ``step`` and ``neuron`` of all spikes, int32, in their order; the attributes ``begin`` and ``end``
    (steps), ``dt`` (ms), ``populations`` and ``neurons``; and ``traces/POPULATION/FIELD`` [steps, neurons] of what is
    watched. It is open only while a piece is added, so it is whole at any other time. Where a process ends while one is
    added, what counts is what was there before, up to ``end`` and ``spikes``; the rest is left out when it is read.

    Args:
        path: of the file; it must not exist, unless there is a state.
        state: from which a run goes on after an end that was not planned: what the file holds of later steps is
            dropped.

    Raises:
        FileExistsError: if there is a file and no state.
        ImportError: without h5py.
        OSError: here, and when it is read, if a process ended while it wrote and left a file that HDF5 cannot read.

    Example:
        >>> SpikeFile("spikes.h5").path.name
        'spikes.h5'
    """

    def __init__(self, path: str | Path, state: SpikingNetworkState | None = None):
        self.path = Path(path)
        self.library = _h5py()
        if self.path.exists():
            if state is None:
                raise FileExistsError(
                    f"SpikeFile: expected no file yet, got {self.path}; choose another name, or pass the state to go "
                    "on from"
                )
            self._cut(int(state.step))

    def _cut(self, step: int) -> None:
        with self._opened("r+") as file:
            begin, end = int(file.attrs["begin"]), int(file.attrs["end"])
            if not begin <= step <= end:
                raise ValueError(
                    f"SpikeFile: expected a state between steps {begin} and {end} of {self.path}, got step {step}; "
                    "pass the state of that run"
                )
            count = int((torch.from_numpy(file["step"][: int(file.attrs["spikes"])]) < step).sum())
            for name in ("step", "neuron"):
                file[name].resize(count, axis=0)
            file.visititems(lambda name, held: _shorten(name, held, step - begin))
            file.attrs["end"], file.attrs["spikes"] = step, count

    @contextmanager
    def _opened(self, mode: str) -> Iterator[Any]:
        """The file, of which at least one piece is whole."""
        try:
            with self.library.File(self.path, mode) as file:
                file.attrs["end"]
                yield file
        except FileNotFoundError:
            raise
        except (OSError, KeyError, RuntimeError) as error:
            raise OSError(
                f"SpikeFile: expected a file that HDF5 can read, got {self.path}, which a process that was ended left "
                f"within a piece ({error}); run it again from the start, or keep pieces in files of their own"
            ) from None

    def __call__(self, piece: Piece) -> None:
        """Add a piece."""
        spikes = piece.spikes
        with self.library.File(self.path, "a") as file:
            if "begin" not in file.attrs:
                file.attrs["begin"], file.attrs["dt"] = spikes.begin, spikes.dt
                file.attrs["populations"] = list(spikes.populations)
                file.attrs["neurons"] = list(spikes.populations.values())
            elif int(file.attrs["end"]) != spikes.begin:
                raise ValueError(
                    f"SpikeFile: expected a piece from step {int(file.attrs['end'])} on, got one from {spikes.begin}; "
                    "write each run to a file of its own"
                )
            before = int(file.attrs.get("spikes", 0))
            _append(file, "step", spikes.step, before)
            _append(file, "neuron", spikes.neuron, before)
            for population, fields in piece.traces.items():
                for field, trace in fields.items():
                    _append(file, f"traces/{population}/{field}", trace, spikes.begin - int(file.attrs["begin"]))
            file.flush()
            # Last of all: until then the file is what it was.
            file.attrs["spikes"] = before + len(spikes)
            file.attrs["end"] = spikes.end

    def read(self) -> Piece:
        """All that the file holds."""
        with self._opened("r") as file:
            count = int(file.attrs["spikes"])
            step, neuron = (torch.from_numpy(file[name][:count]) for name in ("step", "neuron"))
            populations = dict(zip(file.attrs["populations"], map(int, file.attrs["neurons"]), strict=True))
            begin, end, dt = int(file.attrs["begin"]), int(file.attrs["end"]), float(file.attrs["dt"])
            traces: dict[str, dict[str, Tensor]] = {}
            for population, fields in file.get("traces", {}).items():
                traces[population] = {field: torch.from_numpy(held[: end - begin]) for field, held in fields.items()}
        return Piece(Spikes(step, neuron, begin, end, dt, populations), traces)


def _append(file: Any, name: str, values: Tensor, before: int) -> None:
    rows = values.numpy()
    if name not in file:
        file.create_dataset(name, data=rows, maxshape=(None, *rows.shape[1:]), chunks=(8192, *rows.shape[1:]))
        return
    held = file[name]
    held.resize(before + len(rows), axis=0)
    held[before:] = rows


def _shorten(name: str, held: Any, steps: int) -> None:
    if name.startswith("traces/") and hasattr(held, "resize"):
        held.resize(steps, axis=0)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise ImportError(
            'SpikeFile: expected h5py, which writes HDF5, found none; get it with: pip install "torchdyn_neuro[events]"'
        ) from None
    return h5py
