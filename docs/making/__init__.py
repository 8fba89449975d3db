"""What makes pages of the documentation at build: the reference, the cards, the gallery, the pictures of the guide."""

import os
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
MADE = DOCS / "generated"
"""Where they go; the folder is no part of the repository."""

QUICK = "DOCS_QUICK" in os.environ
"""Whether to leave out what takes minutes, while one writes: cards have no picture and no figures, no example runs."""


def write(path: Path, text: str) -> Path:
    """Write a page unless it is there as it is, so that a second build reads only what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def title(text: str, line: str = "=") -> str:
    """A heading."""
    return f"{text}\n{line * len(text)}\n\n"
