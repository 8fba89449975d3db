"""The Markdown of ``gpu.sh``: a line for each part, then the table of each."""

from collections.abc import Sequence
from typing import Any

_DIGITS = 3


def markdown(parts: Sequence[dict[str, Any]], *, dry: bool) -> str:
    """The report on parts, as ``gpu.py`` describes their outcomes."""
    lines = ["# The GPU on the day", ""]
    if dry:
        lines += ["A dry run on a CPU with tiny sizes: these figures say nothing about a card.", ""]
    lines += _table(parts, ("name", "status", "seconds"))
    for part in parts:
        lines += [f"## {part['name']}", ""]
        result = part["result"] or {}
        lines += [f"- {key}: {_text(value)}" for key, value in result.items() if not isinstance(value, list | dict)]
        lines += [f"- {key}: {_text(value)}" for key, value in result.get("machine", {}).items()]
        for line in result.get("advice", []):
            lines.append(f"- {line}")
        lines += [""]
        rows = result.get("rows", [])
        if rows:
            lines += _table(rows, tuple(dict.fromkeys(key for row in rows for key in row)))
        if part["last_lines"]:
            lines += ["Its last lines:", "", "```", *part["last_lines"], "```", ""]
    return "\n".join(lines)


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[str]:
    shown = [column for column in columns if any(row.get(column) is not None for row in rows)]
    head = ["| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
    return [*head, *("| " + " | ".join(_text(row.get(column)) for column in shown) + " |" for row in rows), ""]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return str(value).replace("|", "/").replace("\n", " ")
