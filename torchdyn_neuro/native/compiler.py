"""From source text to a loaded library, by way of a folder on disk that only its user can write to."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

_FLAGS = ["-std=c++17", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
_LINK = ["-shared", "-fPIC"]
_THREADS = "-fopenmp"
_VECTOR_MATH = ["-DVECTOR_MATH", "-Wl,-z,defs", "-lmvec", "-lm"]
# What may be missing on a machine is given up one by one: wide vectors, vector versions of functions, threads.
_ATTEMPTS = (
    [_THREADS, "-mprefer-vector-width=512", *_VECTOR_MATH],
    [_THREADS, *_VECTOR_MATH],
    [_THREADS, "-lm"],
    ["-lm"],
)
SCALAR = ("-O3",)
VECTORS = ("-O2", "-ftree-vectorize", "-funswitch-loops")
LONG = ("-O2", "-ftree-vectorize", "-fira-region=one")
"""How a text is tuned: one that leaves vectors to the compiler, one that says itself what a vector is, and such a one
where the compiler's own time counts. Of vectors -O3 takes half as long again to make code that is hardly any faster,
and for narrow types a third as fast: it writes out the loops over the lanes before it sees that they are one."""
_PACKAGE = Path(__file__).parent.parent
_TIMEOUT = 120.0
_SEAL = 32  # bytes of the checksum at the end of a stored library

NUMBERS = {torch.float32: "float", torch.float64: "double"}
"""The types of C++ for which there are kernels."""

NO_COMPILER = "no C++ compiler was found; install g++ or set CXX"

_lock = threading.Lock()
_locks: dict[str, threading.Lock] = {}  # one for each library: several are compiled at the same time
_loaded: dict[str, ctypes.CDLL] = {}
_compilers: dict[tuple[str | None, str | None], str] = {}


class CompilerUnavailableError(RuntimeError):
    """No C++ compiler, or one that fails."""


def cache_folder() -> Path:
    """The folder of compiled loops: ``TORCHDYN_NEURO_CACHE``, else one in the user's cache folder."""
    chosen = os.environ.get("TORCHDYN_NEURO_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchdyn_neuro"


@functools.cache
def header(*names: str) -> str:
    """The text of C++ headers, one after the other; each by its path in the package."""
    return "".join((_PACKAGE / name).read_text() + "\n" for name in names)


@functools.cache
def header_library(names: tuple[str, ...], dtype: torch.dtype) -> ctypes.CDLL | None:
    """The library of headers for one type, their ``NUMBER``; ``None`` without a compiler or kernel."""
    try:
        return required_library(names, dtype)
    except CompilerUnavailableError:
        return None


def required_library(names: tuple[str, ...], dtype: torch.dtype) -> ctypes.CDLL:
    """The same; raises :class:`CompilerUnavailableError` with the reason where there is none."""
    if dtype not in NUMBERS:
        raise CompilerUnavailableError(f"expected {' or '.join(map(str, NUMBERS))}, got {dtype}; choose one of them")
    return load_library(f"#define NUMBER {NUMBERS[dtype]}\n{header(*names)}")


def arrays(tensors: Sequence[Tensor | None], sizes: Sequence[int]) -> tuple[ctypes.Array, ctypes.Array]:
    """What a compiled function takes: the addresses of tensors (null for ``None``) and whole numbers."""
    pointers = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    return _array_type(ctypes.c_void_p, len(pointers))(*pointers), _array_type(ctypes.c_int64, len(sizes))(*sizes)


@functools.cache
def _array_type(kind: type, length: int) -> type[ctypes.Array]:
    # ctypes forgets an array type that nobody holds, and takes longer to make one than a short loop to run.
    return kind * length


def load_library(source: str, tuning: Sequence[str] = SCALAR) -> ctypes.CDLL:
    """The library compiled from C++ ``source``: from memory, from disk, or new.

    Args:
        source: the text.
        tuning: what the compiler is to try (:data:`SCALAR`, :data:`VECTORS` or :data:`LONG`).

    Raises:
        CompilerUnavailableError: if it has to be compiled and cannot be.
    """
    key = key_of(source, tuning)
    with locked([key]):
        if key not in _loaded:
            _loaded[key] = stored(key) or make(source, tuning, [key])
        return _loaded[key]


@contextlib.contextmanager
def locked(keys: Iterable[str]) -> Iterator[None]:
    """Keep other threads from making these libraries; several others are compiled at the same time."""
    with contextlib.ExitStack() as held:
        for key in sorted(keys):
            with _lock:
                own = _locks.setdefault(key, threading.Lock())
            held.enter_context(own)
        yield


def stored(key: str) -> ctypes.CDLL | None:
    """The library on disk, if there is one."""
    return _open(private_folder() / f"{key}.so")


def make(source: str, tuning: Sequence[str], keys: Sequence[str]) -> ctypes.CDLL:
    """A new library, on disk under each of these keys."""
    try:
        return _make(source, tuning, keys, private_folder())
    except OSError as error:
        # No room left, or something of another kind in the place of the library.
        reason = str(error)
    try:
        return _make(source, tuning, keys, _process_folder())
    except OSError as error:
        raise CompilerUnavailableError(f"no compiled library can be stored: {reason}; {error}") from None


def _make(source: str, tuning: Sequence[str], keys: Sequence[str], folder: Path) -> ctypes.CDLL:
    compiled = _compile(source, tuning, folder)
    copies = [compiled, *(compiled.with_suffix(f".{k}.tmp") for k in range(1, len(keys)))]
    try:
        compiled.write_bytes(_sealed(compiled.read_bytes()))
        for copy in copies[1:]:
            _link(compiled, copy)
        # Renaming replaces at once: another process sees the old file, the new one, or none; never a part.
        for copy, key in zip(copies, keys, strict=True):
            os.replace(copy, folder / f"{key}.so")
        library = _open(folder / f"{keys[0]}.so")
    finally:
        for copy in copies:
            copy.unlink(missing_ok=True)
    if library is None:
        raise CompilerUnavailableError(f"the C++ compiler made a library that cannot be loaded: {folder}/{keys[0]}.so")
    return library


def _link(file: Path, other: Path) -> None:
    try:
        os.link(file, other)
    except OSError:  # a file system without links
        shutil.copy(file, other)


def _open(path: Path) -> ctypes.CDLL | None:
    """The library if the file is whole and its user's own, else ``None``."""
    try:
        if not _is_private(path) or not _is_whole(path.read_bytes()):
            return None
        return ctypes.CDLL(str(path))
    except OSError:
        return None


def _sealed(library: bytes) -> bytes:
    return library + hashlib.sha256(library).digest()


def _is_whole(content: bytes) -> bool:
    return len(content) > _SEAL and hashlib.sha256(content[:-_SEAL]).digest() == content[-_SEAL:]


def _is_private(path: Path) -> bool:
    """Whether ``path`` is a file or folder that nobody but the user (and root) could have written."""
    status = path.lstat()
    # To read from a pipe would take for ever.
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return False
    owner = getattr(os, "getuid", lambda: status.st_uid)()
    return status.st_uid == owner and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def private_folder() -> Path:
    """The cache folder if it can be made, written to and trusted; else a folder for this process."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError:
        pass
    return _process_folder()


@functools.cache
def _process_folder() -> Path:
    import atexit
    import warnings

    warnings.warn(
        f"torchdyn_neuro: expected a folder with room that only this user can write to at {cache_folder()}, got none; "
        "compiled loops are kept for this process only. Set TORCHDYN_NEURO_CACHE to a private folder",
        stacklevel=2,
    )
    folder = Path(tempfile.mkdtemp(prefix="torchdyn_neuro-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _compile(source: str, tuning: Sequence[str], folder: Path) -> Path:
    """A new library in ``folder``, under a name that no other process uses."""
    compiler = find_compiler()
    if compiler is None:
        raise CompilerUnavailableError(NO_COMPILER)
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=folder)
    os.close(handle)
    for extra in _attempts(tuning):
        command = [compiler, *_FLAGS, *_LINK, "-x", "c++", "-", "-o", name, *extra, *_more_flags()]
        try:
            done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = str(error)
            break
        if done.returncode == 0:
            return Path(name)
        failure = done.stderr.strip()
    Path(name).unlink(missing_ok=True)
    raise CompilerUnavailableError(f"the C++ compiler {compiler} failed: {failure[-2000:]}")


def _attempts(tuning: Sequence[str]) -> list[list[str]]:
    """Options to try; what only one compiler knows is given up first."""
    known = [*tuning] if tuning != LONG else [*VECTORS]
    own = [[*LONG, *_ATTEMPTS[0]]] if tuning == LONG else []
    return [*own, *([*known, *extra] for extra in _ATTEMPTS)]


def find_compiler() -> str | None:
    """The path of the C++ compiler: ``CXX`` if set, else the first of g++, c++, clang++ that is there."""
    named = os.environ.get("CXX")
    asked = named, os.environ.get("PATH")
    if asked not in _compilers:
        names = [named] if named else ["g++", "c++", "clang++"]
        found = next((path for name in names if (path := shutil.which(name))), None)
        if found is None:
            return None
        _compilers[asked] = found
    return _compilers[asked]


def _more_flags() -> list[str]:
    """What ``TORCHDYN_NEURO_CXXFLAGS`` adds to the options, such as ``-O0`` where many loops run once."""
    return os.environ.get("TORCHDYN_NEURO_CXXFLAGS", "").split()


def key_of(source: str, tuning: Sequence[str]) -> str:
    """What a binary depends on: the text, the compiler, its options and the processor it was made for."""
    parts = (
        source,
        _compiler_version(find_compiler() or ""),
        repr((_FLAGS, _LINK, _attempts(tuning), _more_flags())),
        _processor(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@functools.cache
def _compiler_version(compiler: str) -> str:
    if not compiler:
        return ""
    # The file's size and age tell an update, at a fraction of the time that asking the compiler takes.
    status = os.stat(compiler)
    return f"{os.path.realpath(compiler)} {status.st_size} {status.st_mtime_ns}"


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))
