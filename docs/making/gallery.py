"""The gallery: the examples, run at build, with their pictures; some, which say why, are shown as they are."""

import ast
import re
import shutil
from pathlib import Path

from . import MADE, QUICK, ROOT, write

LONG = "it takes longer than the build of these pages may"
SHOWN: dict[str, str] = {
    **dict.fromkeys(
        ("Potjans_Diesmann_2014", "Potjans_Diesmann_2014_fit"), "it needs a file with the tables of the paper"
    ),
    **dict.fromkeys(
        ("drop_into_resnet", "Bellec_2020", "Brunel_2000", "Diehl_Cook_2015", "Masquelier_2008", "Wunderlich_2021"),
        LONG,
    ),
}
"""Examples that are not run here, and why."""
FOLDERS = {
    "examples": (ROOT / "examples", "Examples", "What can be done with the library, a page each."),
    "papers": (ROOT / "examples/papers", "Papers", "Figures and results of papers, each in one file."),
}


def titled(path: Path) -> str:
    """An example with a heading for its page, as the gallery wants it; and if it is not run, why."""
    text = path.read_text()
    tree = ast.parse(text)
    said = ast.get_docstring(tree)
    name = path.stem
    heading = re.sub(r"_(?=\d{4}$)", " ", name).replace("_", " " if name.islower() else " & ")
    heading = heading.capitalize() if heading.islower() else heading
    note = f"\n\n.. note::\n   Not run here: {SHOWN[name]}." if name in SHOWN else ""
    start = text.index('"""') + 3
    end = text.index('"""', start)
    said = said.replace("\\", "\\\\") if "\\\\" in text[start:end] else said
    return f"{text[:start]}{heading}\n{'=' * len(heading)}\n\n{said}{note}\n{text[end:]}"


def arguments(configuration: dict, script: dict) -> list[str]:
    """What an example is called with."""
    return []


def make() -> None:
    """Put the examples where the gallery takes them from."""
    for kind, (source, heading, text) in FOLDERS.items():
        target = MADE / kind
        names = {path.name for path in source.glob("*.py")}
        for old in target.glob("*.py"):
            if old.name not in names:
                old.unlink()
        for path in source.glob("*.py"):
            write(target / path.name, titled(path))
        write(target / "README.rst", f"{heading}\n{'=' * len(heading)}\n\n{text}\n")
        (target / "pictures").mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "examples/quickstart.png", MADE / "quickstart.png")


CONFIGURATION = {
    "examples_dirs": [f"generated/{kind}" for kind in FOLDERS],
    "gallery_dirs": [f"generated/gallery_{kind}" for kind in FOLDERS],
    "filename_pattern": rf"/(?!(?:{'|'.join(SHOWN)})\.py)\w+\.py$",
    "plot_gallery": not QUICK,
    "ignore_pattern": r"__init__\.py",
    "reset_argv": "making.gallery.arguments",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "abort_on_example_error": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "capture_repr": (),
    "thumbnail_size": (400, 280),
    "backreferences_dir": None,
    "inspect_global_variables": False,
}
