"""The Python of the README and of the pages beside it runs; their commands name files and options that are there."""

import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MADE = ROOT / "docs/generated"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if MADE not in path.parents
}
BLOCKS = {
    f"{name} {index}": block
    for name, text in PAGES.items()
    for index, block in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
}


PEERS = {"snntorch", "spikingjelly", "norse", "nir", "nirtorch"}
"""Other libraries, whose own warnings do not count."""


@pytest.mark.parametrize("name", BLOCKS)
def test_python_block_runs(name, recwarn):
    named = PEERS & set(re.findall(r"^(?:import|from) (\w+)", BLOCKS[name], flags=re.MULTILINE))
    for peer in named:
        pytest.importorskip(peer, reason="the extra bench")
    if named:
        warnings.simplefilter("ignore")
    exec(compile(BLOCKS[name], name, "exec"), {"__name__": "page"})  # a class wants a module, to be looked into


def test_the_two_commands_are_there():
    assert "pip install -e . && python train.py\n" in README
    assert 'pip install -e ".[test]" && pytest\n' in README


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_a_page_exist(page):
    named = re.findall(r"\((?:\.\./)*((?:examples|benchmarks|torchdyn_neuro|docs|tests|configs)[\w/.]*)\)", PAGES[page])
    named += re.findall(r"(?:python|bash) ((?:examples|benchmarks)/[\w/.]+|train\.py)", PAGES[page])
    named += [f"configs/experiment/{name}.yaml" for name in re.findall(r"experiment=(\w+)", PAGES[page])]
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_readme_is_short():
    assert len(README.splitlines()) <= 150
