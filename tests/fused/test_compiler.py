"""Trouble with the compiler and its folder: recovery or the eager loop, one warning, never a wrong result."""

import errno
import os
import stat
import warnings

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.fused import backends
from torchdyn_neuro.fused.operators import registry
from torchdyn_neuro.native import compiler, functions
from torchdyn_neuro.native.compiler import arrays
from torchdyn_neuro.native.functions import Text, load_functions

SOURCE = 'extern "C" int run() { return 7; }'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder, with nothing remembered of earlier ones."""
    path = tmp_path / "loops"
    monkeypatch.setenv("TORCHDYN_NEURO_CACHE", str(path))
    monkeypatch.setattr(compiler, "_loaded", {})
    compiler._process_folder.cache_clear()
    yield path
    compiler._process_folder.cache_clear()


def load():
    compiler._loaded.clear()
    return compiler.load_library(SOURCE).run()


def test_the_folder_is_private_and_holds_one_library(folder):
    assert load() == load() == 7
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.suffix for path in folder.iterdir()] == [".so"]


@pytest.mark.parametrize("content", [b"", b"not a library", None])
def test_a_damaged_library_is_made_anew(folder, content):
    load()
    (stored,) = folder.iterdir()
    whole = stored.read_bytes()
    stored.unlink()
    stored.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert load() == 7


def test_what_another_could_have_written_is_not_loaded(folder):
    load()
    (stored,) = folder.iterdir()
    stored.chmod(0o777)
    assert compiler._open(stored) is None
    assert load() == 7
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="only this user can write"):
        assert load() == 7


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_something_else_in_the_place_of_the_library(folder, make):
    load()
    (stored,) = folder.iterdir()
    stored.unlink()
    make(stored)
    # A pipe is replaced; a folder stays, and the library is kept elsewhere.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load() == 7
    assert len(caught) == (1 if make is os.mkdir else 0)
    assert [path for path in folder.iterdir() if path.suffix == ".tmp"] == []


def test_no_room_in_the_folder(folder, monkeypatch):
    make = compiler.tempfile.mkstemp

    def full(*args, **kwargs):
        if kwargs["dir"] == folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(*args, **kwargs)

    monkeypatch.setattr(compiler.tempfile, "mkstemp", full)
    with pytest.warns(UserWarning, match="with room"):
        assert load() == 7


def test_no_room_anywhere(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compiler.tempfile, "mkstemp", full)
    compiler._process_folder.cache_clear()
    with (
        pytest.warns(UserWarning, match="with room"),
        pytest.raises(compiler.CompilerUnavailableError, match="No space left"),
    ):
        load()


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TORCHDYN_NEURO_CACHE", str(tmp_path / "file" / "loops"))
    with pytest.warns(UserWarning, match="TORCHDYN_NEURO_CACHE"):
        assert load() == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load() == 7


def test_without_a_compiler_the_eager_loop_runs(folder, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setattr(backends, "_warned", set())
    # No other test has left a loop in this process.
    monkeypatch.setattr(registry, "_loops", {})
    cell, x = tdn.LIF(), torch.full((5, 1, 3), 5.0)
    with tdn.backend("eager"):
        expected = cell(x)
    with pytest.warns(UserWarning, match=r"step by step in Python.*no C\+\+ compiler"):
        assert torch.equal(cell(x), expected)
    assert torch.equal(tdn.IF()(x), torch.ones_like(x))
    with tdn.backend("cpp"), pytest.raises(compiler.CompilerUnavailableError):
        cell(x)


def test_a_compiler_that_dies(folder, monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nkill -9 $$\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(compiler.CompilerUnavailableError, match="broken"):
        load()
    assert list(folder.iterdir()) == []
    monkeypatch.delenv("CXX")
    assert load() == 7


def texts(*values, **options):
    """Functions that set the first number of a list to ``values``."""
    lines = "void RUN(void* const* tensors, const I*) {{ *(double*)tensors[0] = {}; }}"
    return [Text('extern "C" ' + lines.format(value), ("native/memory.h",), **options) for value in values]


def results(found):
    """What the functions set."""
    number = torch.zeros(1, dtype=torch.float64)
    return [run(*arrays([number], [0])) or number.item() for run in found]


@pytest.fixture
def made(folder, monkeypatch):
    """The numbers of functions that compilers were started for; nothing is remembered of earlier ones."""
    counts, make = [], functions.make
    monkeypatch.setattr(functions, "_functions", {})
    monkeypatch.setattr(
        functions, "make", lambda source, tuning, keys: counts.append(len(keys)) or make(source, tuning, keys)
    )
    return counts


def test_functions_are_compiled_together_and_found_one_by_one(folder, made, monkeypatch):
    one, two, three, four = texts(1, 2, 3, 4)
    assert results(load_functions([one, two, three, two])) == [1, 2, 3, 2]
    assert made == [3]
    assert len([*folder.iterdir()]) == 3
    # In another process, and beside others.
    for wanted, expected in (([two], [2]), ([three, four], [3, 4])):
        functions._functions.clear()
        assert results(load_functions(wanted)) == expected
    assert made == [3, 1]
    # Where there are no links a library is copied.
    monkeypatch.setattr(compiler.os, "link", lambda *_: compiler.os.readlink("nowhere"))
    assert results(load_functions(texts(5, 6))) == [5, 6]
    assert all(compiler._is_private(path) and path.suffix == ".so" for path in folder.iterdir())


def test_other_definitions_and_long_functions_have_a_compiler_of_their_own(made, monkeypatch):
    monkeypatch.setattr(functions, "_TOGETHER", 2 * len(texts(1)[0].function))
    mixed = [*texts(1, 2, 3), *texts("TWICE", defines="#define TWICE 8\n"), *texts(5, tuning=compiler.LONG)]
    assert results(load_functions(mixed)) == [1, 2, 3, 8, 5]
    assert sorted(made) == [1, 1, 1, 2]


def test_a_function_that_does_not_compile_is_an_error_for_all_that_wait(folder, made):
    good, bad = texts(1, "nothing")
    with pytest.raises(compiler.CompilerUnavailableError, match="nothing"):
        load_functions([good, bad])
    assert [*folder.iterdir()] == []
    assert results(load_functions([good])) == [1]


class Fading(tdn.Dynamics):
    """A step that no other test has compiled."""

    def initial_state(self, x_t):
        return (torch.zeros_like(x_t),)

    def step(self, x_t, state):
        s = torch.tanh(0.7315 * state[0] + 1.3719 * x_t)
        return s * s, (s,)


def test_the_loops_of_a_module_are_compiled_in_one_go(made):
    x = torch.rand(5, 2, 7, requires_grad=True)
    with tdn.backend("cpp"):
        Fading()(x).sum().backward()
        assert made == [2]
        tdn.Recurrent(Fading(), torch.nn.Linear(7, 7))(x).sum().backward()
    assert len(made) <= 3


# From Python 3.12 on it warns of the threads of torch, which the children do not use.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_processes_at_once(folder):
    # Forked, for to import torch in two new ones took five seconds of the processor.
    def child() -> int:
        process = os.fork()
        if process == 0:
            status = 1
            try:
                status = load()
            finally:
                os._exit(status)
        return process

    children = [child(), child()]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [7, 7]
    assert len(list(folder.iterdir())) == 1
