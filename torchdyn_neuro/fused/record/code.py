"""What can be told from a piece of code: the globals that it reads, and what it does that cannot be followed."""

import dis
import types
from functools import lru_cache
from typing import Any, NamedTuple

from .places import ABSENT

_FORBIDDEN = frozenset(
    [
        "vars",
        "dir",
        "globals",
        "locals",
        "eval",
        "exec",
        "compile",
        "id",
        "setattr",
        "delattr",
        "__dict__",
        "__globals__",
        "__closure__",
        "__code__",
        "__defaults__",
        "__builtins__",
        "__subclasses__",
        "__import__",
    ]
)
_READS = frozenset(("LOAD_GLOBAL", "LOAD_NAME"))
_WRITES = frozenset(("STORE_GLOBAL", "DELETE_GLOBAL"))


class CodeReads(NamedTuple):
    """What a piece of code reads outside itself, and what it does that cannot be followed."""

    globals: frozenset[str]
    forbidden: str | None


@lru_cache(maxsize=4096)
def code_reads(code: types.CodeType) -> CodeReads:
    """The globals that a piece of code reads, those of the functions written inside it too."""
    found, forbidden = set(), None
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _READS:
            found.add(instruction.argval)
        elif name in _WRITES or (name in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars):
            forbidden = f"sets {instruction.argval}, which outlives it"
        elif name == "IMPORT_NAME":
            forbidden = f"imports {instruction.argval}"
    mentioned = sorted(_FORBIDDEN & {*code.co_names})
    if mentioned:
        forbidden = f"uses {mentioned[0]}"
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            reads = code_reads(inner)
            found |= reads.globals
            # A function inside may set what belongs to the one around it.
            forbidden = forbidden or reads.forbidden
    return CodeReads(frozenset(found), forbidden)


def code_of(member: Any) -> types.CodeType | None:
    """The code of a member of a class that runs without being named: torch calls ``forward``, Python ``__call__``."""
    return getattr(getattr(member, "__func__", member), "__code__", None)


def content(cell: types.CellType) -> Any:
    """What a closure holds."""
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT
