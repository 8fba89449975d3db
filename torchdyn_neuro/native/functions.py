"""Functions of generated texts: those that are wanted together are compiled in one go.

To start a compiler and a linker takes as long as to compile a short loop. Each function has a name and a file of its
own, so that it is found again whatever it was compiled beside; the files are names of one library.
"""

import ctypes
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .compiler import VECTORS, header, key_of, locked, make, stored

_TOGETHER = 16_000
"""Characters of functions beyond which another compiler works at the same time: it would take a third of a second."""

_functions: dict[str, Callable] = {}


class Text(NamedTuple):
    """The text of one function, which returns nothing.

    Args:
        function: its definition, under the name ``RUN``.
        headers: what stands before it, each by its path in the package. Of functions in one library each gets what any
            of them needs, in the order in which the longest list has them.
        defines: what stands before these; equal for functions in one library.
        tuning: see :func:`~torchdyn_neuro.native.compiler.load_library`.
    """

    function: str
    headers: tuple[str, ...]
    defines: str = ""
    tuning: tuple[str, ...] = VECTORS

    @property
    def key(self) -> str:
        """By which it is stored."""
        return key_of(f"{self.defines}{header(*self.headers)}{self.function}", self.tuning)


def load_functions(texts: Sequence[Text]) -> list[Callable]:
    """The compiled functions, from memory, from disk, or new.

    Raises:
        CompilerUnavailableError: if one has to be compiled and cannot be.
    """
    keys = [text.key for text in texts]
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in _functions}
    with locked(new):
        for key in [*new]:
            if key not in _functions and (library := stored(key)) is not None:
                _functions[key] = _function(library, key)
            if key in _functions:
                del new[key]
        _compile_all([*_groups(new)])
    return [_functions[key] for key in keys]


def _function(library: ctypes.CDLL, key: str) -> Callable:
    function = library[_symbol(key)]  # ctypes releases Python's lock for the time of a call
    function.restype = None
    return function


def _symbol(key: str) -> str:
    return f"run_{key}"


def _groups(texts: dict[str, Text]) -> Iterable[dict[str, Text]]:
    """What is compiled in one go."""
    open_: dict[tuple, dict[str, Text]] = {}
    for key, text in texts.items():
        kind = text.defines, text.tuning
        group = open_.setdefault(kind, {})
        if group and sum(len(each.function) for each in (*group.values(), text)) > _TOGETHER:
            yield open_.pop(kind)
            group = open_.setdefault(kind, {})
        group[key] = text
    yield from open_.values()


def _compile_all(groups: Sequence[dict[str, Text]]) -> None:
    """One compiler for each group, all at the same time."""
    failures: list[Exception] = []

    def compile_one(group: dict[str, Text]) -> None:
        try:
            library = make(_source(group), next(iter(group.values())).tuning, [*group])
            _functions.update((key, _function(library, key)) for key in group)
        except Exception as error:  # raised by who waits for this thread
            failures.append(error)

    threads = [threading.Thread(target=compile_one, args=(group,)) for group in groups[1:]]
    for thread in threads:
        thread.start()
    for group in groups[:1]:
        compile_one(group)
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def _source(group: dict[str, Text]) -> str:
    texts = [*group.values()]
    longest = max((text.headers for text in texts), key=len)
    parts = [texts[0].defines, header(*longest)]
    for key, text in group.items():
        parts.append(f"#define RUN {_symbol(key)}\n{text.function}\n#undef RUN\n")
    return "".join(parts)
