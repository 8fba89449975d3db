"""What the build of the documentation relies on; the build itself is a step of ``.ci/run``."""

import ast
import importlib
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import torchdyn_neuro as tdn

DOCS = Path(__file__).parents[1] / "docs"


def formulas() -> set[str]:
    """Of all docstrings of the package."""
    found = set()
    for path in Path(tdn.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "math:" in text else ():
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                said = ast.get_docstring(node) or ""
                blocks = re.findall(r"\.\. math::(.*?)(?:\n\s*\n|\Z)", said, re.DOTALL)
                found.update(" ".join(text.split()) for text in (*blocks, *re.findall(r":math:`([^`]*)`", said)))
    return found


@pytest.fixture
def making(monkeypatch):
    """Imports a module of ``docs/making``, which needs the extra ``docs``."""
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(str(DOCS))
    yield lambda name: importlib.import_module(f"making.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "making"]:
        del sys.modules[name]


def test_all_formulas_become_mathml(making):
    as_mathml, found, refused = making("mathml").as_mathml, formulas(), []
    for formula in found:
        try:
            assert as_mathml(formula, block=True).startswith("<math")
        except Exception as error:
            refused.append(f"{formula}: {error}")
    assert len(found) > 300
    assert not refused, "\n".join(refused)


def test_a_dotted_letter_is_one_character(making):
    assert "v\u0307</mi>" in making("mathml").as_mathml(r"\tau \dot v = -v")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- input: [T, B, *] spikes", r"- input: [T, B, \*] spikes"),
        (r"already [B, \*]", r"already [B, \*]"),
        ("``[B, *]`` in code", "``[B, *]`` in code"),
        ("the currents [*, 2]", r"the currents [\*, 2]"),
        ("an *emphasis* stays", "an *emphasis* stays"),
        ("x / (1 + slope |x|)", r"x / (1 + slope \|x\|)"),
    ],
)
def test_stars_of_shapes_emphasise_nothing(making, line, expected):
    pytest.importorskip("sphinx")
    assert making("reference").escaped(line) == expected


def test_fields_of_a_state_become_a_list(making):
    pytest.importorskip("sphinx")
    lines = making("reference").as_markup(tdn.LIFState, ["v: potential, [B, *];", "    in mV"])
    assert lines == ["", r"- **v**: potential, [B, \*];", "  in mV"]


def test_each_example_has_a_page_and_what_is_not_run_says_why(making):
    gallery = making("gallery")
    paths = [path for source, *_ in gallery.FOLDERS.values() for path in source.glob("*.py")]
    assert set(gallery.SHOWN) <= {path.stem for path in paths}
    for path in paths:
        text = gallery.titled(path)
        said = ast.get_docstring(ast.parse(text))
        heading, line, *_ = said.splitlines()
        assert line == "=" * len(heading)
        assert ("Not run here" in said) == (path.stem in gallery.SHOWN)
        assert ast.dump(ast.parse(text).body[-1]) == ast.dump(ast.parse(path.read_text()).body[-1])


def test_all_pages_of_the_guide_are_in_its_contents():
    listed = re.search(r":caption: Guide\n\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)[1].split()
    paths = [path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md") if "generated" not in path.parts]
    lost = [path for path in paths if str(path) != "index" and not any(fnmatch(str(path), name) for name in listed)]
    assert not lost
