"""A small program that still differs."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from .program import Program


def minimise(program: Program, differs: Callable[[Program], bool], seconds: float = 60.0) -> Program:
    """Leave out and simplify what can be, as long as the program differs and time remains."""
    end = time.monotonic() + seconds
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(program):
            if time.monotonic() > end:
                return program
            if smaller != program and _size(smaller) < _size(program) and differs(smaller):
                program, shrunk = smaller, True
                break
    return program


def _size(program: Program) -> tuple[int, ...]:
    texts = [*program.events, *program.statements, *program.setup, *program.outputs, *program.before]
    texts += [after for _, _, after in program.states]
    plain = sum(int(digit) for text in texts for digit in re.findall(r"\d", text))
    return len(program.statements), len(texts), sum(map(len, texts)) + len(program.inputs), plain


def _smaller(program: Program) -> Iterator[Program]:
    for k in range(len(program.events)):
        yield replace(program, events=_without(program.events, k))
    for k in range(len(program.outputs)):
        if len(program.outputs) > 1:
            yield replace(program, outputs=_without(program.outputs, k))
    half = len(program.statements) // 2
    for k in reversed(range(len(program.statements))):
        for name in (*_arguments(program, k), "x0"):
            yield _bypassed(program, k, name)
    if half:
        yield replace(program, statements=program.statements[half:])
    for k, (name, kind, after) in enumerate(program.states):
        states = program.states
        if len(states) and not _used(name, replace(program, states=_without(states, k))):
            yield replace(program, states=_without(states, k))
        if after != name:
            yield replace(program, states=(*states[:k], (name, kind, name), *states[k + 1 :]))
        bare = re.match(r"torch\.tanh\((\w+) \* 1\.0\)\.to", after)
        if bare:
            yield replace(program, states=(*states[:k], (name, kind, bare.group(1)), *states[k + 1 :]))
    if len(program.inputs) > 1 and not _used(f"x{len(program.inputs) - 1}", program):
        yield replace(program, inputs=program.inputs[:-1])
    for group in ("setup", "before"):
        for k in range(len(getattr(program, group))):
            yield replace(program, **{group: _without(getattr(program, group), k)})
    for k, event in enumerate(program.events):
        for option in re.findall(r", \w+=(?:\([^()]*\)|'[^']*'|\"[^\"]*\"|[^,()]+)", event):
            yield replace(program, events=_with(program.events, k, event.replace(option, "", 1)))
        if event.startswith("call("):
            yield replace(program, events=_with(program.events, k, re.sub(r"call\(\d+", "call(1", event)))
    for k, line in enumerate(program.statements):
        for found in re.finditer(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?(?!\w)", line):
            for simple in ("1.0", "2.0", "0.5"):
                text = line[: found.start()] + simple + line[found.end() :]
                yield replace(program, statements=_with(program.statements, k, text))
        for name in re.findall(r"\b[vxs]\d+\b", line.split("=", 1)[1]):
            text = line.split("=", 1)[0] + "=" + re.sub(rf"\b{name}\b", "x0", line.split("=", 1)[1])
            yield replace(program, statements=_with(program.statements, k, text))


def _arguments(program: Program, k: int) -> list[str]:
    name, _, text = program.statements[k].partition(" = ")
    return [found for found in dict.fromkeys(re.findall(r"\b[vxs]\d+\b", text)) if found != name]


def _bypassed(program: Program, k: int, name: str) -> Program:
    """Without a statement; ``name`` stands for its result."""
    old = program.statements[k].partition(" = ")[0]

    def put(text: str) -> str:
        return re.sub(rf"\b{old}\b", name, text)

    return replace(
        program,
        statements=(*program.statements[:k], *map(put, program.statements[k + 1 :])),
        outputs=tuple(map(put, program.outputs)),
        states=tuple((state, kind, put(after)) for state, kind, after in program.states),
    )


def _used(name: str, program: Program) -> bool:
    return name in program.names_used()


def _without(items: tuple, k: int) -> tuple:
    return (*items[:k], *items[k + 1 :])


def _with(items: tuple, k: int, item: str) -> tuple:
    return (*items[:k], item, *items[k + 1 :])
